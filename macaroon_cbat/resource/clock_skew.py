"""The clocks of service and resource server: by how much they may differ, and by how much they do."""

from macaroon_cbat.errors import InvalidToken, Refused, SettingsError, Unavailable
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon


def checked_skew(seconds: int) -> int:
    """Return a clock skew in seconds, or raise SettingsError."""
    if 0 <= seconds <= LONGEST_CLOCK_SKEW:
        return seconds
    raise SettingsError(f"clock_skew must be 0 to {LONGEST_CLOCK_SKEW} seconds, not {seconds!r}")


def seconds_ahead(token: str, asked_at: float, answered_at: float, *, issuer: str, skew: int) -> float:
    """Return how far, in seconds, the issuer's clock is ahead of this one, as a new token shows.

    Negative: behind; of what explains the token, the least. Both moments are seconds since 1970 by this
    clock. Raises Unavailable for more than `skew`, and Refused for what is no token of such a service.
    """
    try:
        issued_at = read_identifier(read_macaroon(token).identifier).iat
    except InvalidToken as error:
        raise Refused(200, None, f"{issuer} gave a token that is none of its kind: {error}") from error
    # It was minted within the second that `iat` names, and between question and answer.
    least, most = issued_at - answered_at, issued_at + 1 - asked_at
    ahead = least if least > 0 else min(most, 0.0)
    if abs(ahead) > skew:
        raise Unavailable(
            f"the clock of {issuer} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this one, "
            f"and more than {skew} s is not taken: set both clocks"
        )
    return ahead
