"""Trusted issuers: the issuers of JWTs whose users and workloads get macaroons, and the bounds of that."""

import re
from typing import Annotated, Any, Literal, TypeVar, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.audiences import audience_mistake, checked_audience
from macaroon_cbat.macaroon.claims import ScopeText
from macaroon_cbat.stores.clients import CLIENT_NAME
from macaroon_cbat.text.json_text import plain_reason

TrustUse = Literal["jwt-bearer", "token-exchange", "client-authentication"]
"""The doors that a JWT may come through: RFC 7523 2.1, RFC 8693, RFC 7523 2.2."""
ForeignTokenType = Literal["jwt", "id_token", "access_token"]
"""The last part of `urn:ietf:params:oauth:token-type:...` (RFC 8693 3)."""
TrustedAlgorithm = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
    "Ed448",
]
"""A signature algorithm with a public key (RFC 7518 3.1, RFC 8037, RFC 9864): no other is ever accepted."""

ALGORITHMS: tuple[TrustedAlgorithm, ...] = get_args(TrustedAlgorithm)
GRANTING = frozenset({"jwt-bearer", "token-exchange"})
SPIFFE = "spiffe://"

_TrustName = Annotated[str, Meta(pattern=CLIENT_NAME)]
_ClaimName = Annotated[str, Meta(min_length=1, max_length=255)]
_ClaimValue = Annotated[str, Meta(min_length=1, max_length=1024)]
_JUDGED = frozenset({"iss", "aud", "exp", "nbf", "iat", "jti", "cnf", "act", "may_act"})
"""Claims that have a rule of their own."""
_MOST_KEY_BYTES, _MOST_CA_BYTES = 48 * 1024, 48 * 1024
_TRUST_DOMAIN = re.compile(r"spiffe://[a-z0-9._-]{1,255}\Z")


class TrustedIssuer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An issuer that the operator trusts, for JWTs with these claims, as this client or for its subjects.

    `issuer` is the claim `iss`, letter by letter, or `spiffe://TRUST-DOMAIN` for JWT-SVIDs, which have none.
    Its keys are `jwks`, or those at `jwks_uri`, or those that its metadata name. `audiences` are the values
    of `aud` that mean this service. `claims` must all be in the JWT; `*` in a value stands for letters,
    digits and `. _ ~ + -`, one at least. A name that begins with `/` is a JSON Pointer (RFC 6901). The JWT is
    the credential of the registered `client`, or, with `subject`, names the subject by that claim: the client
    must then authenticate. A macaroon has at most `scope`, for one of `resources`. A JWT is accepted once,
    unless it is `reusable`.
    """

    issuer: Annotated[str, Meta(min_length=1, max_length=1024)]
    audiences: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=1024)], ...], Meta(min_length=1, max_length=16)
    ]
    claims: Annotated[dict[_ClaimName, _ClaimValue], Meta(max_length=32)] = {}
    client: _TrustName | None = None
    subject: _ClaimName | None = None
    scope: ScopeText | None = None
    resources: Annotated[tuple[str, ...], Meta(max_length=64)] = ()
    uses: Annotated[tuple[TrustUse, ...], Meta(min_length=1)] = ("jwt-bearer", "token-exchange")
    token_types: Annotated[tuple[ForeignTokenType, ...], Meta(min_length=1)] = ("jwt",)
    algorithms: Annotated[tuple[TrustedAlgorithm, ...], Meta(min_length=1)] = ALGORITHMS
    reusable: bool = False
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    issuer_ca: Annotated[str, Meta(min_length=1)] | None = None
    private_addresses: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for trust that could only fail, or that would be wider than it looks."""
        self._refuse_keys()
        self._refuse_claims()
        self._refuse_mapping()

    def _refuse_keys(self) -> None:
        """Raise ValueError unless the keys have exactly one place, which the operator has named."""
        if not self.is_trust_domain and (mistake := https_mistake(self.issuer)):
            raise ValueError(f"the issuer {self.issuer!r} {mistake}")
        if "?" in self.issuer:
            raise ValueError("the issuer has a query, which no issuer has (RFC 8414 2): leave it out")
        if self.jwks is not None and self.jwks_uri is not None:
            raise ValueError("jwks and jwks_uri are two places of the keys: give one of them")
        if self.is_trust_domain and self.jwks is None and self.jwks_uri is None:
            raise ValueError(
                "a SPIFFE trust domain has no metadata: give its bundle as jwks, or its jwks_uri"
            )
        if self.jwks_uri is not None and (mistake := https_mistake(self.jwks_uri)):
            raise ValueError(f"jwks_uri {self.jwks_uri!r} {mistake}")
        if self.jwks is not None and (self.issuer_ca is not None or self.private_addresses):
            raise ValueError("with jwks nothing is fetched: leave out issuer_ca and private_addresses")
        if self.jwks is not None and len(msgspec.json.encode(self.jwks)) > _MOST_KEY_BYTES:
            raise ValueError(f"jwks is larger than {_MOST_KEY_BYTES} bytes: leave old keys out")
        if self.issuer_ca is not None and len(self.issuer_ca) > _MOST_CA_BYTES:
            raise ValueError(
                f"issuer_ca is larger than {_MOST_CA_BYTES} bytes: give the CA of the issuer alone"
            )

    def _refuse_claims(self) -> None:
        """Raise ValueError for a required claim that has its own rule, or that any token would have."""
        for name, value in self.claims.items():
            if name in _JUDGED:
                raise ValueError(f"the claim {name} has a rule of its own: leave it out")
            if not value.strip("*"):
                raise ValueError(f"the claim {name} may have any value: write what identifies the caller")
        for name in (*self.claims, *([] if self.subject is None else [self.subject])):
            if name.startswith("/") and _STRAY_TILDE.search(name):
                raise ValueError(f"the JSON Pointer {name!r} has a stray ~: write ~0 for ~, and ~1 for /")

    def _refuse_mapping(self) -> None:
        """Raise ValueError unless it is plain whom a JWT names, and which rights it gets at most."""
        if self.client is None and self.subject is None:
            raise ValueError(
                "a JWT of this issuer names neither client nor subject: give client, subject or both"
            )
        if self.subject is None and not self.claims:
            raise ValueError(
                f"every JWT of this issuer would be client {self.client}: give the claims of one workload"
            )
        if "client-authentication" in self.uses and self.subject is not None:
            raise ValueError("a JWT that authenticates a client names no subject: leave subject out")
        if GRANTING.intersection(self.uses) and (self.scope is None or not self.resources):
            raise ValueError(
                "a grant needs bounds: give the scope and the resources that it may have at most"
            )

    @property
    def is_trust_domain(self) -> bool:
        """True for a SPIFFE trust domain, whose JWT-SVIDs need no `iss`."""
        return _TRUST_DOMAIN.match(self.issuer) is not None


class TrustRecord(Struct, frozen=True):
    """A trusted issuer by the name that the operator gave it."""

    name: str
    trusted: TrustedIssuer
    created_at: int


def https_mistake(url: str) -> str | None:
    """Return why a URL is none that a document can be fetched from, as a predicate; None for one."""
    if not url.startswith("https://"):
        return "does not begin with https://: write https://HOST[:PORT][/PATH]"
    return audience_mistake(url)


def origin_of(url: str) -> tuple[str, int]:
    """Return host and port of an https URL that has no mistake."""
    parts = urlsplit(url)
    return (parts.hostname or "").lower(), parts.port or 443


Trust = TypeVar("Trust", bound=TrustedIssuer)


def read_trust(members: dict[str, object], shape: type[Trust]) -> Trust:
    """Return checked trust of this shape, every resource in its canonical spelling. Raises InvalidRequest."""
    try:
        trusted = msgspec.convert(members, shape)
        resources = tuple(dict.fromkeys(checked_audience(one, "resource") for one in trusted.resources))
        return msgspec.structs.replace(trusted, resources=resources)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidRequest(plain_reason(error)) from error


_STRAY_TILDE = re.compile(r"~(?![01])")
