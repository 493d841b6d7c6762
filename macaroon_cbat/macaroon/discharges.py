"""Discharges and the third-party caveats that ask for them, matched by name. Nothing is verified."""

from collections.abc import Iterator, Sequence

from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat
from macaroon_cbat.text.printable import quoted

LEFT_OVER = "there is a discharge that no third-party caveat asks for: do not send it"
OF_A_DISCHARGE = " of a discharge"
_MOST_NAMED = 3
"""Missing discharges that are named; the others are counted."""


def third_party_caveats(macaroon: Macaroon) -> Iterator[tuple[int, ThirdPartyCaveat]]:
    """Yield the third-party caveats of a macaroon, each with its number among all caveats, from 1."""
    for number, caveat in enumerate(macaroon.caveats, 1):
        if not isinstance(caveat, bytes):
            yield number, caveat


def name_of(number: int, caveat: ThirdPartyCaveat, of: str = "") -> str:
    """Return a name for people; the location is a hint, and any holder can have written it."""
    return f"third-party caveat {number}{of} at {quoted(caveat.location or b'')}"


def why_mismatched(root: Macaroon, discharges: Sequence[Macaroon]) -> str | None:
    """Return why not each third-party caveat has one discharge and each discharge one caveat, or None.

    A discharge may itself have third-party caveats. In a loop one of them finds its discharge used.
    """
    unused = {discharge.identifier: discharge for discharge in discharges}
    is_repeated = len(unused) != len(discharges)
    missing, waiting = [], [(root, "")]
    while waiting:
        macaroon, of = waiting.pop()
        for number, caveat in third_party_caveats(macaroon):
            discharge = unused.pop(caveat.identifier, None)
            if discharge is None:
                missing.append((number, caveat, of))
            else:
                waiting.append((discharge, OF_A_DISCHARGE))
    if missing:
        return _lacking(missing)
    return LEFT_OVER if unused or is_repeated else None


def _lacking(missing: Sequence[tuple[int, ThirdPartyCaveat, str]]) -> str:
    """Return the sentence that names the caveats that lack a discharge."""
    names = " and ".join(name_of(*each) for each in missing[:_MOST_NAMED])
    more = f" and {len(missing) - _MOST_NAMED} more" if len(missing) > _MOST_NAMED else ""
    lack = "have no discharge of their" if missing[1:] else "has no discharge of its"
    return f"{names}{more} {lack} own, bound to this macaroon"
