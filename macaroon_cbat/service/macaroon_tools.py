"""Restrict for holders without a macaroon library, in PingAM's JSON shapes.

No key is needed and none is used, and of the token nothing is logged.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import InvalidRequest, MalformedMacaroon
from macaroon_cbat.macaroon.caveats import Caveat, confirmation, read_caveats
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.inspection import attenuation_warnings
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.text.json_text import UnusableJson, read_json_text


class InspectRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`{"macaroon": "AgE..."}`."""

    macaroon: str


class RestrictRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`{"macaroon": "AgE...", "caveat": {"scope": "read"}, "bind": "connection"}`.

    Each member of a caveat is appended as a caveat of its own. A caveat may also be spelled
    `{"type": "first-party", "identifier": {"scope": "read"}}`.
    """

    macaroon: str
    caveat: Raw | UnsetType = UNSET
    bind: Literal["connection"] | None = None


class _WrappedCaveat(Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["first-party"]
    identifier: Raw


class RestrictedMacaroon(Struct, frozen=True):
    """The child. `warnings` say of caveats that they leave it no use, or restrict nothing."""

    macaroon: str
    warnings: list[str]


def restricted(request: RestrictRequest, peer: Thumbprint | None, now: EpochSeconds) -> RestrictedMacaroon:
    """Return the macaroon with the caveat appended, bound to this very connection when asked to.

    Raises InvalidRequest for a malformed macaroon or caveat, and for a connection without certificate.
    """
    caveats: list[Caveat] = []
    if request.caveat is not UNSET:
        caveats += _requested_caveats(request.caveat)
    if request.bind is not None:
        if peer is None:
            raise InvalidRequest("bind: this connection presented no client certificate")
        caveats.append(confirmation(peer))
    if not caveats:
        raise InvalidRequest("say what to append: a caveat, bind, or both")
    with malformed_is_invalid():
        child = attenuate(request.macaroon, caveats)
        parent = read_macaroon(mended(request.macaroon))
    return RestrictedMacaroon(child, attenuation_warnings(parent, caveats, now))


@contextmanager
def malformed_is_invalid() -> Iterator[None]:
    """Turn a malformed macaroon into an InvalidRequest: here it is what is asked about, no credential."""
    try:
        yield
    except MalformedMacaroon as error:
        raise InvalidRequest(f"macaroon: {error}") from error


def _requested_caveats(json_text: Raw) -> tuple[Caveat, ...]:
    try:
        wrapped = read_json_text(json_text, _WrappedCaveat)
        json_text = wrapped.identifier
    except UnusableJson:
        pass  # the caveat itself, not wrapped
    try:
        return read_caveats(bytes(json_text))
    except ValueError as error:
        raise InvalidRequest(f"caveat: {error}") from error
