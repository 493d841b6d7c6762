"""Trusted issuers in the database: adding, finding and removing them."""

import re
import time
from collections.abc import Callable

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from macaroon_cbat.errors import Conflict, InvalidRequest
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.stores.clients import CLIENT_NAME
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.schema import trusted_issuers
from macaroon_cbat.stores.trust import TrustedIssuer, TrustRecord

MEMORY_SECONDS = 1.0
"""The seconds for which a process trusts from memory before it reads the database again."""
MOST_TRUSTED = 1000
"""Trusted issuers of one service, which every process has in memory."""

_NAME = re.compile(CLIENT_NAME)


class TrustedIssuers:
    """Trusted issuers in the database. One that is removed is trusted for a second more at most."""

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Use this database; `monotonic` returns seconds and is the clock of the memory."""
        self._database = database
        self._monotonic = monotonic
        self._known: dict[str, tuple[TrustRecord, ...]] = {}
        self._look_again_at = float("-inf")

    def add(
        self,
        name: str,
        trusted: TrustedIssuer,
        now: EpochSeconds,
        *,
        audit: Callable[[], None] = lambda: None,
    ) -> TrustRecord:
        """Trust an issuer under this name, once `audit` has returned: an error of it adds nothing.

        Raises InvalidRequest for no name, and Conflict if it is taken.
        """
        if not _NAME.match(name):
            raise InvalidRequest(
                "the name of the trust is malformed: write 1 to 64 letters, digits and . _ ~ -"
            )
        row = {"name": name, "content": msgspec.json.encode(trusted).decode(), "created_at": now}
        try:
            with self._database.writing() as connection:
                if len(connection.execute(select(trusted_issuers.c.name)).all()) >= MOST_TRUSTED:
                    raise Conflict(f"{MOST_TRUSTED} issuers are trusted already: remove those of the past")
                connection.execute(insert(trusted_issuers).values(row))
                audit()
        except IntegrityError as error:
            raise Conflict(f"trust {name} exists: choose another name, or remove it first") from error
        self.forget()
        return TrustRecord(name, trusted, now)

    def remove(self, name: str) -> bool:
        """Trust the issuer no more; return False if none has this name."""
        if not _NAME.match(name):
            return False  # PostgreSQL fails on NUL
        with self._database.writing() as connection:
            done = connection.execute(delete(trusted_issuers).where(trusted_issuers.c.name == name))
        self.forget()
        return bool(done.rowcount)

    def all(self) -> list[TrustRecord]:
        """Return every trusted issuer, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(trusted_issuers)).all()
        return sorted((_record(*row) for row in rows), key=lambda record: record.name)

    def find(self, name: str) -> TrustRecord | None:
        """Return the trusted issuer of this name, or None."""
        return next((record for record in self.all() if record.name == name), None)

    def of(self, issuer: str) -> tuple[TrustRecord, ...]:
        """Return the trust in an issuer as it was at most MEMORY_SECONDS ago.

        The whole table is read at once: an attacker who invents issuers causes no more than that.
        """
        if self._monotonic() >= self._look_again_at:
            known: dict[str, tuple[TrustRecord, ...]] = {}
            for record in self.all():
                known[record.trusted.issuer] = (*known.get(record.trusted.issuer, ()), record)
            self._known, self._look_again_at = known, self._monotonic() + MEMORY_SECONDS
        return self._known.get(issuer, ())

    def forget(self) -> None:
        """Read the database at the next use, instead of up to MEMORY_SECONDS later."""
        self._look_again_at = float("-inf")


_decode = msgspec.json.Decoder(TrustedIssuer).decode


def _record(name: str, content: str, created_at: int) -> TrustRecord:
    return TrustRecord(name, _decode(content), created_at)
