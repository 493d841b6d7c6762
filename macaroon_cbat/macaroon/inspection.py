"""The content of a macaroon, for operators and scripts. Nothing is verified, and no key is needed.

The MAC does not cover `location`: it stays a hint even where the signature holds.
"""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import MalformedMacaroon
from macaroon_cbat.macaroon.caveats import Confirmation, KeyConfirmation
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.custom import REGISTRATION, AnyCaveat, CustomCaveat, read_any_caveats, split
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.rights import Remark, Rights, granted, narrow
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat
from macaroon_cbat.text.base64url import encode
from macaroon_cbat.text.json_text import UnusableJson, read_members
from macaroon_cbat.text.printable import quoted

_Reading = tuple[AnyCaveat, ...] | str | None
"""The caveats of a text, or why it is refused; None for a third-party caveat."""


class Assessment(Struct, frozen=True):
    """The use of a token if its signature holds. `grant` is None for a foreign identifier."""

    grant: Grant | None
    rights: Rights
    remarks: tuple[Remark, ...]

    @property
    def is_dead(self) -> bool:
        """Return True if no request could use the token, from any sender."""
        return any(remark.is_fatal for remark in self.remarks)


def assessed(macaroon: Macaroon, now: EpochSeconds) -> Assessment:
    """Return the rights that are left after all caveats, and a remark for each caveat that calls for one."""
    return _assessed(macaroon, _readings(macaroon), now)


def _assessed(macaroon: Macaroon, readings: Sequence[_Reading], now: EpochSeconds) -> Assessment:
    grant = _grant(macaroon)
    rights, remarks = granted(grant), []
    if grant is not None and grant.exp <= now:
        remarks.append(Remark(f"the token expired {now - grant.exp} s ago: get a new one"))
    for number, (caveat, reading) in enumerate(zip(macaroon.caveats, readings, strict=True), 1):
        if isinstance(caveat, ThirdPartyCaveat):
            where = quoted(caveat.location or b"")
            remarks.append(Remark(f"caveat {number} needs a discharge from {where}", is_fatal=False))
        elif isinstance(reading, str):
            remarks.append(Remark(f"caveat {number} is refused: {reading}"))
        elif reading is not None:
            known, custom = split(reading)
            rights, more = narrow(rights, known, now)
            remarks += [
                Remark(f"caveat {number}: {one.text}", one.is_fatal)
                for one in (*more, *map(_custom_remark, custom))
            ]
    return Assessment(grant, rights, tuple(remarks))


def _custom_remark(caveat: CustomCaveat) -> Remark:
    if caveat.name == REGISTRATION:
        return Remark("'registration' narrows an invitation: no other token is good with it", is_fatal=False)
    return Remark(
        f"{quoted(caveat.name)} is a custom caveat: only a resource server that judges it accepts the token",
        is_fatal=False,
    )


def attenuation_warnings(parent: Macaroon, caveats: Iterable[AnyCaveat], now: EpochSeconds) -> list[str]:
    """Return a sentence for each caveat that would leave the child no use, or restrict nothing."""
    known, custom = split(tuple(caveats))
    _, remarks = narrow(assessed(parent, now).rights, known, now)
    remarks += map(_custom_remark, custom)
    return [f"{one.text}; no request can use this token" if one.is_fatal else one.text for one in remarks]


def inspected(macaroon: Macaroon, now: EpochSeconds) -> dict[str, object]:
    """Return the content of a macaroon as JSON members, in PingAM's shape, and the rights that it leaves.

    `effective` is None if no request could use the token; `warnings` tell why, and which caveat restricts
    nothing.
    """
    readings = _readings(macaroon)
    found = _assessed(macaroon, readings, now)
    return {
        "identifier": _text(macaroon.identifier),
        "location": _text(macaroon.location or b""),
        "caveats": [_inspected_caveat(*each) for each in zip(macaroon.caveats, readings, strict=True)],
        "signature": encode(macaroon.signature),
        "effective": None if found.is_dead else _effective(found.rights),
        "warnings": [remark.text for remark in found.remarks],
    }


def refusal_of(caveat: bytes) -> str | None:
    """Return why every verifier of this package refuses the text of a first-party caveat, or None.

    A custom caveat is refused by verifiers without a judge of its name alone.
    """
    reading = _reading(caveat)
    return reading if isinstance(reading, str) else None


def confirmations(macaroon: Macaroon) -> frozenset[Thumbprint]:
    """Return the certificates that a macaroon is bound to; one that names two is of no use to any holder.

    A caveat that cannot be read is passed over: the resource server may know it.
    """
    return frozenset(
        Thumbprint(one.cnf.thumbprint) for one in _readable(macaroon) if isinstance(one, Confirmation)
    )


def key_confirmations(macaroon: Macaroon) -> frozenset[KeyThumbprint]:
    """Return the keys that a macaroon is bound to, as `confirmations` returns the certificates."""
    return frozenset(
        KeyThumbprint(one.cnf.jkt) for one in _readable(macaroon) if isinstance(one, KeyConfirmation)
    )


def _readable(macaroon: Macaroon) -> list[AnyCaveat]:
    found = [each for each in map(_reading, macaroon.caveats) if isinstance(each, tuple)]
    return [one for caveats in found for one in caveats]


def _readings(macaroon: Macaroon) -> list[_Reading]:
    """Read every caveat once: an attacker may send hundreds of networks in each."""
    return [_reading(caveat) for caveat in macaroon.caveats]


def _reading(caveat: bytes | ThirdPartyCaveat) -> _Reading:
    try:
        return read_any_caveats(caveat) if isinstance(caveat, bytes) else None
    except ValueError as error:
        return str(error)


def _grant(macaroon: Macaroon) -> Grant | None:
    try:
        return read_identifier(macaroon.identifier)
    except MalformedMacaroon:
        return None


def _effective(rights: Rights) -> dict[str, object]:
    """Return the members as a caveat would have them; what is not restricted is left out."""
    members: dict[str, object] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in msgspec.structs.asdict(rights).items()
        if value is not None
    }
    if rights.scope is not None:
        members["scope"] = " ".join(sorted(rights.scope))
    names = {"x5t#S256": members.pop("cnf", None), "jkt": members.pop("jkt", None)}
    if confirmed := {name: value for name, value in names.items() if value is not None}:
        members["cnf"] = confirmed
    return members


def _inspected_caveat(caveat: bytes | ThirdPartyCaveat, reading: _Reading) -> dict[str, object]:
    if isinstance(caveat, ThirdPartyCaveat):
        return {
            "type": "third-party",
            "identifier": _text(caveat.identifier),
            "location": _text(caveat.location or b""),
        }
    shown: dict[str, object] = {"type": "first-party", "identifier": _members(caveat) or _text(caveat)}
    if isinstance(reading, str):
        shown["refused"] = reading
    elif reading is not None and (custom := [one.name for one in split(reading)[1]]):
        shown["custom"] = custom
    return shown


def _members(caveat: bytes) -> dict[str, object] | None:
    """Return the JSON object that a caveat is, unless that would hide something, such as a repeated key."""
    try:
        return read_members(caveat)
    except UnusableJson:
        return None


def _text(data: bytes) -> str:
    """Return the bytes as text, or as base64url if they are not UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return encode(data)
