"""The stores of one database, opened with the newest schema."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import delete, insert, select

from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.stores.client_store import ClientStore
from macaroon_cbat.stores.database import Database, no_database
from macaroon_cbat.stores.every_token import revoke_every_token
from macaroon_cbat.stores.expiring import ExpiringStore
from macaroon_cbat.stores.families import FamilyStore
from macaroon_cbat.stores.registrations import RegistrationStore
from macaroon_cbat.stores.revocations import RevocationStore
from macaroon_cbat.stores.root_keys import RootKeyStore
from macaroon_cbat.stores.schema import service_facts
from macaroon_cbat.stores.trusted_issuers import TrustedIssuers
from macaroon_cbat.stores.upgrades import refuse_mistake, upgrade
from macaroon_cbat.stores.wrapping_key import WrappingKey

RESTORED_AT = "restored_at"
"""The name of the fact that a database was restored, and when."""


@dataclass(frozen=True, slots=True)
class Stores:
    """The database and the stores in it."""

    database: Database
    clients: ClientStore
    root_keys: RootKeyStore
    revocations: RevocationStore
    expiring: ExpiringStore
    families: FamilyStore
    trusted_issuers: TrustedIssuers
    registrations: RegistrationStore

    def forget(self) -> None:
        """See at the next use what other processes have changed, instead of up to a second later."""
        self.clients.forget()
        self.root_keys.forget()
        self.revocations.forget()
        self.trusted_issuers.forget()

    def revoke_all_tokens(self, clock: Callable[[], EpochSeconds], *, lasting: int) -> Revocation:
        """Revoke every token so far, and return the revocation."""
        with self.database.writing() as connection:
            decision = revoke_every_token(connection, clock(), lasting)
        self.clients.forget()
        return decision

    def recorded_issuer(self) -> str | None:
        """Return the issuer of the service that last ran on this database, or None."""
        with self.database.reading() as connection:
            query = select(service_facts.c.value).where(service_facts.c.name == "issuer")
            return connection.execute(query).scalar_one_or_none()

    def restored_at(self) -> int:
        """Return the second in which this database was restored from a backup, or 0."""
        with self.database.reading() as connection:
            query = select(service_facts.c.value).where(service_facts.c.name == RESTORED_AT)
            return int(connection.execute(query).scalar_one_or_none() or 0)

    def instance(self) -> str:
        """Return the random name of this database, drawn when the database is made."""
        query = select(service_facts.c.value).where(service_facts.c.name == "instance")
        with self.database.reading() as connection:
            found: str | None = connection.execute(query).scalar_one_or_none()
        if found is not None:
            return found
        with self.database.writing() as connection:
            found = connection.execute(query).scalar_one_or_none()
            if found is None:
                found = os.urandom(16).hex()
                connection.execute(insert(service_facts).values(name="instance", value=found))
        return found

    def record_issuer(self, issuer: str) -> None:
        """Record the issuer of the running service, for the commands."""
        if self.recorded_issuer() == issuer:
            return
        with self.database.writing() as connection:
            connection.execute(delete(service_facts).where(service_facts.c.name == "issuer"))
            connection.execute(insert(service_facts).values(name="issuer", value=issuer))


def open_stores(
    url: str,
    wrapping_key: WrappingKey,
    now: EpochSeconds,
    *,
    creates: bool = True,
    upgrades: bool = True,
) -> Stores:
    """Open the database, upgrade its schema, and make the first root keys if there are none.

    Nothing is made or upgraded unless `creates` is true, and no table unless `upgrades` is. Raises
    SettingsError if something is missing then, or if the URL, the schema or the wrapping key does not fit.
    Raises Unavailable if the database is out of reach.
    """
    database = Database(url, is_for_a_command=not creates)
    root_keys = RootKeyStore(database, wrapping_key)
    stores = Stores(
        database,
        ClientStore(database),
        root_keys,
        RevocationStore(database),
        ExpiringStore(database),
        FamilyStore(database, lambda: root_keys.wrapping_key),
        TrustedIssuers(database),
        RegistrationStore(database, lambda: root_keys.wrapping_key),
    )
    try:
        if creates:
            if upgrades:
                upgrade(database)
            refuse_mistake(database)
            root_keys.ensure(now)
            stores.instance()
        else:
            refuse_mistake(database, is_for_a_command=True)
            if not root_keys.check():
                raise no_database(database.place)
    except MacaroonError:
        database.close()
        raise
    return stores
