"""Clients in the database: registering, finding, changing and removing them, and revoking their tokens."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from macaroon_cbat.audit.event import OPERATOR, POLICY
from macaroon_cbat.errors import ClientExists, InvalidClientMetadata
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.stores.client_changes import takes_away
from macaroon_cbat.stores.client_rows import (
    LOOK_UP,
    MOST_SEEN,
    client_of,
    client_row,
    found_client,
    metadata_text,
    refuse_credentials,
)
from macaroon_cbat.stores.client_secrets import NewSecret, put_secret, secret_hash
from macaroon_cbat.stores.clients import CLIENT_NAME, Client, ClientMetadata
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.families import has_family
from macaroon_cbat.stores.revocations import refuse_nameless
from macaroon_cbat.stores.schema import clients
from macaroon_cbat.stores.self_registered import drop_registration, end_registration
from macaroon_cbat.stores.token_starts import first_valid_second, revoke_tokens_so_far

MEMORY_SECONDS = 1.0
"""The seconds for which a process uses a client from memory before it reads the database again."""

Expectation = Callable[[Client], None]
"""Raises an error if a client is not as the caller of a change has seen it."""

Clock = Callable[[], EpochSeconds]
"""Returns the current second. It is called in the transaction, which may have waited for other writers."""

_CLIENT_ID = re.compile(CLIENT_NAME)


def no_expectation(_: Client) -> None:
    """Change the client however it is."""


class ClientStore:
    """Clients in the database. A registered client is found at once; a removed one is gone within a second.

    `lasting` counts the seconds that a token lives at most, by the clock that is furthest behind.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Use this database; `monotonic` returns seconds and is the clock of the memory."""
        self._database = database
        self._monotonic = monotonic
        self._seen: dict[str, tuple[float, Client]] = {}

    def add(
        self, client_id: str, metadata: ClientMetadata, *, secret: str | bytes | None, now: EpochSeconds
    ) -> Client:
        """Register a client and return it.

        A secret must be random, with at least 128 bits: it is stored as a plain SHA-256, which may be given
        in its place as bytes. Raises ClientExists if the name is taken, and InvalidClientMetadata if it is
        malformed or the credentials do not match.
        """
        with self._database.writing() as connection:
            client = add_client(connection, client_id, metadata, secret=secret, now=now)
        self._seen.pop(client_id, None)  # a client of this name that another process removed may be in memory
        return client

    def keep(self, client_id: str) -> None:
        """Let a client stay that would be removed if it got no token."""
        with self._database.writing() as connection:
            row = update(clients).where(clients.c.client_id == client_id).values(unused_until=None)
            connection.execute(row)
        self._seen.pop(client_id, None)

    def find(self, client_id: str) -> Client | None:
        """Return the client as it was at most MEMORY_SECONDS ago, or None if it is not registered."""
        return self.remembered(client_id) or self.look_up(client_id)

    def remembered(self, client_id: str) -> Client | None:
        """Return the client from memory, at most MEMORY_SECONDS old, or None if it is not there."""
        look_again_at, client = self._seen.get(client_id, (0.0, None))
        return client if self._monotonic() < look_again_at else None

    def look_up(self, client_id: str) -> Client | None:
        """Return the client as it is in the database now, or None if it is not registered."""
        if not _CLIENT_ID.match(client_id):
            return None  # PostgreSQL fails on NUL
        rows = self._database.rows(LOOK_UP, {"client_id": client_id})
        client = client_of(*rows[0]) if rows else None
        if client is None:
            self._seen.pop(client_id, None)
            return None
        if len(self._seen) >= MOST_SEEN:
            self.forget()
        self._seen[client_id] = (self._monotonic() + MEMORY_SECONDS, client)
        return client

    def forget(self) -> None:
        """Look each client up again at its next use, instead of up to MEMORY_SECONDS later."""
        self._seen.clear()

    def all(self) -> list[Client]:
        """Return every client, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(clients)).all()
        return sorted((client_of(*row) for row in rows), key=lambda client: client.client_id)

    def change(
        self,
        client_id: str,
        changed: Callable[[ClientMetadata], ClientMetadata],
        clock: Clock,
        *,
        lasting: int,
        is_its_own: bool = False,
        expects: Expectation = no_expectation,
    ) -> tuple[Client, Client] | None:
        """Change the metadata of a client; return the client before and after, or None if there is none.

        A change that takes a right away revokes the client's tokens in the same transaction. A change that
        only adds rights revokes none. An error of `changed` leaves the client as it is. Unless the change
        `is_its_own`, a client that loses a right can no longer change its registration: it would take the
        right back.
        """
        with self._changing(client_id, expects) as found:
            if found is None:
                return None
            connection, before = found
            metadata = changed(before.metadata)
            refuse_credentials(metadata, has_secret=before.secret_hash is not None)
            row = {"metadata": metadata_text(metadata)}
            connection.execute(update(clients).where(clients.c.client_id == client_id).values(row))
            if takes_away(before.metadata, metadata):
                revoke_tokens_so_far(connection, "client", client_id, clock(), lasting)
                if not is_its_own:
                    end_registration(connection, client_id)
            after = found_client(connection, client_id)
            assert after is not None
        return before, after

    def rotate_secret(
        self, client_id: str, wanted: NewSecret, clock: Clock, *, lasting: int, expects: Expectation
    ) -> tuple[Client, Client] | None:
        """Give a client its next secret; return it before and after, or None if there is none.

        Raises Conflict for a client without a secret, and what `expects` raises; nothing has changed then.
        """
        with self._changing(client_id, expects) as found:
            if found is None:
                return None
            connection, before = found
            after = put_secret(connection, before, wanted, clock(), lasting)
        return before, after

    def remove(
        self, client_id: str, clock: Clock, *, lasting: int, expects: Expectation = no_expectation
    ) -> bool:
        """Remove a client and revoke its tokens in one transaction; return False if there is none."""
        with self._changing(client_id, expects) as found:
            if found is None:
                return False
            connection, _ = found
            revoke_tokens_so_far(connection, "client", client_id, clock(), lasting)
            connection.execute(delete(clients).where(clients.c.client_id == client_id))
            drop_registration(connection, client_id)
        return True

    @contextmanager
    def _changing(self, client_id: str, expects: Expectation) -> Iterator[tuple[Connection, Client] | None]:
        """Yield a writer's connection and the client as it is, or None if there is none; then forget it."""
        if not _CLIENT_ID.match(client_id):
            yield None
            return
        with self._database.writing() as connection:
            found = found_client(connection, client_id)
            if found is not None:
                expects(found)
            yield None if found is None else (connection, found)
        self._seen.pop(client_id, None)

    def revoke_tokens(
        self,
        kind: Literal["client", "subject"],
        name: str,
        clock: Clock,
        *,
        lasting: int,
        is_registered: bool = True,
    ) -> Revocation | None:
        """Revoke the tokens of a client or subject; tokens minted from now on are valid.

        Returns None and revokes nothing if `is_registered` is True and no client has this name, nor a subject
        with a refresh family. Raises InvalidRequest for a value that no client or subject can have as a name.
        """
        refuse_nameless(kind, name)
        with self._database.writing() as connection:
            if is_registered and not _is_known(connection, kind, name):
                return None
            decision = revoke_tokens_so_far(connection, kind, name, clock(), lasting)
            if kind == "client":
                end_registration(connection, name)  # its registration access token is one of them
        self._seen.pop(name, None)
        return decision


def add_client(
    connection: Connection,
    client_id: str,
    metadata: ClientMetadata,
    *,
    secret: str | bytes | None,
    now: EpochSeconds,
    unused_until: EpochSeconds | None = None,
) -> Client:
    """Register a client in a writer's transaction; raises as `ClientStore.add` does."""
    if not _CLIENT_ID.match(client_id):
        raise InvalidClientMetadata("the client name is malformed: write 1 to 64 letters, digits and . _ ~ -")
    if client_id in (OPERATOR, POLICY):
        raise InvalidClientMetadata(
            f"the name {client_id!r} is reserved for the audit log: choose another name"
        )
    refuse_credentials(metadata, has_secret=secret is not None)
    hashed = secret_hash(secret) if isinstance(secret, str) else secret
    since = first_valid_second(connection, client_id, now)
    client = Client(client_id, hashed, metadata, now, since, unused_until)
    try:
        connection.execute(insert(clients).values(client_row(client)))
    except IntegrityError as error:
        raise ClientExists(f"client {client_id} exists: choose another name, or remove it first") from error
    return client


def _is_known(connection: Connection, kind: Literal["client", "subject"], name: str) -> bool:
    """Return True for the name of a client, and for a subject that has a refresh family."""
    if _CLIENT_ID.match(name) and found_client(connection, name) is not None:
        return True
    return kind == "subject" and has_family(connection, name)
