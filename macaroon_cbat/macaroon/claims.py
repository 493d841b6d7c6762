"""The claims that identifiers and caveats share: their types, units and spelling."""

from typing import Annotated, NewType

from msgspec import Meta

from macaroon_cbat.text.short_memory import remembering

EpochSeconds = NewType("EpochSeconds", int)
"""Whole seconds since 1970-01-01T00:00:00Z (RFC 7519 NumericDate without a fraction)."""

NEVER = EpochSeconds(253_402_300_799)
"""The last second of the year 9999, at which nothing really ends."""

LONGEST_CLOCK_SKEW = 300
"""The most seconds by which an operator may let the clocks of service and resource server differ."""

DEFAULT_CLOCK_SKEW = 30
"""Seconds by which the clocks may differ if the operator sets nothing."""

SCOPE_PATTERN = r"^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*\Z"
"""One or more scope tokens, a single space between two (RFC 6749 3.3)."""

Seconds = Annotated[int, Meta(ge=0, lt=1 << 53)]
"""Seconds since the epoch that every JSON reader takes for the same number (RFC 7493 2.2)."""
ScopeText = Annotated[str, Meta(pattern=SCOPE_PATTERN)]
AudienceText = Annotated[str, Meta(min_length=1)]


@remembering(1024)
def scope_tokens(scope: str) -> frozenset[str]:
    """Return the tokens of a space-separated scope (RFC 6749 3.3)."""
    return frozenset(scope.split(" "))


def several(one_or_more: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the values of a claim that may be one text or an array."""
    return (one_or_more,) if isinstance(one_or_more, str) else one_or_more
