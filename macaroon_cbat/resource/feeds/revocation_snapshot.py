"""The revocations in a file, for the next start, with the cursor of the feed at which they were complete.

The first line names the service and the cursor, the last one counts the decisions between them. Stored
revocations are used only after the service has sent everything newer.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import BinaryIO, Literal

import msgspec
from msgspec import Struct

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.revocation import RevocationRow, Revocations, row_of
from macaroon_cbat.resource.feeds.snapshot import open_snapshot, write_snapshot

SNAPSHOT_SECONDS = 600.0
"""Seconds between two writes: resuming from an older cursor costs little."""

_LINES = 1000


class _Head(Struct, frozen=True, forbid_unknown_fields=True):
    v: Literal[1]
    issuer: str
    cursor: str


class _Foot(Struct, frozen=True, forbid_unknown_fields=True):
    count: int


class RevocationSnapshot:
    """The file with the revocations of one service, which other users cannot read."""

    def __init__(self, file: Path, issuer: str, monotonic: Callable[[], float]) -> None:
        """Use this file; nothing is read yet."""
        self._file = file
        self._issuer = issuer
        self._monotonic = monotonic
        self._due_at = 0.0
        self._kept: str | None = None
        self._writer: Thread | None = None

    def load(self) -> tuple[str, Revocations] | None:
        """Return cursor and revocations, or None if there is no file yet.

        Raises SettingsError for a file of another service, a damaged one, or one that other users can read.
        """
        stream = open_snapshot(self._file)
        if stream is None:
            return None
        with stream:
            try:
                head = msgspec.json.decode(stream.readline(), type=_Head)
                known = _read(stream)
            except (msgspec.MsgspecError, UnicodeDecodeError, OSError, ValueError) as error:
                raise SettingsError(
                    f"{self._file} is no snapshot of revocations ({error}): remove it"
                ) from error
        if head.issuer != self._issuer:
            raise SettingsError(
                f"{self._file} is of {head.issuer}, not {self._issuer}: name another snapshot or remove it"
            )
        self._kept = head.cursor
        return head.cursor, known

    @property
    def is_busy(self) -> bool:
        """True while the file is being written."""
        return self._writer is not None and self._writer.is_alive()

    def keep(self, cursor: str, known: Revocations) -> None:
        """Write the revocations at this cursor in a thread, if that is due."""
        if self.is_busy or cursor == self._kept or self._monotonic() < self._due_at:
            return
        self._due_at = self._monotonic() + SNAPSHOT_SECONDS
        self._kept = cursor
        lines = _written(_Head(1, self._issuer, cursor), known.copy())
        self._writer = Thread(
            target=write_snapshot, args=(self._file, lines), name="revocation-snapshot", daemon=True
        )
        self._writer.start()


def _written(head: _Head, known: Revocations) -> Iterator[bytes]:
    encoder = msgspec.json.Encoder()
    yield encoder.encode_lines([head])
    rows = map(row_of, known)
    while some := list(islice(rows, _LINES)):
        yield encoder.encode_lines(some)
    yield encoder.encode_lines([_Foot(len(known))])


def _read(stream: BinaryIO) -> Revocations:
    """Return the decisions up to the last line, or raise ValueError if its count differs."""
    known, decode = Revocations(), msgspec.json.Decoder(RevocationRow).decode
    line, count = stream.readline(), 0
    while line.startswith(b"["):
        known.apply(decode(line))
        line, count = stream.readline(), count + 1
    if msgspec.json.decode(line, type=_Foot).count != count or stream.read(1):
        raise ValueError("it is not whole")
    return known
