"""The table of used proofs in memory that forked processes share: fixed in size, nothing ever swept.

A slot holds 16 bytes of a name and the last second for which it counts; a later second frees it. A name has
its place in one window of slots, so that every call looks at the same few bytes. The place is keyed by a
secret of the table: no client can aim its proofs at one window.
"""

import fcntl
import mmap
import os
import sys
import tempfile
import weakref
from contextlib import suppress
from hashlib import blake2b
from struct import Struct
from typing import Literal

from macaroon_cbat.errors import Unavailable

_NAME_BYTES, _SLOT_BYTES = 16, 20
_MOST_IN_WINDOW = 64
_FEW = 64
"""The slots up to which a table holds exactly as many names; a larger one has two slots for each."""

Found = Literal["new", "used", "full"]


class ProofTable:
    """Names of proofs. A child that is forked shares it; processes are kept apart, and threads are not."""

    def __init__(self, most: int) -> None:
        """Make room for this many names, and a lock that ends with a process that holds it."""
        self._slots = most if most <= _FEW else 2 * most
        self._window = min(self._slots, _MOST_IN_WINDOW)
        self._untils = Struct("<" + f"{_NAME_BYTES}xI" * self._window)
        self._until = Struct("<I")
        self._key = os.urandom(32)
        self._file = _memory_file()
        self._own = _identity_of(self._file)
        weakref.finalize(self, _close, self._file, self._own)
        os.ftruncate(self._file, self._slots * _SLOT_BYTES)
        self._memory = mmap.mmap(self._file, self._slots * _SLOT_BYTES)

    def add(self, name: bytes, until: int, now: int) -> Found:
        """Add a name that is new; "full" if every slot of its window holds a name that counts now.

        Raises Unavailable if the file was closed, with which the processes are kept apart.
        """
        if _identity_of(self._file) != self._own:
            raise Unavailable(
                "the memory of used DPoP proofs was closed, as daemons close every file: make the guard then"
            )
        digest = blake2b(name, digest_size=_NAME_BYTES + 8, key=self._key).digest()
        short, place = digest[:_NAME_BYTES], int.from_bytes(digest[_NAME_BYTES:], "big")
        start = place % (self._slots - self._window + 1) * _SLOT_BYTES
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            return self._add_at(start, short, until, now)
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _add_at(self, start: int, name: bytes, until: int, now: int) -> Found:
        window = self._memory[start : start + self._window * _SLOT_BYTES]
        untils = self._untils.unpack(window)
        at = window.find(name)
        while at > 0 and at % _SLOT_BYTES:
            at = window.find(name, at + 1)
        number = at // _SLOT_BYTES if at >= 0 else _first_free(untils, now)
        if number is None:
            return "full"
        if at >= 0 and untils[number] >= now:
            return "used"
        slot = start + number * _SLOT_BYTES
        self._memory[slot : slot + _SLOT_BYTES] = name + self._until.pack(until)
        return "new"


def _identity_of(file: int) -> tuple[int, int] | None:
    """Return the identity of an open file, None for a closed one: another file may have its number by now."""
    try:
        found = os.fstat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _close(file: int, own: tuple[int, int] | None) -> None:
    if _identity_of(file) == own:
        os.close(file)


def _first_free(untils: tuple[int, ...], now: int) -> int | None:
    return next((number for number, until in enumerate(untils) if until < now), None)


def _memory_file() -> int:
    """Return the descriptor of a file in memory, or of one in the temporary folder that has no name."""
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox may forbid it
            return os.memfd_create("macaroon_cbat-proofs")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
