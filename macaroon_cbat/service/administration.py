"""The verbs of administration: what `macaroon-cbat` does on the database, and what it does over HTTP."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, get_args

from msgspec import Meta, Struct
from msgspec.structs import asdict

from macaroon_cbat.audit import EventKind
from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.errors import InvalidRequest, NotFound, Unavailable
from macaroon_cbat.revocation import Revocation, RevocationKind
from macaroon_cbat.service.cursors import BEGINNING, read_cursor, view_name, write_cursor
from macaroon_cbat.service.revoking import expiry_of, revocable
from macaroon_cbat.stores import Client, ClientMetadata, RootKeyRecord, Stores
from macaroon_cbat.stores.clients import CLIENT_NAME, SECRET_METHODS, read_metadata

SECRET_BYTES = 32
LIST_PAGE = 1000
"""How many revocations one answer lists at most."""

_NAME_BYTES = 12
_EVERYBODY = ["every audience"]

_MEMBERS: dict[RevocationKind, str] = {
    "token": "token_id",
    "client": "client_id",
    "subject": "subject",
    "family": "family",
    "key": "kid",
    "certificate": "certificate",
}
"""Which member of an audit event names what was taken back."""

ClientName = Annotated[str, Meta(extra_json_schema={"pattern": CLIENT_NAME})]


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


class RevocationRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What to take back: a token's id, a client, subject, family, key, or a certificate's thumbprint."""

    kind: RevocationKind
    value: Annotated[str, Meta(min_length=1, max_length=255)]


class RevocationList(Struct, frozen=True):
    """Live revocations, oldest decision first; where there are more, they come after `cursor`."""

    revocations: list[Revocation]
    cursor: str | None = None


class Audit(Protocol):
    """Writes an audit event, or raises Unavailable."""

    def __call__(self, kind: EventKind, /, **members: Any) -> None:
        """Write what was done."""


@dataclass(frozen=True, slots=True)
class Administration:
    """Administers these stores; `clock` tells the second, and `audit` writes what was done.

    When it cannot be written, Unavailable is raised: what was done stays done, but for a client, whose
    secret nobody has seen yet.
    """

    stores: Stores
    clock: Callable[[], float]
    audit: Audit

    def clients(self) -> list[ClientRecord]:
        """Return every client, by name."""
        return [_shown(client) for client in self.stores.clients.all()]

    def client(self, client_id: str) -> ClientRecord:
        """Return a client, or raise NotFound."""
        client = self.stores.clients.find(client_id)
        if client is None:
            raise _no_client(client_id)
        return _shown(client)

    def add_client(self, members: dict[str, object]) -> NewClient:
        """Register a client as the members of a ClientRegistration say, with a secret where it needs one.

        Raises InvalidClientMetadata, or ClientExists when the name is taken.
        """
        wanted = read_metadata(members, ClientRegistration)
        client_id = secrets.token_hex(_NAME_BYTES) if wanted.client_id is None else wanted.client_id
        metadata = ClientMetadata(
            **{name: getattr(wanted, name) for name in ClientMetadata.__struct_fields__}
        )
        has_secret = metadata.token_endpoint_auth_method in SECRET_METHODS
        secret = secrets.token_urlsafe(SECRET_BYTES) if has_secret else None
        client = self.stores.clients.add(client_id, metadata, secret=secret, now=self._now())
        audiences = " ".join(metadata.audiences) or None
        try:
            self.audit("client.added", client_id=client_id, scope=metadata.scope, audience=audiences)
        except Unavailable:
            self.stores.clients.remove(client_id)
            raise
        return NewClient(
            **asdict(_shown(client)),
            client_secret=secret,
            client_secret_expires_at=0 if has_secret else None,
        )

    def remove_client(self, client_id: str) -> None:
        """Remove a client at once, or raise NotFound. Its tokens live until they expire."""
        if not self.stores.clients.remove(client_id):
            raise _no_client(client_id)
        self.audit("client.removed", client_id=client_id)

    def keys(self) -> list[RootKeyRecord]:
        """Return what may be shown of every root key."""
        return self.stores.root_keys.records()

    def rotate(self) -> RootKeyRecord:
        """Let the next key mint, and return it."""
        record = self.stores.root_keys.rotate(self._now())
        self.audit("key.rotated", kid=record.kid)
        return record

    def retire(self, kid: str) -> None:
        """Retire a retiring key and all its tokens at once, or raise NotFound or Conflict."""
        self._retire(kid, self._now())
        self.audit("key.retired", kid=kid)

    def revoke(self, wanted: RevocationRequest) -> Revocation:
        """Take back what is named, or raise InvalidRequest for what can be nobody's name."""
        now = self._now()
        kind, value = wanted.kind, revocable(wanted.kind, wanted.value)
        expires_at = expiry_of(kind, now)
        if kind == "key":
            self._retire(value, now)
            decision = Revocation(kind=kind, value=value, revoked_at=now, expires_at=expires_at)
        else:
            decision = self.stores.revocations.revoke(kind, value, now=now, expires_at=expires_at)
        self.audit("revoked", **{_MEMBERS[kind]: value})
        return decision

    def revocations(self, kind: str | None = None, after: str = BEGINNING) -> RevocationList:
        """Return a page of what is revoked now, of one kind or of all.

        Raises InvalidRequest for an unknown kind, and for what is no cursor of this list.
        """
        named = next((known for known in get_args(RevocationKind) if known == kind), None)
        if named != kind:
            raise InvalidRequest(f"kind must be one of {', '.join(get_args(RevocationKind))}")
        view = view_name(self.stores.instance(), _EVERYBODY)
        begin = read_cursor(after, view, self.stores)
        page = self.stores.revocations.live(begin, self._now(), named, limit=LIST_PAGE)
        return RevocationList(page.decisions, None if page.is_last else write_cursor(view, page.cursor))

    def _retire(self, kid: str, now: EpochSeconds) -> None:
        self.stores.root_keys.retire(kid, now, revoked_until=expiry_of("key", now))

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self.clock()))


def _shown(client: Client) -> ClientRecord:
    members: dict[str, Any] = asdict(client.metadata)
    return ClientRecord(client_id=client.client_id, client_id_issued_at=client.created_at, **members)


def _no_client(client_id: str) -> NotFound:
    return NotFound(f"no client {client_id[:64]!r}: see client list")
