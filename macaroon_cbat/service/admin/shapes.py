"""The shapes of administration: what its verbs take and answer, over HTTP and on the command line."""

from typing import Annotated

from msgspec import Meta, Struct

from macaroon_cbat.macaroon.revocation import Revocation, RevocationKind
from macaroon_cbat.service.oauth2.shapes import ClientName
from macaroon_cbat.stores import ClientMetadata


class ClientRegistration(ClientMetadata, frozen=True, kw_only=True):
    """A client to register (RFC 7591 3.1); the service draws a `client_id` where none is wanted."""

    client_id: ClientName | None = None


class ClientRecord(ClientMetadata, frozen=True, kw_only=True):
    """A registered client; `client_id_issued_at` counts seconds since 1970 (RFC 7591 3.2.1)."""

    client_id: str
    client_id_issued_at: int


class NewClient(ClientRecord, frozen=True, kw_only=True):
    """A client just registered. Its secret, where it has one, is never shown again; 0: it never expires."""

    client_secret: str | None = None
    client_secret_expires_at: int | None = None

    def __repr__(self) -> str:
        """Show who it is, not how it proves it."""
        return f"<NewClient {self.client_id}>"


class ChangedClient(ClientRecord, frozen=True, kw_only=True):
    """A client just changed. `tokens_revoked`: it has lost a right, and with it the tokens it had."""

    tokens_revoked: bool


class RevocationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to revoke: a token's id, a client, subject, family, key, or a certificate's thumbprint.

    `force`: also the tokens of a client or subject that no registered client is named like.
    """

    kind: RevocationKind
    value: Annotated[str, Meta(min_length=1, max_length=255)]
    force: bool = False


class RevocationList(Struct, frozen=True):
    """Live revocations, oldest decision first; where there are more, they come after `cursor`."""

    revocations: list[Revocation]
    cursor: str | None = None
