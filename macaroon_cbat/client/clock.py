"""The comparison of this machine's clock with those of the servers that it sends requests to.

A slow clock makes children that are expired when they arrive, and a fast one children that live longer than
meant. No clock is corrected by a server's time: a server could make children live longer by a later one.
"""

import logging
import time
from email.utils import parsedate_to_datetime

from macaroon_cbat.errors import InvalidToken, MalformedMacaroon, Refused, Unavailable
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon

log = logging.getLogger("macaroon_cbat.client")

_IAT = "iat"
TOLERATED = 5
"""Seconds: `Date` counts whole ones, and the service may issue a token 3 s ahead."""

_told: PerProcess[dict[str, str]] = PerProcess(dict)
"""The warnings given, slow and fast, each with the server compared, until the two clocks agree again."""


def compare_clocks(
    server: str, date: str | None, age: str | None, *, sent: float, lifetime: int = 60
) -> bool:
    """Warn once of a server whose `Date` (RFC 9110 6.6.1) is far from this clock; return whether it has one.

    `sent` is the earliest moment at which the request was sent, in seconds since the epoch. An answer from a
    cache (`Age`) is not compared.
    """
    told = _seconds_of(date)
    if told is None or age is not None:
        return False
    slow_by, fast_by = told - time.time(), sent - (told + 1)
    if slow_by > TOLERATED:
        _say_slow(server, slow_by, f"that of {server}", lifetime)
    elif fast_by > TOLERATED:
        _say(
            "fast",
            server,
            f"the clock of this machine is {int(fast_by)} s ahead of that of {server}, so a child "
            f"of {lifetime} s lives so much longer: set the clock, for example by timedatectl set-ntp true",
        )
    else:
        _agree(server)
    return True


def compare_with_token(token: str, *, now: float, lifetime: int = 60) -> None:
    """Warn once of a token that by this clock was issued in the future."""
    try:
        issued_at = EpochSeconds(read_identifier(read_macaroon(token).identifier).iat)
    except MalformedMacaroon:
        return
    if issued_at - now > TOLERATED:
        _say_slow(_IAT, issued_at - now, "the one that its token was issued by (iat)", lifetime)
    else:
        _agree(_IAT)


def seconds_ahead(token: str, asked_at: float, answered_at: float, *, issuer: str, skew: int) -> float:
    """Return how far, in seconds, the issuer's clock is ahead of this one, as a new token shows.

    Negative if the issuer's clock is behind. Several offsets fit the token's `iat`; the smallest is returned.
    Both moments are seconds since the epoch by this clock. Raises Unavailable if it is more than `skew`
    seconds, and Refused for a token that this service does not mint.
    """
    try:
        issued_at = read_identifier(read_macaroon(token).identifier).iat
    except InvalidToken as error:
        raise Refused(200, None, f"{issuer} granted a token that is not of its kind: {error}") from error
    # It was minted within the second that `iat` names, and between request and answer.
    least, most = issued_at - answered_at, issued_at + 1 - asked_at
    ahead = least if least > 0 else min(most, 0.0)
    if abs(ahead) > skew:
        raise Unavailable(
            f"the clock of {issuer} is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this one, "
            f"and more than {skew} s is not accepted: set both clocks"
        )
    return ahead


def _say_slow(server: str, seconds: float, other: str, lifetime: int) -> None:
    _say(
        "slow",
        server,
        f"the clock of this machine is {int(seconds)} s behind {other}, so a child of {lifetime} s may be "
        "expired when it arrives: set the clock, for example by timedatectl set-ntp true",
    )


def _say(what: str, server: str, warning: str) -> None:
    told = _told.current()
    if what not in told:
        told[what] = server
        log.warning("%s", warning)


def _agree(server: str) -> None:
    told = _told.current()
    for what in [what for what, named in told.items() if named == server]:
        told.pop(what, None)


def _seconds_of(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
