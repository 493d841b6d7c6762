"""The lines that show an unverified macaroon to a person."""

from collections.abc import Iterator

from macaroon_cbat.cli.clock import moment
from macaroon_cbat.errors import MalformedMacaroon
from macaroon_cbat.errors.texts import escaped
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.inspection import Assessment, assessed, refusal_of
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat


def inspection_lines(macaroon: Macaroon, now: EpochSeconds) -> Iterator[str]:
    """Return the content of the macaroon, line by line; the last line says what was not checked."""
    yield f"location    {_readable(macaroon.location or b'')} (a hint: any holder can change it)"
    try:
        grant = read_identifier(macaroon.identifier)
    except MalformedMacaroon:
        yield f"identifier  {_readable(macaroon.identifier)}"
    else:
        yield f"client      {grant.client_id}"
        yield f"subject     {grant.sub}"
        yield f"audience    {grant.aud if isinstance(grant.aud, str | tuple) else '-'}"
        yield f"scope       {grant.scope}"
        yield f"issued      {distant_moment(grant.iat, now)}"
        yield f"expires     {distant_moment(grant.exp, now)}"
        yield f"token id    {grant.jti}"
        yield f"root key    {grant.kid}"
    yield f"caveats     {len(macaroon.caveats) or 'none: this is a bearer token until it is bound'}"
    for number, caveat in enumerate(macaroon.caveats, 1):
        yield f"  {number:>2}  {_caveat_line(caveat)}"
    yield from _effective_lines(assessed(macaroon, now), now)
    yield "signature   not verified: that takes the audience's keys (token verify)"


def _caveat_line(caveat: bytes | ThirdPartyCaveat) -> str:
    if isinstance(caveat, ThirdPartyCaveat):
        return f"third party {_readable(caveat.location or b'')}: {_readable(caveat.identifier)}"
    return _readable(caveat) + ("" if refusal_of(caveat) is None else "  REFUSED: see below")


def _effective_lines(found: Assessment, now: EpochSeconds) -> Iterator[str]:
    """Return the rights that all caveats leave if the signature holds, or why they leave none."""
    rights = found.rights
    if found.is_dead:
        yield "effective   nothing: no request can use this token"
    else:
        yield "effective   what is left of it after all caveats:"
        shown = {
            "scope": None if rights.scope is None else " ".join(sorted(rights.scope)),
            "audience": rights.aud,
            "begins": None if rights.nbf is None else distant_moment(rights.nbf, now),
            "expires": None if rights.exp is None else distant_moment(rights.exp, now),
            "method": rights.htm,
            "target": rights.htu,
            "path": rights.path,
            "network": rights.ip,
            "certificate": rights.cnf or "any: it is not certificate-bound",
        }
        for name, value in shown.items():
            if value is not None:
                yield f"  {name:<12}{value if isinstance(value, str) else ' '.join(value)}"
    for remark in found.remarks:
        yield f"  {'no use' if remark.is_fatal else 'note':<12}{remark.text}"


def distant_moment(seconds: int, now: EpochSeconds) -> str:
    """Return a time in UTC, and how far it is from now in seconds."""
    distance = seconds - now
    return f"{moment(seconds)}, " + (f"in {distance} s" if distance > 0 else f"{-distance} s ago")


def _readable(data: bytes) -> str:
    """Return text that cannot write to the terminal anything but itself."""
    return escaped(data.decode(errors="backslashreplace"))
