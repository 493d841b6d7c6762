"""The bounds of a client that registered itself, which outlive the key of its registration."""

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, insert, select

from macaroon_cbat.macaroon.claims import NEVER, EpochSeconds
from macaroon_cbat.stores.expiring import add_record, drop_record, find_record, hash_of
from macaroon_cbat.stores.schema import expiring_records


class _Older(Struct):
    """A part of the record of a key: an older release kept the bounds there alone."""

    bounds: msgspec.Raw = msgspec.Raw(b"null")


def keep_bounds(connection: Connection, client_id: str, bounds: bytes, now: EpochSeconds) -> None:
    """Keep the bounds of a client for as long as it is registered."""
    add_record(connection, "self_registered", client_id, bounds, expires_at=NEVER, now=now)


def bounds_of(connection: Connection, client_id: str, now: EpochSeconds) -> bytes | None:
    """Return the bounds as JSON, or None for an operator's client."""
    kept = find_record(connection, "self_registered", client_id, now)
    if kept is None and (older := find_record(connection, "registered", client_id, now)) is not None:
        return _bounds_in(older)
    return kept


def end_registration(connection: Connection, client_id: str) -> None:
    """Drop the key of a client's registration if there is one, and keep the bounds."""
    end_registration_of(connection, hash_of(client_id))


def end_registration_of(connection: Connection, name_hash: bytes) -> None:
    """Do so for the client whose name has this hash: no operator has vetted it by that."""
    table = expiring_records.c
    records = {
        kind: bytes(content)
        for kind, content in connection.execute(
            select(table.kind, table.content).where(
                table.kind.in_(("registered", "self_registered")), table.name_hash == name_hash
            )
        )
    }
    if "registered" not in records:
        return
    if "self_registered" not in records:
        row = {"kind": "self_registered", "name_hash": name_hash, "expires_at": NEVER}
        row["content"] = _bounds_in(records["registered"])
        connection.execute(insert(expiring_records).values(row))
    is_key = (table.kind == "registered") & (table.name_hash == name_hash)
    connection.execute(delete(expiring_records).where(is_key))


def drop_registration(connection: Connection, client_id: str) -> None:
    """Drop the key and the bounds of a client that is removed."""
    drop_record(connection, "registered", client_id)
    drop_record(connection, "self_registered", client_id)


def bounds_alone(record: bytes) -> bytes:
    """Return the record of a registration's key without the key."""
    return msgspec.json.encode(_Older(msgspec.Raw(_bounds_in(record))))


def _bounds_in(record: bytes) -> bytes:
    return bytes(msgspec.json.decode(record, type=_Older).bounds)
