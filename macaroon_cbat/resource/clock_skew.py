"""The clock skew that a resource server allows."""

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW


def checked_skew(seconds: int) -> int:
    """Return a clock skew in seconds, or raise SettingsError."""
    if 0 <= seconds <= LONGEST_CLOCK_SKEW:
        return seconds
    raise SettingsError(f"clock_skew must be 0 to {LONGEST_CLOCK_SKEW} seconds, not {seconds!r}")
