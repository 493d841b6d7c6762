"""What the service says about itself (RFC 8414, RFC 8705 3.3 and 5). Built from settings, never from Host."""

from collections.abc import Iterable

from macaroon_cbat.macaroon.issuers import WELL_KNOWN
from macaroon_cbat.service.oauth2.authorization_server import GRANT_TYPES
from macaroon_cbat.stores.clients import SECRET_METHODS

TOKEN_PATH, INTROSPECTION_PATH, REVOCATION_PATH = "/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"
INSPECT_PATH, RESTRICT_PATH = "/macaroon/inspect", "/macaroon/restrict"
KEYS_PATH, REVOCATIONS_PATH = "/resource/keys", "/resource/revocations"
METADATA_PATH = WELL_KNOWN


def authorization_server_metadata(
    issuer: str, mtls_url: str, scopes: Iterable[str] = (), *, trusts_a_ca: bool
) -> dict[str, object]:
    """Return the metadata document. `tls_client_auth` is offered only where a CA is trusted for it.

    `scopes` are those of clients for resource servers; where there are none, none are named (RFC 8414 2).
    """
    supported = {"scopes_supported": sorted(scopes)}
    methods = [*sorted(SECRET_METHODS), "self_signed_tls_client_auth"]
    if trusts_a_ca:
        methods.append("tls_client_auth")
    return {
        "issuer": issuer,
        **_endpoints(issuer),
        **{name: value for name, value in supported.items() if value},
        "macaroon_inspection_endpoint": issuer + INSPECT_PATH,
        "macaroon_restriction_endpoint": issuer + RESTRICT_PATH,
        "mtls_endpoint_aliases": _endpoints(mtls_url),
        "tls_client_certificate_bound_access_tokens": True,
        "grant_types_supported": list(GRANT_TYPES),
        "response_types_supported": [],  # there is no authorization endpoint
        "token_endpoint_auth_methods_supported": methods,  # no grant yet that a public client may use
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
    }


def _endpoints(base: str) -> dict[str, str]:
    return {
        "token_endpoint": base + TOKEN_PATH,
        "introspection_endpoint": base + INTROSPECTION_PATH,
        "revocation_endpoint": base + REVOCATION_PATH,
        "audience_keys_endpoint": base + KEYS_PATH,
        "revocation_feed_endpoint": base + REVOCATIONS_PATH,
    }
