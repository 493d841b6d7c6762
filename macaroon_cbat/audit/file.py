"""The audit log as a file: appended in whole lines, reopened after it was rotated."""

import errno
import logging
import os
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from macaroon_cbat.audit.line_groups import LineGroups, Written
from macaroon_cbat.audit.log import LineHandler, log, troubles
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.lock import locked
from macaroon_cbat.files.process_values import PerProcess, this_process

STDERR, STDERR_DESCRIPTOR = "-", 2


class AuditFile(LineHandler):
    """A handler that appends lines to a file, and raises OSError for a line that it cannot write."""

    def __init__(self, file: Path | None) -> None:
        """Open the file, made with mode 0600 if it is missing; None is standard error."""
        self._file = file
        self._path = str(file)  # each group of lines asks for it
        self._process = this_process()
        self._descriptor, self._opened = self._open()
        self._is_torn = self._is_closed = False
        self._groups = PerProcess(lambda: LineGroups(self._write))
        super().__init__()  # from here on logging closes it at exit

    def createLock(self) -> None:  # noqa: N802 # logging names it
        """Do without a handler's lock, under which each thread would write its own line."""
        self.lock = None

    def fileno(self) -> int:
        """Return the descriptor that the last line was written to."""
        return self._descriptor

    @property
    def waiting(self) -> int:
        """The number of lines that wait for a thread that is writing others."""
        return self._groups.current().waiting

    def emit(self, record: logging.LogRecord) -> None:
        """Append one line, whole or not at all. Raises OSError, which names the file."""
        self.append(record.getMessage())

    def append(self, line: str) -> None:
        """Append one line, whole or not at all, perhaps together with those of other threads.

        The operating system has the line when this returns. Raises OSError, which names the file.
        """
        error = self._groups.current().append(line.encode() + b"\n")
        if error is not None:
            place = "standard error" if self._file is None else self._path
            raise OSError(error.errno, error.strerror, place) from error

    def reopen(self) -> None:
        """Open the file again if it was rotated, without waiting for the next line. Raises OSError."""
        with self._groups.current().writing:
            self._follow()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            with self._groups.current().writing:
                os.close(self._descriptor)
                self._is_closed = True
        super().close()

    def _write(self, lines: Sequence[bytes]) -> Written:
        """Write the lines in as few parts as the place allows; a part that fails is the last."""
        count = 0
        try:
            self._follow()
            with locked(self._descriptor):
                for part in self._parts(lines):
                    written, error = self._write_part(part)
                    count += written
                    if error is not None:
                        return count, error
        except OSError as error:
            return count, error
        return count, None

    def _parts(self, lines: Sequence[bytes]) -> Iterable[Sequence[bytes]]:
        """Return the lines as they are written at once: one by one to a pipe, which others write to as well.

        A pipe takes 4 KiB as a whole. What is longer could be mixed with their lines.
        """
        return (lines,) if stat.S_ISREG(self._opened.st_mode) else zip(lines)

    def _write_part(self, lines: Sequence[bytes]) -> Written:
        """Write these lines at once; if only some fit, keep the whole ones and cut off the rest."""
        end, count = int(self._is_torn), 0
        text = b"\n" * end + b"".join(lines)
        written = os.write(self._descriptor, text)
        if written == len(text):
            self._is_torn = False
            return len(lines), None
        while end + len(lines[count]) <= written:
            end += len(lines[count])
            count += 1
        if written > end:
            self._take_back(written - end)
        elif written:
            self._is_torn = False
        return count, OSError(0, f"only {written} of {len(text)} bytes were written")

    def _take_back(self, size: int) -> None:
        """Cut off the beginning of a line; if the file only grows, the next line begins a new one."""
        self._is_torn = True
        with suppress(OSError):
            found = os.fstat(self._descriptor)
            if stat.S_ISREG(found.st_mode):
                os.ftruncate(self._descriptor, found.st_size - size)
                self._is_torn = False

    def _follow(self) -> None:
        """Open the file again if it was rotated, or in a forked child. Raises OSError."""
        if self._is_closed:  # another file may have the descriptor by now
            raise OSError(errno.EBADF, "it was closed")
        was_rotated = self._was_rotated()
        if was_rotated or self._process != this_process():
            # A forked child needs a description of its own: a lock over its parent's would lock out neither.
            before = self._descriptor
            self._descriptor, self._opened = self._open()
            self._process = this_process()
            self._is_torn = self._is_torn and not was_rotated
            if self._file is not None:
                os.close(before)

    def _open(self) -> tuple[int, os.stat_result]:
        if self._file is None:
            return STDERR_DESCRIPTOR, os.fstat(STDERR_DESCRIPTOR)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(self._file, flags, 0o600)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            # The wait for a reader might never end, and a reload and a rotation wait behind it.
            raise OSError(errno.ENXIO, "no process reads this pipe", str(self._file)) from error
        os.set_blocking(descriptor, True)
        return descriptor, os.fstat(descriptor)

    def _was_rotated(self) -> bool:
        """Return True if the name leads to another file now, or to none."""
        if self._file is None:
            return False
        try:
            return not os.path.samestat(os.stat(self._path), self._opened)  # noqa: PTH116
        except FileNotFoundError:
            return True


def reopen_logs() -> None:
    """Reopen audit logs that were rotated, which releases the old files; a failure is logged.

    Each line checks for a rotation, too, so none is lost in between.
    """
    for handler in log.handlers:
        if isinstance(handler, AuditFile):
            try:
                handler.reopen()
            except OSError as error:
                troubles.error("the audit log cannot be reopened: %s", error)


def check_log(target: str | None) -> None:
    """Raise SettingsError for an audit log that cannot be opened; it is made if it is missing."""
    if target is not None:
        _opened(target).close()


def _opened(target: str) -> AuditFile:
    try:
        return AuditFile(None if target == STDERR else Path(target))
    except OSError as error:
        raise SettingsError(
            f"the audit log {target!r} cannot be opened ({error.strerror}): "
            "name a writable file in MACAROON_CBAT_AUDIT_LOG"
        ) from error


def write_log_to(target: str | None) -> None:
    """Write audit lines to this file, or to standard error (`-`); None leaves them to the logging set-up.

    A process has one such logger, so the last call applies. Raises SettingsError for a file that cannot be
    opened.
    """
    before = [one for one in log.handlers if isinstance(one, AuditFile)]
    if target is not None:  # before the old one goes: no line is lost while a process changes
        log.addHandler(_opened(target))
    log.propagate = target is None
    log.setLevel(logging.NOTSET if target is None else logging.INFO)
    for handler in before:
        log.removeHandler(handler)
        handler.close()
