"""The members of the metadata about grants, the authentication of clients, bound tokens and scopes."""

from collections.abc import Callable, Mapping

from macaroon_cbat.macaroon.proof_keys import SIGNING_ALGORITHMS
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.oauth2.registered_scopes import RegisteredScopes
from macaroon_cbat.stores.client_rules import PUBLIC_GRANTS
from macaroon_cbat.stores.clients import SECRET_METHODS
from macaroon_cbat.stores.trust import ALGORITHMS

_BY_JWT = ("token", "introspection", "revocation")
"""The endpoints at which a client may authenticate by a JWT."""


def server_metadata(
    server: AuthorizationServer, scopes: RegisteredScopes, *, trusts_a_ca: bool
) -> Callable[[str], Mapping[str, object]]:
    """Return the contribution. `tls_client_auth` is offered only where a CA is trusted for it.

    `none` is a method of the token endpoint only where a public client can begin a grant. Scopes are those of
    clients for resource servers; where there are none, none are named (RFC 8414 2).
    """
    methods = [*sorted(SECRET_METHODS), "private_key_jwt", "self_signed_tls_client_auth"]
    if trusts_a_ca:
        methods.append("tls_client_auth")
    grants = [one.grant_type for one in server.offered]
    is_public = bool(PUBLIC_GRANTS & {*grants} - {"refresh_token"})
    fixed: dict[str, object] = {
        "grant_types_supported": grants,
        "response_types_supported": [],  # unless there is an authorization endpoint
        "token_endpoint_auth_methods_supported": [*methods, "none"] if is_public else methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": [*methods, "none"],
        **{f"{name}_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS) for name in _BY_JWT},
        "tls_client_certificate_bound_access_tokens": True,
        "dpop_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
    }

    def members(_base: str) -> Mapping[str, object]:
        supported = sorted(scopes.current())
        return fixed | ({"scopes_supported": supported} if supported else {})

    return members
