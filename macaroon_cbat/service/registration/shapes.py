"""The shapes of registration over HTTP (RFC 7591 3, RFC 7592 3), and of invitations."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from macaroon_cbat.macaroon.claims import ScopeText
from macaroon_cbat.service.registration.bounds import HostText
from macaroon_cbat.stores.clients import ClientAuthMethod
from macaroon_cbat.stores.grant_types import GrantType

LONGEST_INVITATION = 90 * 86_400
"""Seconds that an invitation lives at most."""


class RegistrationRequest(Struct, frozen=True, kw_only=True):
    """The client metadata that a client may register itself. Any other member is ignored (RFC 7591 2).

    What is absent is filled in: `scope` and `audiences` with all that is open here, and the binding of a
    public client to its certificate. A scope beyond the bounds is left out.
    """

    redirect_uris: list[str] | None = None
    token_endpoint_auth_method: str | None = None
    grant_types: list[str] | None = None
    response_types: list[str] | None = None
    client_name: str | None = None
    scope: str | None = None
    audiences: list[str] | None = None
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    dpop_bound_access_tokens: bool | None = None
    require_pushed_authorization_requests: bool | None = None
    tls_client_certificate_bound_access_tokens: bool | None = None
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    tls_client_auth_san_ip: str | None = None
    tls_client_auth_san_email: str | None = None
    tls_client_auth_spiffe_id: str | None = None


class UpdateRequest(RegistrationRequest, frozen=True, kw_only=True):
    """All metadata of a client, in the place of what it registered before (RFC 7592 2.2)."""

    client_id: str
    client_secret: str | None = None


class RegistrationAnswer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The metadata that are really registered (RFC 7591 3.2.1); the secret is in the first answer alone."""

    client_id: str
    client_id_issued_at: int
    registration_client_uri: str
    registration_access_token: str
    token_endpoint_auth_method: ClientAuthMethod
    grant_types: list[GrantType]
    response_types: list[str]
    client_secret: str | None = None
    client_secret_expires_at: int | None = None
    redirect_uris: tuple[str, ...] = ()
    client_name: str | None = None
    scope: str | None = None
    audiences: tuple[str, ...] = ()
    jwks: dict[str, Any] | None = None
    jwks_uri: str | None = None
    dpop_bound_access_tokens: bool = False
    require_pushed_authorization_requests: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    tls_client_auth_subject_dn: str | None = None
    tls_client_auth_san_dns: str | None = None
    tls_client_auth_san_uri: str | None = None
    tls_client_auth_san_ip: str | None = None
    tls_client_auth_san_email: str | None = None
    tls_client_auth_spiffe_id: str | None = None

    def __repr__(self) -> str:
        """Show the client's name, never its secret or token."""
        return f"<RegistrationAnswer of {self.client_id}>"


class InvitationRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An invitation to make: all that may be registered with it; `lifetime` counts seconds."""

    scope: ScopeText
    audiences: tuple[str, ...] = ()
    hosts: tuple[HostText, ...] = ()
    grant_types: tuple[GrantType, ...] = ("authorization_code", "refresh_token")
    token_endpoint_auth_methods: tuple[ClientAuthMethod, ...] = ("none",)
    registrations: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    lifetime: Annotated[int, Meta(ge=1, le=LONGEST_INVITATION)] = 86_400


class NewInvitation(Struct, frozen=True):
    """A new initial access token (RFC 7591 1.2). It is never shown again; its id revokes it."""

    initial_access_token: str
    token_id: str
    expires_at: int

    def __repr__(self) -> str:
        """Show the id, never the token."""
        return f"<NewInvitation {self.token_id}>"
