"""Values read from files that an operator may replace while a process runs."""

import logging
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.process_values import ProcessLock

Value = TypeVar("Value")
Stamp = tuple[tuple[int, int, int], ...]

LOOK_SECONDS = 1.0
"""Seconds between two looks at the files, and seconds without a change before they are read."""

_TICK_NANOSECONDS = 50_000_000
"""Within which a file may change twice without its stamp showing it."""

RETRY_SECONDS = 10.0
"""Seconds after which unchanged files that could not be read are tried again: a full disk or a missing
mount may be the cause."""


def stamp_of(files: Sequence[Path]) -> Stamp:
    """Return a value that differs between two states of the files; it is empty while one is missing.

    Links are followed to the file behind them. No copying tool can set the time of change (ctime) back.
    """
    try:
        found = [file.stat() for file in files]
    except OSError:
        return ()
    return tuple((one.st_ctime_ns, one.st_size, one.st_ino) for one in found)


def is_settled(stamp: Stamp, before: Stamp) -> bool:
    """Return True unless a writer may not have finished the files.

    `before` is the stamp of the previous look; it decides if the clock of the file system differs from ours.
    """
    newest = max((changed for changed, _, _ in stamp), default=None)
    return stamp == before or (newest is not None and time.time_ns() - newest >= LOOK_SECONDS * 1e9)


def is_fresh(stamp: Stamp) -> bool:
    """Return True if the files may change once more without another stamp; the clocks may differ."""
    return any(abs(time.time_ns() - changed) < _TICK_NANOSECONDS for changed, _, _ in stamp)


class Followed(Generic[Value]):
    """A value that is read from files, and read again after they have changed.

    While the files cannot be read or do not fit together, the value read before stays in force, and the log
    has one line about it. Thread-safe; a forked child goes on by itself.
    """

    def __init__(  # noqa: PLR0913 # those after the star have defaults
        self,
        what: str,
        files: Sequence[Path],
        read: Callable[[], Value],
        log: logging.Logger,
        monotonic: Callable[[], float] = time.monotonic,
        *,
        named: Callable[[Value], Sequence[Path]] = lambda _: (),
        is_prompt: bool = False,
        look_seconds: float = LOOK_SECONDS,
        level: int = logging.WARNING,
    ) -> None:
        """Read the files once, or raise SettingsError; `what` names the value in the log.

        `named` returns the further files that a value was read from, such as those that a policy names.
        `is_prompt` is for files that show by themselves whether they are whole: they are read at the first
        look after a change, not at the second. Each call looks if `look_seconds` is 0, and waits for a look
        of another thread. `level` is that of a failure in the log.
        """
        self._what, self._read, self._log = what, read, log
        self._first_files, self._named, self._monotonic = tuple(files), named, monotonic
        self._files = self._first_files
        self._is_prompt, self._look_seconds, self._level = is_prompt, look_seconds, level
        self._lock = ProcessLock()
        self._at_last_look = stamp_of(files)
        self._seen = self._trusted(self._at_last_look)
        self._said: str | None = None
        self._times = 0
        self.is_quiet = False
        """True in a process that follows the same files as another one, which warns."""
        self.look_at = monotonic() + look_seconds
        """The time of the next look at the files, in seconds of the clock `monotonic`."""
        self._retry_at = self.look_at
        self.value = self._read_all()

    def current(self) -> Value:
        """Return the value in force; look at the files first if the last look was `look_seconds` ago."""
        if self._monotonic() >= self.look_at:
            self.look()
        return self.value

    def look(self, *, anyway: bool = False) -> bool:
        """Return True if the files were read again and hold a valid value, which is in force now.

        `anyway` reads them changed or not, as SIGHUP demands.
        """
        lock = self._lock.current()
        if not lock.acquire(blocking=anyway or not self._look_seconds):
            return False  # another thread is looking
        try:
            self.look_at = self._monotonic() + self._look_seconds
            if not (self._is_due() or anyway):
                return False
            stamp = self._trusted(self._at_last_look)
            is_new = self._take()
            self._seen = stamp  # last, for a child that is forked before it reads the files by itself
            return is_new
        finally:
            lock.release()

    def _is_due(self) -> bool:
        stamp, before = stamp_of(self._files), self._at_last_look
        self._at_last_look = stamp
        if stamp == self._seen:
            return self._said is not None and self._monotonic() >= self._retry_at
        return self._is_prompt or is_settled(stamp, before)

    def _trusted(self, stamp: Stamp) -> Stamp | None:
        """Return the stamp to compare with, or None if the files must be read again even if it stays."""
        return None if self._is_prompt and is_fresh(stamp) else stamp

    def _take(self) -> bool:
        try:
            value = self._read_all(is_first=False)
        except (SettingsError, OSError) as error:
            self._retry_at = self._monotonic() + RETRY_SECONDS
            self._say(str(error))
            return False
        if self._is_prompt and value is self.value and self._said is None:
            return False
        self.value, self._said, self._times = value, None, 0
        self._log.log(logging.DEBUG if self.is_quiet else logging.INFO, "read the %s again", self._what)
        return True

    def _read_all(self, *, is_first: bool = True) -> Value:
        """Return the value; read it once more if it names other files, which are stamped before that."""
        while True:
            if not is_first:
                _refuse_streams(self._files)
            value = self._read()
            files = (*self._first_files, *self._named(value))
            if files == self._files:
                return value
            self._files, self._at_last_look = files, stamp_of(files)
            self._seen = self._trusted(self._at_last_look)

    def _say(self, reason: str) -> None:
        """Log once why the value read before stays; a quiet process logs it only with the second failure."""
        self._times = self._times + 1 if reason == self._said else 1
        self._said = reason
        if self._times == (2 if self.is_quiet else 1):
            level = logging.INFO if self.is_quiet else self._level
            self._log.log(level, "keeping the %s read before: %s", self._what, reason)


def _refuse_streams(files: Sequence[Path]) -> None:
    """Raise SettingsError for a pipe or device, such as a shell's `<(command)`: a second read could block."""
    for file in files:
        if file.exists() and stat.S_IFMT(file.stat().st_mode) not in (stat.S_IFREG, stat.S_IFDIR):
            raise SettingsError(f"{file} is a pipe or a device and cannot be read again: name a file")
