"""Strict reading of untrusted text: str -> Macaroon.

The text is unpadded base64url of the macaroon V2 binary format (libmacaroons, doc/format.txt):

    macaroon    = 02 [location] identifier 00 *caveat 00 signature
    caveat      = identifier 00                      a first-party caveat
                / [location] identifier vid 00       a third-party caveat
    location    = 01 length utf-8      identifier = 02 length octets
    vid         = 04 length octets     signature  = 06 20 32 octets

One token has one spelling: padding, stray characters, spare bits, long-form lengths and trailing
bytes are malformed. The limits are checked before any work is done for the text.
"""

from collections.abc import Sequence

from msgspec import Struct

from macaroon_cbat.errors import MalformedMacaroon
from macaroon_cbat.macaroon.token_forms import form_of, malformed
from macaroon_cbat.text.base64url import NotBase64url, decode

MAX_CHARACTERS = 8_000
MAX_CAVEATS = 100
MAX_DISCHARGES = 16

_VERSION, _END, _LOCATION, _IDENTIFIER, _VID, _SIGNATURE = 2, 0, 1, 2, 4, 6
SIGNATURE_BYTES = 32
SIGNATURE_HEAD = bytes((_END, _SIGNATURE, SIGNATURE_BYTES))
"""The end of the caveats, and the field of the signature without its content."""
_MORE = 0x80


class ThirdPartyCaveat(Struct, frozen=True, gc=False):
    """A caveat that another service discharges: place, name and the encrypted key of the discharge."""

    location: bytes | None
    identifier: bytes
    vid: bytes


class Macaroon(Struct, frozen=True, gc=False):
    """A well-formed macaroon. Nothing in it is authenticated, and the MAC never covers `location`.

    A first-party caveat is the bytes of its text.
    """

    location: bytes | None
    identifier: bytes
    caveats: tuple[bytes | ThirdPartyCaveat, ...]
    signature: bytes

    def __repr__(self) -> str:
        """Show no signature: a reader of the log must not be able to present the macaroon."""
        return f"<Macaroon with {len(self.caveats)} caveats>"


def read_macaroon(text: str) -> Macaroon:
    """Return the macaroon that the text spells. Raises MalformedMacaroon, which names what it is instead."""
    if len(text) > MAX_CHARACTERS:
        raise malformed(f"{len(text)} characters, more than {MAX_CHARACTERS}", "it is longer than any token")
    try:
        return _read_binary(decode(text))
    except IndexError:
        raise malformed("the macaroon is truncated", form_of(text)) from None
    except (NotBase64url, MalformedMacaroon) as error:
        raise malformed(str(error), form_of(text)) from None


def read_discharges(texts: Sequence[str]) -> list[Macaroon]:
    """Return the macaroons that the texts spell. Raises MalformedMacaroon, also for more than 16."""
    if len(texts) > MAX_DISCHARGES:
        raise MalformedMacaroon(f"more than {MAX_DISCHARGES} discharges")
    return [read_macaroon(text) for text in texts]


def _read_binary(data: bytes) -> Macaroon:
    """Return the macaroon in V2 binary, in one pass. Raises IndexError if bytes are missing."""
    if data[0] != _VERSION:
        raise MalformedMacaroon("not a version 2 macaroon")
    location, identifier, at = _head(data)
    caveats: list[bytes | ThirdPartyCaveat] = []
    for _ in range(MAX_CAVEATS):
        kind, size = data[at], data[at + 1]
        if kind == _END:
            break
        end = at + 2 + size
        if kind == _IDENTIFIER and size < _MORE and not data[end]:
            caveats.append(data[at + 2 : end])  # nearly all are short first-party caveats
            at = end + 1
        else:
            caveat, at = _caveat(data, at)
            caveats.append(caveat)
    else:
        if data[at] != _END:
            raise MalformedMacaroon(f"more than {MAX_CAVEATS} caveats")
    if data[at : at + 3] != SIGNATURE_HEAD or len(data) != at + 3 + SIGNATURE_BYTES:
        raise MalformedMacaroon("the macaroon does not end with one signature of 32 bytes")
    return Macaroon(location, identifier, tuple(caveats), data[-SIGNATURE_BYTES:])


def _head(data: bytes) -> tuple[bytes | None, bytes, int]:
    """Return location and identifier, and the start of the caveats."""
    at = 3 + data[2]
    location, start = data[3:at], at + 3
    low, high = data[at + 1], data[at + 2]
    end = start + low + (high << 7) - _MORE
    if (
        data[1] == _LOCATION
        and at < 3 + _MORE
        and location.isascii()
        and data[at] == _IDENTIFIER
        and low >= _MORE > high > 0
        and not data[end]  # _END
    ):
        return location, data[start:end], end + 1  # nearly always: an identifier has 128 bytes or more
    other, at = _optional_location(data, 1)
    identifier, end = _field(data, at, _IDENTIFIER)
    return other, identifier, _end(data, end)


def _caveat(data: bytes, at: int) -> tuple[bytes | ThirdPartyCaveat, int]:
    location, at = _optional_location(data, at)
    identifier, at = _field(data, at, _IDENTIFIER)
    if data[at] == _VID:
        vid, at = _field(data, at, _VID)
        return ThirdPartyCaveat(location, identifier, vid), _end(data, at)
    if location is not None:
        raise MalformedMacaroon("a first-party caveat with a location")
    return identifier, _end(data, at)


def _optional_location(data: bytes, at: int) -> tuple[bytes | None, int]:
    if data[at] != _LOCATION:
        return None, at
    location, at = _field(data, at, _LOCATION)
    try:
        location.decode()
    except UnicodeDecodeError:
        raise MalformedMacaroon("a location that is not UTF-8") from None
    return location, at


def _field(data: bytes, at: int, kind: int) -> tuple[bytes, int]:
    """Return the content of the field that starts here, and the start of the next one."""
    if data[at] != kind:
        raise MalformedMacaroon(f"field {data[at]} where field {kind} belongs")
    length, start = data[at + 1], at + 2
    if length & _MORE:
        high, start = data[start], start + 1
        if high == 0 or high & _MORE:
            raise MalformedMacaroon("a length in long form, or past the end")
        length += (high << 7) - _MORE
    end = start + length
    if end > len(data):
        raise MalformedMacaroon("the macaroon is truncated")
    return data[start:end], end


def _end(data: bytes, at: int) -> int:
    if data[at] != _END:
        raise MalformedMacaroon(f"field {data[at]} where a section ends")
    return at + 1
