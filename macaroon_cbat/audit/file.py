"""The audit log as a file: appended in whole lines, reopened after it was rotated."""

import logging
import os
import stat
from contextlib import nullcontext
from pathlib import Path

from macaroon_cbat.audit.log import log, troubles
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.lock import locked
from macaroon_cbat.files.process_values import this_process

STDERR, STDERR_DESCRIPTOR = "-", 2


class AuditFile(logging.Handler):
    """A handler that appends lines to a file, and raises OSError for a line that it cannot write."""

    def __init__(self, file: Path | None) -> None:
        """Open the file, made with mode 0600 if it is missing; None is standard error."""
        self._file = file
        self._path = str(file)  # each line asks for it
        self._process = this_process()
        self._descriptor = self._open()
        super().__init__()  # from here on logging closes it at exit

    def fileno(self) -> int:
        """Return the descriptor that the last line was written to."""
        return self._descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Append one line, whole or not at all. Raises OSError, which names the file."""
        try:
            self._append(record.getMessage().encode() + b"\n")
        except OSError as error:
            place = "standard error" if self._file is None else str(self._file)
            raise OSError(error.errno, error.strerror, place) from error

    def _append(self, line: bytes) -> None:
        self._follow()
        with locked(self._descriptor):
            written = os.write(self._descriptor, line)
            if written < len(line):
                self._take_back(written)
                raise OSError(0, f"only {written} of {len(line)} bytes were written")

    def reopen(self) -> None:
        """Open the file again if it was rotated, without waiting for the next line. Raises OSError."""
        with self.lock or nullcontext():
            self._follow()

    def _follow(self) -> None:
        if self._process != this_process() or self._was_rotated():
            # A forked child needs a description of its own: a lock over its parent's would lock out neither.
            before, self._descriptor = self._descriptor, self._open()
            self._process = this_process()
            if self._file is not None:
                os.close(before)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._descriptor)
        super().close()

    def _open(self) -> int:
        if self._file is None:
            return STDERR_DESCRIPTOR
        return os.open(self._file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _was_rotated(self) -> bool:
        """Return True if the name leads to another file now, or to none."""
        if self._file is None:
            return False
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))  # noqa: PTH116
        except FileNotFoundError:
            return True

    def _take_back(self, written: int) -> None:
        """Cut off half a line, or the next line would continue it."""
        found = os.fstat(self._descriptor)
        if stat.S_ISREG(found.st_mode):
            os.ftruncate(self._descriptor, found.st_size - written)


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


def write_log_to(target: str | None) -> None:
    """Write audit lines to this file, or to standard error (`-`); None leaves them to the logging set-up.

    A process has one such logger, so the last call applies. Raises SettingsError for a file that cannot be
    opened.
    """
    for handler in [one for one in log.handlers if isinstance(one, AuditFile)]:
        log.removeHandler(handler)
        handler.close()
    log.propagate = target is None
    log.setLevel(logging.NOTSET if target is None else logging.INFO)
    if target is None:
        return
    try:
        log.addHandler(AuditFile(None if target == STDERR else Path(target)))
    except OSError as error:
        raise SettingsError(
            f"the audit log {target!r} cannot be opened ({error.strerror}): "
            "name a writable file in MACAROON_CBAT_AUDIT_LOG"
        ) from error
