"""Caches for functions of short texts. A cache of long texts would let a holder fill the memory."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, Protocol, TypeVar, cast

LONGEST_REMEMBERED = 512
"""Characters, or bytes, of the longest text that is cached: longer ones are rare, and read again."""

Text = TypeVar("Text", str, bytes)
Text_contra = TypeVar("Text_contra", str, bytes, contravariant=True)
Value = TypeVar("Value")
Value_co = TypeVar("Value_co", covariant=True)


class Remembering(Protocol[Text_contra, Value_co]):
    """A pure function of a text with a cache of its last values, as `lru_cache` has."""

    def __call__(self, text: Text_contra, /) -> Value_co:
        """Return the value of a text."""

    def cache_clear(self) -> None:
        """Forget every value."""

    def cache_info(self) -> Any:
        """Return the statistics of `lru_cache`."""


def remembering(
    most: int, longest: int = LONGEST_REMEMBERED
) -> Callable[[Callable[[Text], Value]], Remembering[Text, Value]]:
    """Return a decorator that caches a pure function for this many texts, none of them longer."""

    def of(read: Callable[[Text], Value]) -> Remembering[Text, Value]:
        remembered = lru_cache(maxsize=most)(read)

        @wraps(read)
        def reading(text: Text) -> Value:
            return remembered(text) if len(text) <= longest else read(text)

        shown: Any = reading
        shown.cache_clear, shown.cache_info = remembered.cache_clear, remembered.cache_info
        return cast("Remembering[Text, Value]", reading)

    return of
