"""A service that trusts issuers, with the clients and subjects that their JWTs become."""

from collections.abc import Mapping
from itertools import count
from typing import Any

from werkzeug.test import TestResponse

from macaroon_cbat.stores.grant_types import JWT_BEARER, TOKEN_EXCHANGE
from macaroon_cbat.stores.trust import TrustedIssuer, read_trust
from tests.support.databases import NOW
from tests.support.foreign_tokens import ec_key, key_set, public_jwk, signed_jwt
from tests.support.service import API, ISSUER, OTHER_API, SECRETS, Service, basic, client_metadata

IDP = "https://idp.example"
KEY = ec_key(11)
KEYS = key_set(public_jwk(KEY, "k1"))
GRANTS = (JWT_BEARER, TOKEN_EXCHANGE)
DEPLOYER = "system:deployer"
_numbers = count()

WORKLOAD: dict[str, Any] = {
    "issuer": IDP,
    "jwks": KEYS,
    "audiences": [ISSUER],
    "claims": {"sub": DEPLOYER},
    "client": "deployer",
    "scope": "read write",
    "resources": [API],
}
"""A trust whose JWTs are the credential of one client."""
PEOPLE: dict[str, Any] = {
    "issuer": IDP,
    "jwks": KEYS,
    "audiences": [ISSUER],
    "subject": "sub",
    "scope": "read",
    "resources": [API],
}
"""A trust whose JWTs name subjects, for any client with the grant."""


def trust(service: Service, name: str = "idp", members: Mapping[str, Any] = WORKLOAD, **changes: Any) -> None:
    """Let the service trust an issuer."""
    service.stores.trusted_issuers.add(name, read_trust({**members, **changes}, TrustedIssuer), NOW)
    service.app.extensions["macaroon_cbat"].forget()


def distrust(service: Service, name: str = "idp") -> None:
    assert service.stores.trusted_issuers.remove(name)
    service.app.extensions["macaroon_cbat"].forget()


def register(service: Service, client_id: str, **changes: Any) -> None:
    """Register a client that may use both grants; one with a secret has that of `billing`."""
    members = {"scope": "read write audit", "audiences": (API, OTHER_API), "grant_types": GRANTS}
    metadata = client_metadata(**{**members, **changes})
    has_secret = metadata.token_endpoint_auth_method.startswith("client_secret")
    secret = SECRETS["billing"] if has_secret else None
    service.stores.clients.add(client_id, metadata, secret=secret, now=NOW)


def a_jwt(key: Any = KEY, header: Mapping[str, Any] | None = None, /, **claims: Any) -> str:
    """Return a JWT of the issuer for the workload, with an id of its own."""
    members = {"iss": IDP, "aud": ISSUER, "sub": DEPLOYER, "exp": NOW + 300, "iat": NOW}
    members["jti"] = f"token-{next(_numbers)}"
    present = {name: value for name, value in {**members, **claims}.items() if value is not None}
    return signed_jwt({"alg": "ES256", "kid": "k1", **(header or {})}, present, key)


def bear(service: Service, assertion: str, client: str | None = None, **form: Any) -> TestResponse:
    """Ask for a token by the JWT bearer grant; a named client authenticates by the secret of `billing`."""
    return ask(service, {"grant_type": JWT_BEARER, "assertion": assertion} | form, client)


def ask(
    service: Service,
    form: Mapping[str, Any],
    client: str | None = None,
    certificate: Any = None,
    *,
    proof: str | None = None,
) -> TestResponse:
    """Send a token request; a named client authenticates by the secret of `billing`."""
    headers = {} if client is None else {"Authorization": basic(client, SECRETS["billing"])}
    headers |= {} if proof is None else {"DPoP": proof}
    form = {name: value for name, value in form.items() if value is not None}
    return service.open("/oauth2/token", certificate, data=form, headers=headers)
