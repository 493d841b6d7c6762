"""The shapes of administration: requests and answers of its verbs, over HTTP and on the command line."""

from typing import Annotated

from msgspec import Meta, Struct

from macaroon_cbat.macaroon.revocation import Revocation, RevocationKind
from macaroon_cbat.service.oauth2.shapes import ClientName
from macaroon_cbat.stores import ClientMetadata, TrustedIssuer


class ClientRegistration(ClientMetadata, frozen=True, kw_only=True):
    """A client to register (RFC 7591 3.1); the service draws a `client_id` if it is null."""

    client_id: ClientName | None = None


class ClientRecord(ClientMetadata, frozen=True, kw_only=True):
    """A registered client; `client_id_issued_at` is seconds since 1970 (RFC 7591 3.2.1)."""

    client_id: str
    client_id_issued_at: int


class NewClient(ClientRecord, frozen=True, kw_only=True):
    """A new client. Its secret, if it has one, is never shown again; expiry 0 means never."""

    client_secret: str | None = None
    client_secret_expires_at: int | None = None

    def __repr__(self) -> str:
        """Show the client's name, never its secret."""
        return f"<NewClient {self.client_id}>"


class ChangedClient(ClientRecord, frozen=True, kw_only=True):
    """A changed client. `tokens_revoked` is true if it has lost a right, and its tokens with it."""

    tokens_revoked: bool


class TrustRegistration(TrustedIssuer, frozen=True, kw_only=True):
    """An issuer of JWTs to trust, under a name that its subjects bear."""

    name: ClientName


class TrustedIssuerRecord(TrustedIssuer, frozen=True, kw_only=True):
    """A trusted issuer; `created_at` is seconds since 1970."""

    name: str
    created_at: int


class RevocationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A value to revoke: a token's id, a client, subject, family, key, or a certificate's thumbprint.

    `force` revokes the tokens of a client or subject even if no client of that name is registered.
    """

    kind: RevocationKind
    value: Annotated[str, Meta(min_length=1, max_length=255)]
    force: bool = False


class RevocationList(Struct, frozen=True):
    """Live revocations, oldest decision first; further ones come after `cursor` unless it is null."""

    revocations: list[Revocation]
    cursor: str | None = None
