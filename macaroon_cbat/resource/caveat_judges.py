"""The judges of a guard's custom caveats: code of the resource server, registered by name at one guard."""

from collections.abc import Callable, Iterator, Mapping
from decimal import InvalidOperation
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import Any

from msgspec import MsgspecError

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.custom import Judge, check_custom_name
from macaroon_cbat.resource.blocking import MustBlock, about_to_block

_MISFIT = (
    *(ValueError, TypeError, LookupError, AttributeError, MsgspecError),
    *(InvalidOperation, OverflowError, RecursionError),  # of Decimal, of timedelta, of what is nested
)
"""The errors of code that was given another value than it reads, which any holder can write."""


class CaveatJudges(Mapping[str, Judge]):
    """The judges of one guard, by the names of their caveats."""

    def __init__(self, judges: Mapping[str, Callable[..., Any]]) -> None:
        """Register each of these. Raises SettingsError for a name or a judge that no guard can use."""
        self._judges: dict[str, Judge] = {}
        self._blocks = False
        for name, judge in judges.items():
            self.add(name, judge)

    def __getitem__(self, name: str) -> Judge:
        """Return the judge of the caveats of this name."""
        return self._judges[name]

    def __iter__(self) -> Iterator[str]:
        """Return the names."""
        return iter(self._judges)

    def __len__(self) -> int:
        """Return the number of names."""
        return len(self._judges)

    def add(self, name: str, judge: Callable[..., Any], *, blocks: bool = True) -> None:
        """Let this function judge the custom caveats of this name.

        An event loop calls it in a thread, unless `blocks` is False and so it is for every other judge: a
        request would ask it twice if one after it needed a thread. Raises SettingsError for a name that is
        taken or that no custom caveat can have, and for a function that cannot be called with a caveat's
        value and the facts of the request.
        """
        try:
            check_custom_name(name)
        except ValueError as error:
            raise SettingsError(f"a guard cannot judge such a caveat: {error}") from error
        if name in self._judges:
            raise SettingsError(f"caveat {name!r} has a judge already: register one judge for a name")
        if iscoroutinefunction(judge) or iscoroutinefunction(getattr(judge, "__call__", None)):  # noqa: B004 # its kind, not whether it has one
            raise SettingsError(f"the judge of caveat {name!r} is async: give a plain function")
        try:
            signature(judge).bind(None, None)
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"the judge of caveat {name!r} takes other arguments than (value, access): {error}"
            ) from error
        self._blocks = self._blocks or blocks
        self._judges[name] = _safe(name, judge, self._announce)

    def _announce(self) -> None:
        if self._blocks:
            about_to_block()


def _safe(name: str, judge: Callable[..., Any], announce: Callable[[], None]) -> Judge:
    """Return the judge, whose every error is a refusal, or Unavailable where it cannot tell."""

    @wraps(judge)
    def judging(value: Any, access: Access) -> str | None:
        announce()
        try:
            found = judge(value, access)
        except (Unavailable, MustBlock):
            raise
        except _MISFIT as error:
            return f"its judge cannot read the value: {type(error).__name__}: {error}"
        except Exception as error:
            raise Unavailable(
                f"the judge of caveat {name!r} failed: {type(error).__name__}: {error}"
            ) from error
        if found is None or isinstance(found, str):
            return found
        raise Unavailable(
            f"the judge of caveat {name!r} returned {type(found).__name__}: let it return a reason, or None"
        )

    return judging
