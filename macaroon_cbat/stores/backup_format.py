"""The portable format of backups: a manifest, and one file of JSON lines for each table.

It fits every kind of database. It holds no secret that mints: a restored service has new root keys, and
nothing that was issued before is valid there.
"""

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import msgspec
from msgspec import Struct
from sqlalchemy import LargeBinary, Table

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.stores.expiring import RecordKind
from macaroon_cbat.stores.schema import schema

MANIFEST = "manifest.json"
FORMAT: Literal["macaroon_cbat backup 1"] = "macaroon_cbat backup 1"

KEPT_RECORDS: tuple[RecordKind, ...] = ("self_registered", "registered", "used_assertion", "used_proof")
"""Kinds of expiring records in a backup: bounds of clients, and what must not be used again."""

TABLES: tuple[Table, ...] = tuple(
    schema.tables[name]
    for name in (
        *("clients", "root_keys", "revocations", "feed_positions", "service_facts", "trusted_issuers"),
        "expiring_records",
    )
)
"""The tables in a backup. Refresh families are not among them: a restore ends them all."""

_LARGEST_MANIFEST = 1 << 20


class TableFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The file of one table: its columns in order, those of bytes among them, and its SHA-256."""

    file: str
    columns: tuple[str, ...]
    bytes_columns: tuple[str, ...]
    rows: int
    sha256: str


class Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of a backup. `made_at` is the second before which every change is in it."""

    format: Literal["macaroon_cbat backup 1"] = FORMAT
    version: str
    schema: str
    made_at: int
    issuer: str | None
    tables: dict[str, TableFile]
    wrapping_key: str | None = None
    """The file with the wrapping key, encrypted for a recipient; None if it was left out."""


class Hashed:
    """A file that is hashed while it is read or written."""

    def __init__(self, stream: BinaryIO) -> None:
        """Hash what goes through this stream."""
        self._stream, self._hash = stream, hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Write a piece."""
        self._hash.update(piece)
        self._stream.write(piece)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines."""
        for line in self._stream:
            self._hash.update(line)
            yield line

    def hexdigest(self) -> str:
        """Return the SHA-256 so far, in hexadecimal digits."""
        return self._hash.hexdigest()


def bytes_columns(table: Table) -> tuple[str, ...]:
    """Return the names of the columns that hold bytes."""
    return tuple(str(column.name) for column in table.columns if isinstance(column.type, LargeBinary))


def line_of(row: Iterable[Any]) -> bytes:
    """Return a row as a line of JSON; bytes are base64."""
    values = [
        b64encode(bytes(value)).decode() if isinstance(value, bytes | memoryview) else value for value in row
    ]
    return msgspec.json.encode(values) + b"\n"


def row_of(line: bytes, table: TableFile) -> dict[str, object]:
    """Return the row in a line. Raises ValueError for a line that is none."""
    values = msgspec.json.decode(line, type=list[str | int | None])
    row: dict[str, object] = dict(zip(table.columns, values, strict=True))
    for name in table.bytes_columns:
        if row[name] is not None:
            row[name] = b64decode(str(row[name]), validate=True)
    return row


def read_manifest(folder: Path) -> tuple[Manifest, str]:
    """Return the manifest in the folder, and its SHA-256, or raise SettingsError."""
    file = folder / MANIFEST
    try:
        with open_private(file, "manifest of the backup") as stream:
            content = stream.read(_LARGEST_MANIFEST)
        manifest = msgspec.json.decode(content, type=Manifest)
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read ({error.strerror}): name the folder of a backup"
        ) from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise SettingsError(f"{file} is no manifest of a backup ({error}): name another folder") from error
    for one in manifest.tables.values():
        if Path(one.file).name != one.file:
            raise SettingsError(f"{file} names a file outside of the backup, {one.file!r}: do not use it")
    if manifest.tables.keys() != {table.name for table in TABLES}:
        raise SettingsError(f"{file} does not have the tables of a backup: name another folder")
    return manifest, hashlib.sha256(content).hexdigest()
