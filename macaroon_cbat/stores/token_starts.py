"""The second from which the tokens of a client are valid. Revoking its tokens moves this second forward.

A token says in whole seconds when it was issued. So a revocation reaches to the end of its second and a
little further. A token that is minted meanwhile is issued as of the first second after that.
"""

from typing import Literal

from sqlalchemy import Connection, func, select, update

from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.macaroon.revocation import UP_TO, Revocation
from macaroon_cbat.stores.families import end_families
from macaroon_cbat.stores.revocations import record
from macaroon_cbat.stores.schema import clients, revocations

MARGIN_SECONDS = 2
"""The seconds by which such a revocation reaches beyond its own second.

Another process may use the client from memory for a second, and its clock may be a little ahead.
"""


def revoke_tokens_so_far(
    connection: Connection, kind: Literal["client", "subject"], name: str, now: EpochSeconds, lasting: int
) -> Revocation:
    """Revoke every token so far of a client or subject in a writer's transaction; return the revocation.

    Its refresh families end, too: they outlive the revocation.

    `now` must be read in this transaction. `lasting` is the longest lifetime of a token in seconds.
    """
    query = select(clients.c.tokens_since).where(clients.c.client_id == name)
    valid_since = connection.execute(query).scalar_one_or_none() or 0
    revoked_at = max(now + MARGIN_SECONDS, valid_since)
    decision = Revocation(kind=kind, value=name, revoked_at=revoked_at, expires_at=revoked_at + lasting)
    recorded = record(connection, decision, now=now)
    end_families(connection, kind, name)
    after = update(clients).where(clients.c.client_id == name).values(tokens_since=recorded.revoked_at + 1)
    connection.execute(after)
    return recorded


def first_valid_second(connection: Connection, name: str, now: EpochSeconds) -> EpochSeconds:
    """Return the second from which the tokens of a client that is registered now are valid.

    The clock of the process that mints its first token may be behind.
    """
    is_named = (revocations.c.value == name) | (revocations.c.kind == "all")
    concerning = revocations.c.kind.in_(UP_TO) & is_named
    query = select(func.max(revocations.c.revoked_at)).where(concerning)
    revoked_at = connection.execute(query).scalar_one_or_none()
    earliest = now - LONGEST_CLOCK_SKEW
    return EpochSeconds(earliest if revoked_at is None else max(earliest, revoked_at + 1))
