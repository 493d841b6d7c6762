"""Memory of what was read of short texts: what a holder may make long would fill the memory instead."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Protocol, TypeVar, cast

LONGEST_REMEMBERED = 512
"""Characters, or bytes, of the longest text that is remembered: longer ones are rare, and read anew."""

Text = TypeVar("Text", str, bytes)
Text_contra = TypeVar("Text_contra", str, bytes, contravariant=True)
Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class Remembering(Protocol[Text_contra, Value_co]):
    """A pure function of a text that remembers its last values, as `lru_cache` does."""

    def __call__(self, text: Text_contra, /) -> Value_co:
        """Return the value of a text."""

    def cache_clear(self) -> None:
        """Forget every value."""

    def cache_info(self) -> Any:
        """Return what `lru_cache` says of itself."""


def remembering(most: int) -> Callable[[Callable[[Text], Value]], Remembering[Text, Value]]:
    """Let a pure function remember its last values for so many texts, of which none is long."""

    def of(read: Callable[[Text], Value]) -> Remembering[Text, Value]:
        remembered = lru_cache(maxsize=most)(read)

        @wraps(read)
        def reading(text: Text) -> Value:
            return remembered(text) if len(text) <= LONGEST_REMEMBERED else read(text)

        shown: Any = reading
        shown.cache_clear, shown.cache_info = remembered.cache_clear, remembered.cache_info
        return cast("Remembering[Text, Value]", reading)

    return of
