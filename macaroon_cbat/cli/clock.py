"""Times on the command line."""

from datetime import UTC, datetime

from macaroon_cbat.cli.options import now
from macaroon_cbat.errors import MalformedMacaroon
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon


def moment(seconds: int) -> str:
    """Return a time in UTC, such as `2026-01-01 00:00:00Z`; the number itself if no calendar reaches it."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def warn_of_slow_clock(token: str, lifetime: int) -> None:
    """Warn on standard error of a token that by this clock was issued in the future."""
    try:
        is_ahead = read_identifier(read_macaroon(token).identifier).iat > now()
    except MalformedMacaroon:
        return
    if is_ahead:
        # An HTTP library comes with it, and a pipe of `token attenuate` needs none.
        from macaroon_cbat.client.clock import compare_with_token

        compare_with_token(token, now=now(), lifetime=lifetime)
