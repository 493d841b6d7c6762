"""The routes under /macaroon, for holders without a macaroon library: inspect and restrict.

The JSON shapes are PingAM's. The service uses no key here and logs nothing of the token.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from flask import Flask, Response, request
from msgspec import UNSET, Raw, Struct, UnsetType

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import InvalidRequest, MalformedMacaroon
from macaroon_cbat.macaroon.caveats import Caveat, confirmation, read_caveats
from macaroon_cbat.macaroon.claims import EpochSeconds, ScopeText
from macaroon_cbat.macaroon.custom import AnyCaveat, custom_caveat
from macaroon_cbat.macaroon.inspection import attenuation_warnings, inspected
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service.http.client_certificate import client_certificate
from macaroon_cbat.service.http.operations import SHORTENED, Operation, add_route
from macaroon_cbat.service.http.request_input import read_json
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.text.json_text import UnusableJson, read_json_text


class InspectRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`{"macaroon": "AgE..."}`."""

    macaroon: str


class RestrictRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """`{"macaroon": "AgE...", "caveat": {"scope": "read"}, "bind": "connection"}`.

    Each member of a caveat is appended as a caveat of its own. A caveat may also be spelled
    `{"type": "first-party", "identifier": {"scope": "read"}}`. The members of `custom`, such as
    `{"payment": {"most": 100}}`, are custom caveats: only a resource server that judges them accepts the
    token.
    """

    macaroon: str
    caveat: Raw | UnsetType = UNSET
    custom: dict[str, Raw] = {}
    bind: Literal["connection"] | None = None


class EffectiveRights(Struct):
    """The rights that a token's caveats leave, as members of caveats; an unrestricted right has no member."""

    scope: ScopeText | UnsetType = UNSET
    aud: list[str] | UnsetType = UNSET
    exp: int | UnsetType = UNSET
    nbf: int | UnsetType = UNSET
    htm: list[str] | UnsetType = UNSET
    htu: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    ip: list[str] | UnsetType = UNSET
    cnf: dict[Literal["x5t#S256"], str] | UnsetType = UNSET


class Inspected(Struct):
    """The fields of a macaroon, unverified; caveats in PingAM's shape, and why verifiers refuse one.

    `effective` is what all caveats leave, null if no request can use the token. `warnings` say why, and which
    caveat restricts nothing.
    """

    identifier: str
    location: str
    caveats: list[dict[str, Any]]
    signature: str
    effective: EffectiveRights | None
    warnings: list[str]


class _WrappedCaveat(Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["first-party"]
    identifier: Raw


class RestrictedMacaroon(Struct, frozen=True):
    """The child. `warnings` name caveats that make it useless, or restrict nothing."""

    macaroon: str
    warnings: list[str]


INSPECT = Operation(
    method="POST",
    path="/macaroon/inspect",
    label="inspect",
    summary="Read a macaroon without verifying it",
    caller="any",
    body=InspectRequest,
    example={"macaroon": SHORTENED},
    answer=Inspected,
    refusals=(400, 413, 415),
)
RESTRICT = Operation(
    method="POST",
    path="/macaroon/restrict",
    label="restrict",
    summary="Append a caveat, the thumbprint of this connection's certificate, or both",
    caller="any",
    body=RestrictRequest,
    example={"macaroon": SHORTENED, "caveat": {"scope": "read"}, "bind": "connection"},
    answer=RestrictedMacaroon,
    answer_example={"macaroon": SHORTENED, "warnings": []},
    refusals=(400, 413, 415),
)
OPERATIONS = (INSPECT, RESTRICT)


def metadata(base: str) -> Mapping[str, object]:
    """Return the members of the metadata document about the tools of holders."""
    return {
        "macaroon_inspection_endpoint": base + INSPECT.path,
        "macaroon_restriction_endpoint": base + RESTRICT.path,
    }


def macaroon_routes(app: Flask, clock: Callable[[], float], root_path: str) -> None:
    """Route both tools; the clock is read once a request."""

    def inspect() -> Response:
        with malformed_is_invalid():
            macaroon = read_macaroon(mended(read_json(request, InspectRequest).macaroon))
            return answer(inspected(macaroon, EpochSeconds(int(clock()))))

    def restrict() -> Response:
        thumbprint = client_certificate(request).thumbprint
        child = restricted(read_json(request, RestrictRequest), thumbprint, EpochSeconds(int(clock())))
        return answer(child)

    add_route(app, INSPECT, inspect, root_path)
    add_route(app, RESTRICT, restrict, root_path)


def restricted(
    wanted: RestrictRequest, certificate: Thumbprint | None, now: EpochSeconds
) -> RestrictedMacaroon:
    """Return the macaroon with the caveat appended, and bound to this certificate if `bind` is requested.

    Raises InvalidRequest for a malformed macaroon or caveat, and for `bind` without a certificate.
    """
    caveats: list[AnyCaveat] = []
    if wanted.caveat is not UNSET:
        caveats += _requested_caveats(wanted.caveat)
    caveats += _requested_custom(wanted.custom)
    if wanted.bind is not None:
        if certificate is None:
            raise InvalidRequest("bind: this connection has no client certificate: present one")
        caveats.append(confirmation(certificate))
    if not caveats:
        raise InvalidRequest("there is nothing to append: send caveat, custom or bind")
    with malformed_is_invalid():
        child = attenuate(wanted.macaroon, caveats)
        parent = read_macaroon(mended(wanted.macaroon))
    return RestrictedMacaroon(child, attenuation_warnings(parent, caveats, now))


@contextmanager
def malformed_is_invalid() -> Iterator[None]:
    """Turn MalformedMacaroon into InvalidRequest: the macaroon is input here, not a credential."""
    try:
        yield
    except MalformedMacaroon as error:
        raise InvalidRequest(f"macaroon: {error}") from error


def _requested_custom(members: dict[str, Raw]) -> list[AnyCaveat]:
    try:
        return [custom_caveat(name, bytes(value)) for name, value in members.items()]
    except ValueError as error:
        raise InvalidRequest(f"custom: {error}") from error


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
