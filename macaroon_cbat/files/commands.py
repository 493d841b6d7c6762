"""A command that answers a secret: run without a shell, for a bounded time, with a bounded answer.

The command gets its input on standard input. It leads a process group of its own, and whatever is left of
that group is killed at the end. A process that leaves the group by itself is not found.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Self

_PIECE = 65_536
_LOOK_SECONDS = 0.02
"""Seconds between two looks whether the command has ended while a child of it holds its output open."""
_MOST_SAID = 4096
"""Bytes of standard error that are kept; the rest is read and dropped."""


class CommandFailed(Exception):
    """The command gave no answer: the reason, and what it wrote to standard error."""

    def __init__(self, reason: str, said: bytes = b"") -> None:
        super().__init__(reason)
        self.said = said


@dataclass(frozen=True, slots=True)
class Answered:
    """The whole answer of a command that ended with status 0, and what it wrote to standard error."""

    output: bytes = field(repr=False)
    said: bytes


def answer_of(
    words: Sequence[str], given: bytes, environment: Mapping[str, str], *, seconds: float, most: int
) -> Answered:
    """Return what the command answers to the input within these seconds, `most` bytes at most.

    Raises CommandFailed if it cannot be run, fails, does not end in time, or answers more.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 # the operator names the program
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise CommandFailed(f"cannot be run ({getattr(error, 'strerror', None) or error})") from error
    with _Talk(process, given, time.monotonic() + seconds, most) as talk:
        try:
            reason = talk.hold()
        finally:
            _end(process)
    if reason is None and process.returncode:
        reason = _status(process.returncode)
    if reason is not None:
        raise CommandFailed(reason, bytes(talk.said))
    return Answered(bytes(talk.output), bytes(talk.said))


class _Talk:
    """The exchange with one command over its three pipes."""

    def __init__(self, process: subprocess.Popen[bytes], given: bytes, until: float, most: int) -> None:
        self.output, self.said = bytearray(), bytearray()
        self._process, self._left, self._until, self._most = process, memoryview(given), until, most
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        for pipe, event in (
            (self._process.stdin, selectors.EVENT_WRITE),
            (self._process.stdout, selectors.EVENT_READ),
            (self._process.stderr, selectors.EVENT_READ),
        ):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, event)
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            with suppress(OSError):
                pipe.close()
        self._selector.close()

    def hold(self) -> str | None:
        """Exchange until the command has ended; return why it has to be killed, or None."""
        while True:
            has_ended = _has_ended(self._process)
            moved = self._turn(0 if has_ended else self._wait())
            if len(self.output) > self._most:
                return f"answers more than {self._most} bytes"
            is_late = time.monotonic() >= self._until
            if has_ended and (is_late or not moved):  # a child of it may write on for ever
                return None
            if is_late:
                return "does not answer in time"

    def _wait(self) -> float:
        return max(0.0, min(self._until - time.monotonic(), _LOOK_SECONDS))

    def _turn(self, seconds: float) -> bool:
        """Move what can be moved within these seconds; return True if anything was read."""
        if not self._selector.get_map():
            time.sleep(seconds)
            return False
        moved = False
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._process.stdin:
                self._write(key.fileobj)
            else:
                moved |= self._read(key.fd, key.fileobj)
        return moved

    def _write(self, pipe: IO[bytes]) -> None:
        try:
            self._left = self._left[os.write(pipe.fileno(), self._left[:_PIECE]) :]
        except BlockingIOError:
            return
        except OSError:  # it reads no further, and may answer all the same
            self._left = self._left[:0]
        if not self._left:
            self._selector.unregister(pipe)
            with suppress(OSError):
                pipe.close()

    def _read(self, descriptor: int, pipe: object) -> bool:
        try:
            piece = os.read(descriptor, _PIECE)
        except BlockingIOError:
            return False
        if not piece:
            self._selector.unregister(descriptor)
            return False
        if pipe is self._process.stdout:
            self.output += piece
        else:
            self.said += piece[: max(0, _MOST_SAID - len(self.said))]
        return True


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Return True if the command has ended. It is not reaped: its number must stay that of the group."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group, and reap the command."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _status(code: int) -> str:
    return f"ended with status {code}" if code > 0 else f"was ended by signal {-code}"
