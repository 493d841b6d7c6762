"""Macaroons in JSON of version 2, as bakery clients send them, and their text in the binary format.

    {"v": 2, "l": location, "i" | "i64": identifier, "c": [caveat, ...], "s64": signature}
    caveat = {"i" | "i64": identifier} or {"l": location, "i" | "i64": identifier, "v64": key identifier}

A member that ends in 64 is base64 of either alphabet, padded or not. What comes out is read by `wire` once
more, which alone decides on limits and on what is canonical.
"""

from collections.abc import Mapping

from macaroon_cbat.errors import MalformedMacaroon
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat
from macaroon_cbat.text.base64url import NotBase64url, decode, encode

_MACAROON = frozenset({"v", "c", "l", "l64", "i", "i64", "s", "s64"})
_CAVEAT = frozenset({"l", "l64", "i", "i64", "v", "v64"})
_SIGNATURE_BYTES = 32
_LONGEST_FIELD = (1 << 14) - 1


def text_of_json(members: Mapping[str, object]) -> str:
    """Return the macaroon as unpadded base64url of the binary format. Raises MalformedMacaroon."""
    _refuse_unknown(members, _MACAROON)
    if members.get("v", 2) != 2:
        raise MalformedMacaroon("a macaroon in JSON of another version than 2")
    identifier, signature = _field(members, "i"), _field(members, "s")
    if identifier is None or signature is None or len(signature) != _SIGNATURE_BYTES:
        raise MalformedMacaroon("a macaroon in JSON without an identifier and a signature of 32 bytes")
    caveats = members.get("c", [])
    if not isinstance(caveats, list):
        raise MalformedMacaroon("a macaroon in JSON whose c is no list")
    head = _written(1, _field(members, "l")) + _written(2, identifier)
    return encode(b"\2" + head + b"\0" + b"".join(map(_caveat, caveats)) + b"\0" + _written(6, signature))


def json_of(macaroon: Macaroon) -> dict[str, object]:
    """Return a macaroon as JSON of version 2, as the bakery's clients read it."""
    members: dict[str, object] = {"v": 2, **_spelled("i", macaroon.identifier)}
    if macaroon.location:
        members |= _spelled("l", macaroon.location)
    members["c"] = [_caveat_in_json(caveat) for caveat in macaroon.caveats]
    return {**members, "s64": encode(macaroon.signature)}


def _caveat_in_json(caveat: bytes | ThirdPartyCaveat) -> dict[str, str]:
    if isinstance(caveat, bytes):
        return _spelled("i", caveat)
    location = _spelled("l", caveat.location) if caveat.location else {}
    return {**location, **_spelled("i", caveat.identifier), "v64": encode(caveat.vid)}


def _spelled(name: str, data: bytes) -> dict[str, str]:
    """Return the member with this content: as text where it is text."""
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {f"{name}64": encode(data)}


def _caveat(members: object) -> bytes:
    if not isinstance(members, dict):
        raise MalformedMacaroon("a macaroon in JSON with a caveat that is no object")
    _refuse_unknown(members, _CAVEAT)
    identifier = _field(members, "i")
    if identifier is None:
        raise MalformedMacaroon("a macaroon in JSON with a caveat that has no identifier")
    head = _written(1, _field(members, "l")) + _written(2, identifier)
    return head + _written(4, _field(members, "v")) + b"\0"


def _refuse_unknown(members: Mapping[str, object], known: frozenset[str]) -> None:
    if unknown := members.keys() - known:
        raise MalformedMacaroon(f"a macaroon in JSON with the unknown member {min(unknown)[:20]!r}")


def _field(members: Mapping[str, object], name: str) -> bytes | None:
    """Return the bytes of a member, or None if it is absent or empty, as pymacaroons takes it."""
    plain, encoded = members.get(name), members.get(f"{name}64")
    if plain is not None and encoded is not None:
        raise MalformedMacaroon(f"a macaroon in JSON with both {name} and {name}64")
    value = encoded if plain is None else plain
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise MalformedMacaroon(f"a macaroon in JSON whose {name} is no text")
    try:
        data = value.encode() if encoded is None else decode(mended(value))
    except (UnicodeEncodeError, NotBase64url) as error:
        raise MalformedMacaroon(f"a macaroon in JSON whose {name} is not readable") from error
    if len(data) > _LONGEST_FIELD:
        raise MalformedMacaroon(f"a macaroon in JSON whose {name} is longer than any token")
    return data


def _written(kind: int, data: bytes | None) -> bytes:
    """Return the field of the binary format; nothing for an absent one."""
    if data is None:
        return b""
    length = len(data)
    size = bytes((length,)) if length < 0x80 else bytes((length & 0x7F | 0x80, length >> 7))
    return bytes((kind,)) + size + data
