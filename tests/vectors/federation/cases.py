"""JWTs as five kinds of issuers shape them, each with cases that pass and cases that attackers would try."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from tests.support.foreign_tokens import ec_key, ed25519_key, key_set, public_jwk, signed_jwt
from tests.support.tokens import NOW

RSA = serialization.load_pem_private_key((Path(__file__).parent / "issuer-key.pem").read_bytes(), None)
KEYS = key_set(
    public_jwk(RSA, "rsa-1", use="sig"),
    public_jwk(ec_key(), "ec-1", use="sig", alg="ES256"),
    public_jwk(ed25519_key(), "ed-1", use="sig"),
)
HERE = "https://as.example"
RIGHTS = {"scope": "read", "resources": ["https://api.example"]}
UUID = "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


@dataclass(frozen=True, slots=True)
class Case:
    """One token, and the one trust that it is presented to; `subject` is that of the macaroon."""

    comment: str
    trust: dict[str, Any]
    token: str
    refusal: str | None = None
    subject: str | None = None
    now: int = NOW


@dataclass(frozen=True, slots=True)
class Shape:
    """One kind of issuer: its header and claims, and a trust in it that fits them."""

    header: dict[str, Any]
    claims: dict[str, Any]
    trust: dict[str, Any]
    subject: str | None
    key: Any = field(default=RSA)

    def case(
        self,
        comment: str,
        refusal: str | None = None,
        *,
        header: dict[str, Any] | None = None,
        trust: dict[str, Any] | None = None,
        without: tuple[str, ...] = (),
        key: Any = None,
        subject: str | None = None,
        **claims: Any,
    ) -> Case:
        """Return a case that differs by these members."""
        members = {name: value for name, value in {**self.claims, **claims}.items() if name not in without}
        token = signed_jwt({**self.header, **(header or {})}, members, self.key if key is None else key)
        named = (subject or self.subject) if refusal is None else None
        return Case(comment, {**self.trust, **(trust or {})}, token, refusal, named)


KEYCLOAK = Shape(
    {"alg": "RS256", "typ": "JWT", "kid": "rsa-1"},
    {
        "exp": NOW + 300,
        "iat": NOW,
        "jti": f"onrtac:{UUID}",
        "iss": "https://keycloak.example/realms/acme",
        "aud": ["macaroons", "account"],
        "sub": UUID,
        "typ": "Bearer",
        "azp": "web",
        "sid": UUID,
        "acr": "1",
        "realm_access": {"roles": ["offline_access", "staff"]},
        "resource_access": {"account": {"roles": ["view-profile"]}},
        "scope": "openid profile",
        "preferred_username": "alice",
    },
    {
        "issuer": "https://keycloak.example/realms/acme",
        "jwks": KEYS,
        "audiences": ["macaroons"],
        "claims": {"azp": "web", "typ": "Bearer", "/realm_access/roles": "staff"},
        "client": "web",
        "subject": "sub",
        "token_types": ["access_token"],
        **RIGHTS,
    },
    f"trust:{UUID}",
)
TENANT, OTHER_TENANT = "11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555"
ENTRA = Shape(
    {"typ": "JWT", "alg": "RS256", "kid": "rsa-1"},
    {
        "aud": "6f1c0b9e-1111-4222-8333-444455556666",
        "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 3900,
        "aio": "k2RgYJi6",
        "azp": "7a2d1c8f-1111-4222-8333-444455556666",
        "azpacr": "2",
        "idtyp": "app",
        "oid": UUID,
        "rh": "1.AXoA",
        "roles": ["Invoices.Read"],
        "sub": UUID,
        "tid": TENANT,
        "uti": "kBq1Zf8mQkTqYw5h7RsAAA",
        "ver": "2.0",
    },
    {
        "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "jwks": KEYS,
        "audiences": ["6f1c0b9e-1111-4222-8333-444455556666"],
        "claims": {"oid": UUID, "idtyp": "app", "roles": "Invoices.Read"},
        "client": "invoices",
        **RIGHTS,
    },
    None,
)
KUBERNETES = Shape(
    {"alg": "RS256", "kid": "rsa-1"},
    {
        "aud": [HERE],
        "exp": NOW + 3607,
        "iat": NOW,
        "iss": "https://kubernetes.default.svc.cluster.local",
        "jti": UUID,
        "kubernetes.io": {
            "namespace": "prod",
            "node": {"name": "node-1", "uid": UUID},
            "pod": {"name": "deployer-6d9f7c-x2x4z", "uid": UUID},
            "serviceaccount": {"name": "deployer", "uid": UUID},
            "warnafter": NOW + 3000,
        },
        "nbf": NOW,
        "sub": "system:serviceaccount:prod:deployer",
    },
    {
        "issuer": "https://kubernetes.default.svc.cluster.local",
        "jwks": KEYS,
        "audiences": [HERE],
        "claims": {"/kubernetes.io/namespace": "prod", "/kubernetes.io/serviceaccount/name": "deployer"},
        "client": "deployer",
        "reusable": True,
        **RIGHTS,
    },
    None,
)
GITHUB = Shape(
    {"typ": "JWT", "alg": "RS256", "x5t": "eBZ_cn3sXYAd0ch4THBKHIgOwOE", "kid": "rsa-1"},
    {
        "jti": UUID,
        "sub": "repo:octo-org/octo-repo:ref:refs/heads/main",
        "aud": HERE,
        "ref": "refs/heads/main",
        "sha": "0123456789abcdef0123456789abcdef01234567",
        "repository": "octo-org/octo-repo",
        "repository_owner": "octo-org",
        "repository_owner_id": "65",
        "repository_id": "74",
        "run_id": "1234567890",
        "run_number": "10",
        "run_attempt": "1",
        "repository_visibility": "private",
        "actor_id": "12",
        "actor": "octocat",
        "workflow": "release",
        "head_ref": "",
        "base_ref": "",
        "event_name": "push",
        "ref_protected": "true",
        "ref_type": "branch",
        "workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
        "job_workflow_ref": "octo-org/octo-repo/.github/workflows/release.yml@refs/heads/main",
        "runner_environment": "github-hosted",
        "iss": "https://token.actions.githubusercontent.com",
        "nbf": NOW - 300,
        "exp": NOW + 600,
        "iat": NOW,
    },
    {
        "issuer": "https://token.actions.githubusercontent.com",
        "jwks": KEYS,
        "audiences": [HERE],
        "claims": {"sub": "repo:octo-org/octo-repo:ref:refs/heads/main", "repository_owner_id": "65"},
        "client": "deployer",
        **RIGHTS,
    },
    None,
)
DOMAIN = "spiffe://prod.example"
SPIFFE = Shape(
    {"alg": "ES256", "kid": "svid-1", "typ": "JWT"},
    {"aud": [HERE], "exp": NOW + 300, "iat": NOW, "sub": f"{DOMAIN}/ns/pay/sa/api"},
    {
        "issuer": DOMAIN,
        "jwks": {
            "keys": [
                public_jwk(ec_key(9), "x509-1", use="x509-svid", x5c=["MIIB"]),
                public_jwk(ec_key(), "svid-1", use="jwt-svid"),
            ],
            "spiffe_sequence": 12,
            "spiffe_refresh_hint": 300,
        },
        "audiences": [HERE],
        "claims": {"sub": f"{DOMAIN}/ns/pay/sa/*"},
        "client": "pay",
        "reusable": True,
        **RIGHTS,
    },
    None,
    ec_key(),
)
