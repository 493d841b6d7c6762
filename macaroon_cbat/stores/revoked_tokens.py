"""Tokens that were taken back, until the moment they would have expired anyway."""

from sqlalchemy import bindparam, delete, insert, select

from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.identifier import Grant
from macaroon_cbat.revocation import NOTHING_REVOKED, Revocations
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.schema import revoked_tokens


class RevokedTokenStore:
    """Revoked token identifiers in the database."""

    def __init__(self, database: Database) -> None:
        """Keep revocations in this database."""
        self._database = database

    def revoke(self, grant: Grant, now: EpochSeconds) -> None:
        """Take the token and all its children back; a second time changes nothing."""
        with self._database.writing() as connection:
            connection.execute(delete(revoked_tokens).where(revoked_tokens.c.expires_at <= now))
            if connection.execute(_FIND, {"jti": grant.jti}).one_or_none() is None:
                connection.execute(
                    insert(revoked_tokens).values(
                        jti=grant.jti, client_id=grant.client_id, revoked_at=now, expires_at=grant.exp
                    )
                )

    def concerning(self, grant: Grant) -> Revocations:
        """Return the revocations that concern this grant."""
        with self._database.reading() as connection:
            found = connection.execute(_FIND, {"jti": grant.jti}).one_or_none()
        return NOTHING_REVOKED if found is None else Revocations(frozenset({grant.jti}))


_FIND = select(revoked_tokens.c.jti).where(revoked_tokens.c.jti == bindparam("jti"))
