"""The metadata of the service (RFC 8414, RFC 8705 3.3 and 5), built from settings, never from Host.

Each part of the service contributes the members about itself, where its routes are; a part that is off
contributes nothing. There is no `/.well-known/openid-configuration`: the service gives no ID tokens and is no
OpenID provider, and a client that would take it for one is better off with 404.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flask import Flask, Response

from macaroon_cbat.macaroon.issuers import WELL_KNOWN
from macaroon_cbat.service.http.operations import Operation
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.locations import Locations

METADATA = Operation(
    method="GET",
    path=WELL_KNOWN,
    label="authorization_server_metadata",
    summary="Find the endpoints (RFC 8414)",
    caller="any",
    answer=dict[str, Any],
)

Contribution = Callable[[str], Mapping[str, object]]
"""Returns the members about one part of the service, for the base URL of its endpoints."""

_ENDPOINTS = ("token", "introspection", "revocation")
"""The endpoints at which a client may authenticate by a JWT."""

_OF_BROWSERS = ("authorization_endpoint",)
"""The endpoints to which no client connects."""


def metadata_routes(app: Flask, locations: Locations, parts: Sequence[Contribution]) -> None:
    """Route the metadata before the issuer's path (RFC 8414 3.1) and below it.

    `parts` are those of the service that are on; of two with the same member, the later one replaces it.
    """

    def metadata() -> Response:
        return answer(service_metadata(locations.issuer, locations.mtls_url, parts), cacheable=True)

    for rule in locations.metadata_routes:
        app.add_url_rule(rule, METADATA.endpoint, metadata, methods=[METADATA.method])


def service_metadata(issuer: str, mtls_url: str, parts: Iterable[Contribution]) -> dict[str, object]:
    """Return the metadata document. Every endpoint of clients has an alias for mutual TLS (RFC 8705 5)."""
    parts = tuple(parts)
    there = _members(parts, mtls_url).items()
    aliases = {name: url for name, url in there if name.endswith("_endpoint") and name not in _OF_BROWSERS}
    return {"issuer": issuer, **_members(parts, issuer), "mtls_endpoint_aliases": aliases}


def _members(parts: Iterable[Contribution], base: str) -> dict[str, object]:
    return {name: value for part in parts for name, value in part(base).items()}
