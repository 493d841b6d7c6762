"""Inspect and restrict for holders without a macaroon library, in PingAM's JSON shapes.

No key is needed and none is used: what is shown is not verified, and of the token nothing is logged.
"""

from base64 import urlsafe_b64encode
from typing import Literal

import msgspec
from msgspec import Raw, Struct

from macaroon_cbat.caveats import Caveat, confirmation, parse_caveat
from macaroon_cbat.errors import InvalidRequest, MalformedMacaroon
from macaroon_cbat.minting import attenuate
from macaroon_cbat.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.wire import ThirdPartyCaveat, read_macaroon


class InspectRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`{"macaroon": "AgE..."}`."""

    macaroon: str


class RestrictRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`{"macaroon": "AgE...", "caveat": {"scope": "read"}, "bind": "connection"}`.

    A caveat may also be spelled `{"type": "first-party", "identifier": {"scope": "read"}}`.
    """

    macaroon: str
    caveat: Raw = Raw()  # immutable: no caveat
    bind: Literal["connection"] | None = None


class _WrappedCaveat(Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["first-party"]
    identifier: Raw


def inspected(text: str) -> dict[str, object]:
    """Return what a macaroon says, unverified, or raise InvalidRequest for malformed text."""
    try:
        macaroon = read_macaroon(text)
    except MalformedMacaroon as error:
        raise InvalidRequest(f"the macaroon is malformed: {error}") from error
    return {
        "identifier": _text(macaroon.identifier),
        "location": _text(macaroon.location or b""),
        "caveats": [_inspected_caveat(caveat) for caveat in macaroon.caveats],
        "signature": urlsafe_b64encode(macaroon.signature).rstrip(b"=").decode(),
    }


def restricted(request: RestrictRequest, peer: DerCertificate | None) -> str:
    """Return the macaroon with the caveat appended, bound to this very connection when asked to.

    Raises InvalidRequest for a malformed macaroon or caveat, and for a connection without certificate.
    """
    caveats: list[Caveat] = []
    if bytes(request.caveat):
        caveats.append(_requested_caveat(request.caveat))
    if request.bind is not None:
        if peer is None:
            raise InvalidRequest("bind: this connection presented no client certificate")
        caveats.append(confirmation(thumbprint_of(peer)))
    if not caveats:
        raise InvalidRequest("say what to append: a caveat, bind, or both")
    try:
        return attenuate(request.macaroon, caveats)
    except MalformedMacaroon as error:
        raise InvalidRequest(f"the macaroon is malformed: {error}") from error


def _requested_caveat(json_text: Raw) -> Caveat:
    try:
        wrapped = msgspec.json.decode(json_text, type=_WrappedCaveat)
        json_text = wrapped.identifier
    except msgspec.MsgspecError:
        pass  # the caveat itself, not wrapped
    try:
        return parse_caveat(bytes(json_text))
    except ValueError as error:
        raise InvalidRequest(f"caveat: {error}") from error


def _inspected_caveat(caveat: bytes | ThirdPartyCaveat) -> dict[str, object]:
    if isinstance(caveat, ThirdPartyCaveat):
        return {
            "type": "third-party",
            "identifier": _text(caveat.identifier),
            "location": _text(caveat.location or b""),
        }
    try:
        members = msgspec.json.decode(caveat)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        members = None
    return {"type": "first-party", "identifier": members if isinstance(members, dict) else _text(caveat)}


def _text(data: bytes) -> str:
    """Return the bytes as text, as base64url where they are none."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return urlsafe_b64encode(data).rstrip(b"=").decode()
