"""The metadata of the service (RFC 8414, RFC 8705 3.3 and 5), built from settings, never from Host."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from flask import Flask, Response

from macaroon_cbat.macaroon.issuers import WELL_KNOWN
from macaroon_cbat.service.http.operations import Operation
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.locations import Locations
from macaroon_cbat.service.macaroon_tools import INSPECT, RESTRICT
from macaroon_cbat.service.oauth2.grants.offered import OFFERED
from macaroon_cbat.service.oauth2.registered_scopes import RegisteredScopes
from macaroon_cbat.service.oauth2.routes import INTROSPECT, REVOKE, TOKEN
from macaroon_cbat.service.resource_feeds import KEYS, REVOCATIONS
from macaroon_cbat.stores.clients import SECRET_METHODS
from macaroon_cbat.stores.trust import ALGORITHMS

DEFAULT_GRANTS = tuple(one.grant_type for one in OFFERED)
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


def metadata_routes(
    app: Flask,
    scopes: RegisteredScopes,
    locations: Locations,
    *,
    trusts_a_ca: bool,
    grant_types: Sequence[str] = DEFAULT_GRANTS,
    parts: Sequence[Contribution] = (),
) -> None:
    """Route the metadata before the issuer's path (RFC 8414 3.1) and below it.

    `parts` are those of the service that are on.
    """

    def metadata() -> Response:
        document = authorization_server_metadata(
            locations.issuer,
            locations.mtls_url,
            scopes.current(),
            trusts_a_ca=trusts_a_ca,
            grant_types=grant_types,
            parts=parts,
        )
        return answer(document, cacheable=True)

    for rule in locations.metadata_routes:
        app.add_url_rule(rule, METADATA.endpoint, metadata, methods=[METADATA.method])


def authorization_server_metadata(
    issuer: str,
    mtls_url: str,
    scopes: Iterable[str] = (),
    *,
    trusts_a_ca: bool,
    grant_types: Sequence[str] = DEFAULT_GRANTS,
    parts: Sequence[Contribution] = (),
) -> dict[str, object]:
    """Return the metadata document. `tls_client_auth` is offered only where a CA is trusted for it.

    `scopes` are those of clients for resource servers; where there are none, none are named (RFC 8414 2).
    """
    supported = {"scopes_supported": sorted(scopes)}
    methods = [*sorted(SECRET_METHODS), "private_key_jwt", "self_signed_tls_client_auth"]
    if trusts_a_ca:
        methods.append("tls_client_auth")
    return {
        "issuer": issuer,
        **_endpoints(issuer),
        **{name: value for name, value in supported.items() if value},
        "macaroon_inspection_endpoint": issuer + INSPECT.path,
        "macaroon_restriction_endpoint": issuer + RESTRICT.path,
        "mtls_endpoint_aliases": {**_endpoints(mtls_url), **_aliases(parts, mtls_url)},
        "tls_client_certificate_bound_access_tokens": True,
        "grant_types_supported": list(grant_types),
        "response_types_supported": [],  # there is no authorization endpoint
        **{f"{name}_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS) for name in _ENDPOINTS},
        "token_endpoint_auth_methods_supported": methods,  # no grant yet that a public client may use
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
        **{name: value for part in parts for name, value in part(issuer).items()},
    }


def _aliases(parts: Iterable[Contribution], mtls_url: str) -> dict[str, object]:
    """Return the endpoints of these parts below the URL for clients with certificates (RFC 8705 5)."""
    members = {name: value for part in parts for name, value in part(mtls_url).items()}
    return {
        name: url for name, url in members.items() if name.endswith("_endpoint") and name not in _OF_BROWSERS
    }


def _endpoints(base: str) -> dict[str, str]:
    return {
        "token_endpoint": base + TOKEN.path,
        "introspection_endpoint": base + INTROSPECT.path,
        "revocation_endpoint": base + REVOKE.path,
        "audience_keys_endpoint": base + KEYS.path,
        "revocation_feed_endpoint": base + REVOCATIONS.path,
    }
