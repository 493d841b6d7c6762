"""The verbs of administration, for `macaroon-cbat` on the database and for the endpoints under /admin."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import asdict

from macaroon_cbat.errors import InvalidRequest, NotFound, Unavailable
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import KINDS, Revocation, RevocationKind
from macaroon_cbat.service.admin.audited import audit_done, audit_gained
from macaroon_cbat.service.admin.registration import changed_metadata
from macaroon_cbat.service.admin.revocable import expiry_of, revocable
from macaroon_cbat.service.admin.secrets import SecretAdministration
from macaroon_cbat.service.admin.shapes import (
    ChangedClient,
    ClientRecord,
    ClientRegistration,
    NewClient,
    RevocationList,
    RevocationRequest,
)
from macaroon_cbat.service.admin.trust import TrustAdministration
from macaroon_cbat.service.admin.versions import ANY, is_one_of, shown
from macaroon_cbat.service.cursors import BEGINNING, read_cursor, view_name, write_cursor
from macaroon_cbat.service.family_lists import (
    FAMILY_PAGE,
    FamilyList,
    family_list,
    place_after,
    refuse_unnamed,
)
from macaroon_cbat.service.registration.rules import (
    NAME_BYTES,
    SECRET_BYTES,
    Audit,
    refuse_registration,
    rights_of,
)
from macaroon_cbat.service.settings import LASTING
from macaroon_cbat.stores import ClientMetadata, RootKeyRecord, Stores
from macaroon_cbat.stores.client_changes import takes_away
from macaroon_cbat.stores.clients import SECRET_METHODS, read_metadata

LIST_PAGE = 1000
"""Revocations in one answer, at most."""

_EVERYBODY = ["every audience"]


@dataclass(frozen=True, slots=True)
class Administration:
    """Administers the stores of an issuer; `clock` tells the second, and `audit` writes each change.

    Every verb raises Unavailable if the database is out of reach or its event cannot be written. A change
    that cannot be audited stays done, except for a new client and for a right that a client would gain.
    """

    stores: Stores
    issuer: str
    clock: Callable[[], float]
    audit: Audit

    @property
    def trust(self) -> TrustAdministration:
        """The verbs about trusted issuers."""
        return TrustAdministration(self.stores, self.issuer, self.clock, self.audit)

    @property
    def secrets(self) -> SecretAdministration:
        """The verb about secrets of clients."""
        return SecretAdministration(self.stores, self.clock, self.audit)

    def clients(self) -> list[ClientRecord]:
        """Return every client, by name."""
        now = self._now()
        return [shown(client, now) for client in self.stores.clients.all()]

    def client(self, client_id: str) -> ClientRecord:
        """Return a client, or raise NotFound."""
        client = self.stores.clients.find(client_id)
        if client is None:
            raise _no_client(client_id)
        return shown(client, self._now())

    def add_client(self, members: dict[str, object]) -> NewClient:
        """Register a client as the members of a ClientRegistration say, with a secret where it needs one.

        Raises InvalidClientMetadata, or ClientExists when the name is taken.
        """
        wanted = read_metadata(members, ClientRegistration)
        client_id = secrets.token_hex(NAME_BYTES) if wanted.client_id is None else wanted.client_id
        metadata = ClientMetadata(
            **{name: getattr(wanted, name) for name in ClientMetadata.__struct_fields__}
        )
        refuse_registration(metadata, self.issuer)
        has_secret = metadata.token_endpoint_auth_method in SECRET_METHODS
        hashed = None if wanted.client_secret_sha256 is None else bytes.fromhex(wanted.client_secret_sha256)
        secret = secrets.token_urlsafe(SECRET_BYTES) if has_secret and hashed is None else None
        client = self.stores.clients.add(client_id, metadata, secret=secret or hashed, now=self._now())
        try:
            audit_gained(self.audit, "client.added", client_id=client_id, **rights_of(metadata))
        except Unavailable as error:
            self._take_back(client_id, error)
            raise
        return NewClient(
            **asdict(shown(client, self._now())),
            client_secret=secret,
            client_secret_expires_at=0 if has_secret else None,
        )

    def change_client(
        self, client_id: str, members: dict[str, object], versions: Collection[str] = ANY
    ) -> ChangedClient:
        """Merge these members into a client's metadata (RFC 7396); its name and secret stay.

        A client that loses a right loses its tokens, too. Raises NotFound, InvalidClientMetadata, and
        PreconditionFailed for a client of none of these versions.
        """

        def changed(before: ClientMetadata) -> ClientMetadata:
            after = changed_metadata(before, members, self.issuer)
            if takes_away(after, before):  # the client gains a right, which must not apply unaudited
                audit_gained(self.audit, "client.changed", client_id=client_id, **rights_of(after))
            return after

        expects = is_one_of(versions, self._now())
        found = self.stores.clients.change(client_id, changed, self._now, lasting=LASTING, expects=expects)
        if found is None:
            raise _no_client(client_id)
        before, after = found
        if after.metadata == before.metadata:
            self._audit_unchanged(client_id, after.metadata)
        elif not takes_away(after.metadata, before.metadata):
            audit_done(self.audit, "client.changed", client_id=client_id, **rights_of(after.metadata))
        return ChangedClient(
            **asdict(shown(after, self._now())), tokens_revoked=after.tokens_since > before.tokens_since
        )

    def remove_client(self, client_id: str, versions: Collection[str] = ANY) -> None:
        """Remove a client and revoke its tokens at once, or raise NotFound or PreconditionFailed."""
        expects = is_one_of(versions, self._now())
        if not self.stores.clients.remove(client_id, self._now, lasting=LASTING, expects=expects):
            raise _no_client(client_id)
        audit_done(self.audit, "client.removed", client_id=client_id)

    def keys(self) -> list[RootKeyRecord]:
        """Return the record of every root key, without its secret."""
        return self.stores.root_keys.records()

    def rotate(self) -> RootKeyRecord:
        """Let the next root key mint, and return its record."""
        record = self.stores.root_keys.rotate(self._now())
        audit_done(self.audit, "key.rotated", kid=record.kid)
        return record

    def retire(self, kid: str) -> None:
        """Retire a retiring root key and all its tokens at once, or raise NotFound or Conflict."""
        self._retire(kid, self._now())
        audit_done(self.audit, "key.retired", kid=kid)

    def revoke(self, wanted: RevocationRequest) -> Revocation:
        """Revoke what the value names, or raise InvalidRequest or NotFound if it can name nothing."""
        now = self._now()
        kind, value = wanted.kind, revocable(wanted.kind, wanted.value)
        expires_at = expiry_of(kind, now)
        if kind == "key":
            self._retire(value, now)
            decision = Revocation(kind=kind, value=value, revoked_at=now, expires_at=expires_at)
        elif kind == "all":
            decision = self.stores.revoke_all_tokens(self._now, lasting=LASTING)
        elif kind in ("client", "subject"):
            decision = self._revoke_tokens(kind, value, force=wanted.force)
        else:
            self._end_family_of(kind, value, now)
            decision = self.stores.revocations.revoke(kind, value, now=now, expires_at=expires_at)
        audit_done(self.audit, "revoked", **{KINDS[kind].audited_as: value})
        return decision

    def revocations(self, kind: str | None = None, after: str = BEGINNING) -> RevocationList:
        """Return a page of live revocations, of one kind or of all.

        Raises InvalidRequest for an unknown kind, and for text that is not a cursor of this list.
        """
        named = next((known for known in KINDS if known == kind), None)
        if named != kind:
            raise InvalidRequest(f"the kind is unknown: send one of {', '.join(KINDS)}")
        view = view_name(self.stores.instance(), _EVERYBODY)
        begin = read_cursor(after, view, self.stores)
        page = self.stores.revocations.live(begin, self._now(), named, limit=LIST_PAGE)
        return RevocationList(page.decisions, None if page.is_last else write_cursor(view, page.cursor))

    def families(
        self, client_id: str | None = None, subject: str | None = None, after: str = BEGINNING
    ) -> FamilyList:
        """Return a page of live refresh families of a client, a subject or all, or raise InvalidRequest."""
        refuse_unnamed(client_id, subject)
        found, last = self.stores.families.live(
            self._now(), client_id=client_id, subject=subject, after=place_after(after), limit=FAMILY_PAGE
        )
        return family_list(found, last, self.stores.clients)

    def _revoke_tokens(self, kind: Literal["client", "subject"], name: str, *, force: bool) -> Revocation:
        """Revoke all tokens so far. A subject is a client, or a user, whose name has a colon and no list."""
        is_user = kind == "subject" and ":" in name
        decision = self.stores.clients.revoke_tokens(
            kind, name, self._now, lasting=LASTING, is_registered=not (force or is_user)
        )
        if decision is None:
            raise NotFound(
                f"no client is named {name[:64]!r}, and nothing is revoked: check the name with client list, "
                "or use force for one that was removed"
            )
        return decision

    def _end_family_of(self, kind: RevocationKind, value: str, now: EpochSeconds) -> None:
        """End the refresh family, by its name or its token's, or the macaroon of registration."""
        if kind == "family":
            self.stores.families.end(value, now, lasting=LASTING)
        elif kind == "token":
            self.stores.families.end_that_of(value, now, lasting=LASTING)
            self.stores.registrations.end(value)

    def _take_back(self, client_id: str, error: Unavailable) -> None:
        """Remove a client that could not be audited; raise Unavailable if it stays."""
        try:
            self.stores.clients.remove(client_id, self._now, lasting=LASTING)
        except Unavailable as second:
            raise Unavailable(
                f"client {client_id} is added, but neither audited nor removed again ({second}; {error}): "
                "remove it with client remove"
            ) from error

    def _audit_unchanged(self, client_id: str, metadata: ClientMetadata) -> None:
        try:
            self.audit("client.changed", client_id=client_id, **rights_of(metadata))
        except Unavailable as error:
            raise Unavailable(f"not audited, and there was nothing to change: {error}") from error

    def _retire(self, kid: str, now: EpochSeconds) -> None:
        self.stores.root_keys.retire(kid, now, revoked_until=expiry_of("key", now))

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self.clock()))


def _no_client(client_id: str) -> NotFound:
    return NotFound(f"no client {client_id[:64]!r}: see client list")
