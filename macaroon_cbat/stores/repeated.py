"""The events of the audit log since a backup, repeated in the restored database."""

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, select

from macaroon_cbat.macaroon.claims import NEVER, EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocation
from macaroon_cbat.stores.revocations import record, refuse_nameless
from macaroon_cbat.stores.schema import clients, trusted_issuers
from macaroon_cbat.stores.self_registered import drop_registration

_LOST = ("client.removed", "client.changed", "client.secret_rotated")
"""Events after which a client is not the one of the backup: its rights or its secret differ."""
_OF_KEYS = ("key.rotated", "key.retired", "revoked")
"""Events that name a root key; whichever it was, it is retired in a restored database."""
_BEGINNING = b'{"at":"'
"""The beginning of every line of an audit log."""
REPEATED = frozenset({*_LOST, *_OF_KEYS, "trust.removed"})
"""Events that `repeat` makes again; a busy service writes millions of others."""


class AuditLine(Struct, frozen=True):
    """The members of an audit event that a restore uses."""

    at: str
    event: str
    client_id: str | None = None
    trust: str | None = None
    certificate: str | None = None
    kid: str | None = None


class Repeated(Struct):
    """The outcome of a repetition: clients and trust that are left out, and certificates that are revoked."""

    clients: list[str]
    trust: list[str]
    certificates: list[str]


def audit_lines(lines: Iterable[bytes]) -> Iterator[AuditLine]:
    """Yield the events in an audit log.

    The beginning of a line, which a full disk or a killed process leaves, was acknowledged to no caller. The
    next event may follow on the same line. Raises ValueError, which names the line that is neither.
    """
    for number, line in enumerate(lines, 1):
        start = max(0, line.rfind(_BEGINNING))  # text of a client has its quotation marks escaped
        try:
            yield msgspec.json.decode(line[start:], type=AuditLine)
        except (msgspec.MsgspecError, ValueError) as error:
            is_torn = line.startswith(_BEGINNING) and not line.rstrip().endswith(b"}")
            if line.endswith(b"\n") and not is_torn:
                raise ValueError(f"line {number} is no audit event") from error


def repeat(
    connection: Connection, events: Iterable[AuditLine], now: EpochSeconds, *, lasting: int
) -> Repeated:
    """Make again in a writer's transaction what took a right away. Returns what was found and done.

    A client that was changed or whose secret was replaced is left out: the backup has its old rights and
    secret. Every root key that was made or retired since is retired, for a thief that has it forges tokens of
    this moment. Revocations of tokens and clients need no repetition where every token so far is revoked.
    `lasting` is the longest lifetime of a token. Raises InvalidRequest for a name that is none.
    """
    done = Repeated([], [], [])
    for event in events:
        if event.event in _LOST and event.client_id is not None:
            _drop(connection, clients, clients.c.client_id, event.client_id, done.clients)
            drop_registration(connection, event.client_id)
        elif event.event == "trust.removed" and event.trust is not None:
            _drop(connection, trusted_issuers, trusted_issuers.c.name, event.trust, done.trust)
        elif event.event == "revoked" and event.certificate is not None:
            refuse_nameless("certificate", event.certificate)
            revoked = Revocation(
                kind="certificate", value=event.certificate, revoked_at=now, expires_at=NEVER
            )
            record(connection, revoked)
            done.certificates.append(event.certificate)
        elif event.event in _OF_KEYS and event.kid is not None:
            refuse_nameless("key", event.kid)
            retired = Revocation(kind="key", value=event.kid, revoked_at=now, expires_at=now + lasting)
            record(connection, retired)
    return done


def _drop(connection: Connection, table: Any, column: Any, name: str, done: list[str]) -> None:
    if connection.execute(select(column).where(column == name)).one_or_none() is not None:
        connection.execute(delete(table).where(column == name))
        done.append(name)
