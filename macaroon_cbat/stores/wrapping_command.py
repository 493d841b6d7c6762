"""A wrapping key that lies encrypted in a file, and a command that decrypts it: of a KMS, a vault or an HSM.

The command is run when a process starts, and again only when the file has become another one. A request never
waits for it otherwise.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.commands import CommandFailed, answer_of
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.files.process_values import ProcessLock

log = logging.getLogger("macaroon_cbat.stores")

MOST_WRAPPED = 65_536
"""Bytes of a wrapped key at most."""
RETRY_SECONDS = 5.0
"""Seconds for which a failure is remembered: a command that hangs must not be run for every request."""

_MOST_ANSWERED = 4096
_SECRET = re.compile(
    r"[A-Za-z0-9+/_=-]{20,}"  # base64 or hexadecimal digits
    r"|b'[^']{12,}'?|b\"[^\"]{12,}\"?"  # bytes, as Python writes them
)
_DUMP = re.compile(r"(?<![0-9A-Za-z])(?:[0-9A-Fa-f]++(?:[^0-9A-Za-z]{1,3}+|$))++")
_DIGITS_OF_A_KEY = 24
"""Digits in groups that are as many may be a key."""
_LONGEST_WORDS = 300


class _Read(NamedTuple):
    """The answer of the command about one content of the file: the text, or the error until a moment."""

    wrapped: bytes
    answer: bytes | SettingsError
    until: float


class WrappingCommand:
    """A command that answers the wrapping key to the encrypted one. Thread-safe; safe to fork."""

    def __init__(
        self,
        words: tuple[str, ...],
        environment: Mapping[str, str],
        *,
        seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Run these words, without a shell, with this environment and no other variable."""
        self._words, self._environment, self._seconds = words, dict(environment), seconds
        self._monotonic = monotonic
        self._lock = ProcessLock()
        self._last: _Read | None = None

    def __repr__(self) -> str:
        """Show the program, and no argument: it may be a secret."""
        return f"<WrappingCommand {self._words[0]}>"

    def unwrapped(self, file: Path) -> bytes:
        """Return what the command answers to the content of the file.

        Raises SettingsError for a file that cannot be read, and for a command that gives no answer.
        """
        wrapped = _wrapped_in(file)
        last = self._last
        if last is None or not self._is_about(last, wrapped):
            with self._lock.current():
                last = self._last
                if last is None or not self._is_about(last, wrapped):
                    last = self._last = self._run(wrapped)
        if isinstance(last.answer, SettingsError):
            raise SettingsError(str(last.answer))
        return last.answer

    def _is_about(self, last: _Read, wrapped: bytes) -> bool:
        return last.wrapped == wrapped and self._monotonic() < last.until

    def _run(self, wrapped: bytes) -> _Read:
        name = self._words[0]
        try:
            answered = answer_of(
                self._words, wrapped, self._environment, seconds=self._seconds, most=_MOST_ANSWERED
            )
        except CommandFailed as error:
            said = _told(error.said)
            failed = SettingsError(
                f"the wrapping command {name} {error} (it has {self._seconds:g} s): run it by hand with the "
                f"wrapped key on standard input{f'; it said: {said}' if said else ''}"
            )
            return _Read(wrapped, failed, self._monotonic() + RETRY_SECONDS)
        if said := _told(answered.said):
            log.warning("the wrapping command %s answered, and said: %s", name, said)
        return _Read(wrapped, answered.output, float("inf"))


def _told(said: bytes) -> str:
    """Return what a command wrote to standard error: one line without anything that looks like a key."""
    text = " ".join(_line(one) for one in said.splitlines()).replace("\\x", " ").replace("0x", " ")
    words = _DUMP.sub(_short, _SECRET.sub("[...]", " ".join(text.split())))
    plain = "".join(one if one.isprintable() else "?" for one in words)
    return plain if len(plain) <= _LONGEST_WORDS else plain[: _LONGEST_WORDS - 1] + "\u2026"


def _line(line: bytes) -> str:
    """Return a line that is text; bytes may be those of a key."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return "[...]"


def _short(dump: re.Match[str]) -> str:
    """Return groups of hexadecimal digits, or of decimal ones, that are too few for a key."""
    return dump[0] if sum(map(str.isalnum, dump[0])) < _DIGITS_OF_A_KEY else "[...] "


def _wrapped_in(file: Path) -> bytes:
    try:
        with open_private(file, "wrapped wrapping key") as stream:
            wrapped = stream.read(MOST_WRAPPED + 1)
    except OSError as error:
        raise SettingsError(
            f"the wrapped wrapping key {file} cannot be read ({error.strerror}): name its file"
        ) from error
    if not 1 <= len(wrapped) <= MOST_WRAPPED:
        raise SettingsError(
            f"the wrapped wrapping key {file} has {'no' if not wrapped else 'too many'} bytes: encrypt what "
            "macaroon-cbat key generate-wrapping prints into it"
        )
    return wrapped
