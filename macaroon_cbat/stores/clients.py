"""Registered clients and resource servers: their names, authentication methods and rights."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from macaroon_cbat.certificate.thumbprint import parse_thumbprint
from macaroon_cbat.errors import InvalidClientMetadata, InvalidRedirectUri
from macaroon_cbat.macaroon.audiences import checked_audience
from macaroon_cbat.macaroon.claims import EpochSeconds, ScopeText, scope_tokens
from macaroon_cbat.stores.certificate_names import refuse_unmatchable_names, refuse_unreadable_subject
from macaroon_cbat.stores.client_rules import (
    refuse_certificate_names,
    refuse_grants,
    refuse_groups,
    refuse_judged,
    refuse_key_sources,
    refuse_lifetimes,
    refuse_name,
    refuse_public,
    refuse_repeated,
    refuse_repeated_audiences,
)
from macaroon_cbat.stores.grant_types import GrantType
from macaroon_cbat.stores.redirect_uris import redirect_mistake
from macaroon_cbat.stores.spiffe_ids import parse_spiffe_pattern
from macaroon_cbat.text.json_text import plain_reason

ClientAuthMethod = Literal[
    "client_secret_basic",
    "client_secret_post",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "private_key_jwt",
    "none",
]
SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})
UNUSED_METADATA = frozenset(
    {
        *("response_types", "client_uri", "logo_uri", "contacts", "tos_uri", "policy_uri"),
        *("software_id", "software_version", "software_statement"),
    }
)
"""The members of RFC 7591 2 and 2.3 that this service has no use for. It ignores them, as the RFC demands.

Any other unknown member is rejected by name: a mistyped right or restriction must not pass.
"""

CLIENT_NAME = r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}\Z"


class ClientMetadata(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The metadata of a client, named as in RFC 7591 and RFC 8705 2.1.2, 2.2.2 and 3.4.

    `audiences` are the resources that the client may request tokens for. `serves` are the audiences whose
    tokens it verifies as a resource server: it gets their keys and revocations, and introspects the tokens
    of every client for them. Neither right implies the other. A client without `scope` gets no token.
    `tls_client_auth_spiffe_id` is the SPIFFE ID of its workload, or a pattern of them that ends with /*.
    `certificates` are the thumbprints of its certificates, for self_signed_tls_client_auth. The keys of
    `jwks` or `jwks_uri` name theirs, or are those of private_key_jwt. Clients in `may_act` may exchange its
    tokens for others of the same subject (RFC 8693 4.4), itself among them for all its audiences. `groups`
    are those into which the operator has put it, for caveats that demand a member of one.
    `understands_caveats` states that this resource server judges every caveat itself, and `judged_caveats`
    that it judges details of these types, and custom caveats of these names if it understands caveats.
    `checks_certificates` and `checks_proofs` state that it compares `cnf` with certificates and DPoP proofs.
    """

    token_endpoint_auth_method: ClientAuthMethod = "client_secret_basic"
    grant_types: tuple[GrantType, ...] | None = None
    """None: client_credentials for a confidential client, and no grant for a public one."""
    client_name: str | None = None
    redirect_uris: tuple[str, ...] = ()
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    scope: ScopeText | None = None
    audiences: tuple[str, ...] = ()
    serves: tuple[str, ...] = ()
    authorization_details_types: tuple[str, ...] = ()
    may_act: tuple[Annotated[str, Meta(pattern=CLIENT_NAME)], ...] = ()
    refresh_idle_seconds: int | None = None
    refresh_max_seconds: int | None = None
    require_pushed_authorization_requests: bool = False
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    tls_client_auth_san_ip: str | None = None
    tls_client_auth_san_email: str | None = None
    tls_client_auth_spiffe_id: str | None = None
    certificates: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    understands_caveats: bool = False
    judged_caveats: tuple[str, ...] = ()
    checks_certificates: bool = False
    checks_proofs: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for metadata that could only fail, or that would be weaker than it looks."""
        refuse_repeated_audiences("audience", self.audiences)
        refuse_repeated_audiences("served audience", self.serves)
        if self.scope is None and not self.serves:
            raise ValueError("a client without a scope can do nothing: give it one, or an audience it serves")
        for certificate in self.certificates:
            parse_thumbprint(certificate)
        method, grants = self.token_endpoint_auth_method, self.allowed_grants
        if method == "none":
            is_bound = self.tls_client_certificate_bound_access_tokens or self.dpop_bound_access_tokens
            refuse_public(grants, is_bound=is_bound)
        refuse_certificate_names(method, self.certificate_names.values())
        refuse_name(self.client_name)
        refuse_grants(grants, self.redirect_uris, must_push=self.require_pushed_authorization_requests)
        refuse_lifetimes(self.refresh_idle_seconds, self.refresh_max_seconds, grants)
        refuse_repeated("client in may_act", self.may_act)
        refuse_repeated("authorization details type", self.authorization_details_types)
        refuse_groups(self.groups)
        refuse_judged(self.judged_caveats)
        refuse_key_sources(method, self.certificates, self.jwks, self.jwks_uri)

    @property
    def allowed_grants(self) -> tuple[GrantType, ...]:
        """The grant types that the client may use."""
        if self.grant_types is not None:
            return self.grant_types
        return () if self.token_endpoint_auth_method == "none" else ("client_credentials",)

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that the client may request."""
        return frozenset() if self.scope is None else scope_tokens(self.scope)

    @property
    def certificate_names(self) -> dict[str, str | None]:
        """The names that identify the client's certificate under tls_client_auth, by metadata member."""
        return {
            "tls_client_auth_subject_dn": self.tls_client_auth_subject_dn,
            "tls_client_auth_san_dns": self.tls_client_auth_san_dns,
            "tls_client_auth_san_uri": self.tls_client_auth_san_uri,
            "tls_client_auth_san_ip": self.tls_client_auth_san_ip,
            "tls_client_auth_san_email": self.tls_client_auth_san_email,
            "tls_client_auth_spiffe_id": self.tls_client_auth_spiffe_id,
        }


class Client(Struct, frozen=True):
    """A registered client. Only the hash of its secret is stored, and that of the one before.

    `tokens_since` is the second from which on its tokens are valid; those of earlier seconds are revoked.
    A client that registered itself openly is gone at `unused_until` if it got no token until then.
    """

    client_id: str
    secret_hash: bytes | None
    metadata: ClientMetadata
    created_at: EpochSeconds
    tokens_since: EpochSeconds
    unused_until: EpochSeconds | None = None
    old_secret_hash: bytes | None = None
    old_secret_until: EpochSeconds | None = None
    """The second in which the old secret proves nothing any more."""

    def __repr__(self) -> str:
        """Show the name, and no secret."""
        return f"<Client {self.client_id}>"


Metadata = TypeVar("Metadata", bound=ClientMetadata)


def used_metadata(members: dict[str, object]) -> dict[str, object]:
    """Return the members without the unused ones, and without names in a certain language (RFC 7591 2.2).

    Raises InvalidClientMetadata for another response type than `code`: the client would believe that it may
    use the implicit grant.
    """
    unused = UNUSED_METADATA
    wanted = members.get("response_types")
    if wanted not in (None, [], ["code"]):
        raise InvalidClientMetadata('response_types: code is the only response type here: send ["code"]')
    return {
        name: value
        for name, value in members.items()
        if name.partition("#")[0] not in unused and not name.startswith("client_name#")
    }


def metadata_from(members: dict[str, object], known: Iterable[str] = ()) -> ClientMetadata:
    """Return checked metadata.

    `known` are audiences that are registered already and are not checked again. Raises
    InvalidClientMetadata, which names the mistake.
    """
    return read_metadata(members, ClientMetadata, known)


def read_metadata(members: dict[str, object], shape: type[Metadata], known: Iterable[str] = ()) -> Metadata:
    """Return checked metadata of this shape, every audience in its canonical spelling.

    Raises InvalidClientMetadata, which names the mistake, and InvalidRedirectUri for a URI that is none.
    """
    try:
        metadata = msgspec.convert(used_metadata(members), shape)
        refuse_repeated("certificate", metadata.certificates)  # an older release stored such
        for uri in metadata.redirect_uris:
            if mistake := redirect_mistake(uri):
                raise InvalidRedirectUri(f"redirect URI {uri[:100]!r} {mistake}")
        metadata = msgspec.structs.replace(
            metadata,
            audiences=_checked_audiences("audience", metadata.audiences, known),
            serves=_checked_audiences("served audience", metadata.serves, known),
        )
        if metadata.tls_client_auth_spiffe_id is not None:
            parse_spiffe_pattern(metadata.tls_client_auth_spiffe_id)
        if metadata.tls_client_auth_subject_dn is not None:
            refuse_unreadable_subject(metadata.tls_client_auth_subject_dn)
        refuse_unmatchable_names(
            metadata.tls_client_auth_san_dns,
            metadata.tls_client_auth_san_uri,
            metadata.tls_client_auth_san_ip,
            metadata.tls_client_auth_san_email,
        )
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidClientMetadata(plain_reason(error)) from error
    except RecursionError:
        raise InvalidClientMetadata("the metadata are nested too deeply: send flat ones") from None
    return metadata


def _checked_audiences(kind: str, audiences: tuple[str, ...], known: Iterable[str]) -> tuple[str, ...]:
    return tuple(each if each in known else checked_audience(each, kind) for each in audiences)
