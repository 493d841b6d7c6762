"""The second from which on a client's tokens are valid; revoking all tokens so far moves it on.

A token says no finer than by the second when it was issued. So a revocation takes the rest of its second,
and a little more, and the tokens that the client gets meanwhile are issued as of the first second after.
"""

from sqlalchemy import Connection, func, select, update

from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.macaroon.revocation import UP_TO, Revocation, RevocationKind
from macaroon_cbat.stores.revocations import record
from macaroon_cbat.stores.schema import clients, revocations

MARGIN_SECONDS = 2
"""How far beyond its own second such a revocation reaches: another process may go on for a second with what
it remembers of the client, and the clock of that process may be a little ahead."""


def revoke_tokens_so_far(
    connection: Connection, kind: RevocationKind, name: str, now: EpochSeconds, lasting: int
) -> Revocation:
    """Revoke every token so far of a client or subject, in a writer's transaction; return the decision.

    `now` was read in this transaction, and `lasting` counts the seconds that a token lives at most.
    """
    query = select(clients.c.tokens_since).where(clients.c.client_id == name)
    valid_since = connection.execute(query).scalar_one_or_none() or 0
    revoked_at = max(now + MARGIN_SECONDS, valid_since)
    decision = Revocation(kind=kind, value=name, revoked_at=revoked_at, expires_at=revoked_at + lasting)
    recorded = record(connection, decision, now=now)
    after = update(clients).where(clients.c.client_id == name).values(tokens_since=recorded.revoked_at + 1)
    connection.execute(after)
    return recorded


def first_valid_second(connection: Connection, name: str, now: EpochSeconds) -> EpochSeconds:
    """Return the second from which on tokens of a client registered now under this name are valid.

    The process that mints its first token may have a clock that is behind this one.
    """
    concerning = revocations.c.kind.in_(UP_TO) & (revocations.c.value == name)
    query = select(func.max(revocations.c.revoked_at)).where(concerning)
    revoked_at = connection.execute(query).scalar_one_or_none()
    earliest = now - LONGEST_CLOCK_SKEW
    return EpochSeconds(earliest if revoked_at is None else max(earliest, revoked_at + 1))
