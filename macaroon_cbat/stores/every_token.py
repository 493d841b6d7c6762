"""The revocation of every token so far, and of all that could still become one."""

from sqlalchemy import Connection, delete, func, select, update

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import EVERY_TOKEN, Revocation
from macaroon_cbat.stores.expiring import RecordKind
from macaroon_cbat.stores.revocations import record
from macaroon_cbat.stores.schema import clients, expiring_records, families
from macaroon_cbat.stores.self_registered import end_registration_of
from macaroon_cbat.stores.token_starts import MARGIN_SECONDS

UNFINISHED: tuple[RecordKind, ...] = (
    *("code", "device", "user_code", "pushed_request", "asked", "discharge"),
    *("session", "login", "consent", "invitation"),
)
"""Records with which a client or a person could go on, and get a token or a client."""


def revoke_every_token(connection: Connection, now: EpochSeconds, lasting: int) -> Revocation:
    """Revoke every token so far in a writer's transaction; tokens that are minted from now on are valid.

    Refresh families, codes, sessions, invitations and registration access tokens end with them. The root
    keys stay. `now` must be read in this transaction, and `lasting` is the longest lifetime of a token.
    """
    newest = connection.execute(select(func.max(clients.c.tokens_since))).scalar_one_or_none() or 0
    revoked_at = max(now + MARGIN_SECONDS, newest)
    decision = Revocation(
        kind="all", value=EVERY_TOKEN, revoked_at=revoked_at, expires_at=revoked_at + lasting
    )
    recorded = record(connection, decision, now=now)
    connection.execute(update(clients).values(tokens_since=recorded.revoked_at + 1))
    connection.execute(delete(families))
    kind, name_hash = expiring_records.c.kind, expiring_records.c.name_hash
    for registered in connection.execute(select(name_hash).where(kind == "registered")).scalars().all():
        end_registration_of(connection, bytes(registered))
    connection.execute(delete(expiring_records).where(kind.in_(UNFINISHED)))
    return recorded
