"""The shapes of administration: requests and answers of its verbs, over HTTP and on the command line."""

from typing import Annotated

from msgspec import Meta, Struct

from macaroon_cbat.macaroon.revocation import Revocation, RevocationKind
from macaroon_cbat.service.oauth2.shapes import ClientName
from macaroon_cbat.stores import ClientMetadata, TrustedIssuer
from macaroon_cbat.stores.client_secrets import LONGEST_OVERLAP

SecretHash = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""The SHA-256 of a secret, in hexadecimal digits."""


class ClientRegistration(ClientMetadata, frozen=True, kw_only=True):
    """A client to register (RFC 7591 3.1); the service draws a `client_id` if it is null.

    `client_secret_sha256` is the SHA-256 of a random secret that the client has already. Without it the
    service draws one.
    """

    client_id: ClientName | None = None
    client_secret_sha256: SecretHash | None = None


class ClientRecord(ClientMetadata, frozen=True, kw_only=True):
    """A registered client; `client_id_issued_at` is seconds since 1970 (RFC 7591 3.2.1).

    `client_secret_id` names its secret, and tells nothing of it but whether it is the same as before.
    """

    client_id: str
    client_id_issued_at: int
    client_secret_id: str | None = None
    old_secret_until: int | None = None


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


class SecretRotation(Struct, frozen=True, forbid_unknown_fields=True):
    """The next secret of a client: drawn by the service, or the one with this SHA-256.

    The old secret stays valid for `keep_old_seconds`. Without them it ends at once, with the client's tokens.
    """

    keep_old_seconds: Annotated[int, Meta(ge=0, le=LONGEST_OVERLAP)] = 0
    client_secret_sha256: SecretHash | None = None


class RotatedSecret(Struct, frozen=True, kw_only=True):
    """The next secret of a client, which is never shown again; null where the caller named its hash."""

    client_id: str
    client_secret: str | None
    client_secret_expires_at: int
    old_secret_until: int | None
    tokens_revoked: bool

    def __repr__(self) -> str:
        """Show the client's name, never its secret."""
        return f"<RotatedSecret {self.client_id}>"


class TrustRegistration(TrustedIssuer, frozen=True, kw_only=True):
    """An issuer of JWTs to trust, under a name that its subjects bear."""

    name: ClientName


class TrustedIssuerRecord(TrustedIssuer, frozen=True, kw_only=True):
    """A trusted issuer; `created_at` is seconds since 1970."""

    name: str
    created_at: int


class RevocationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A value to revoke: a token's id, a client, subject, family, key, or a certificate's thumbprint.

    Kind `all` with the value `tokens` revokes every token so far.
    `force` revokes the tokens of a client or subject even if no client of that name is registered.
    """

    kind: RevocationKind
    value: Annotated[str, Meta(min_length=1, max_length=255)]
    force: bool = False


class RevocationList(Struct, frozen=True):
    """Live revocations, oldest decision first; further ones come after `cursor` unless it is null."""

    revocations: list[Revocation]
    cursor: str | None = None
