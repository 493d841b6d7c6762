"""The audience's keys from a file, followed when the file changes."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.files.process_values import ProcessLock
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import AudienceKey, AudienceKeys, read_key_file

log = logging.getLogger("macaroon_cbat.resource")

LOOK_SECONDS = 1.0
"""How often at most the file is looked at."""


class KeyFile:
    """A KeySource over a file that `macaroon-cbat key export` wrote.

    A replaced file counts within LOOK_SECONDS. While a replacement cannot be read, the keys read
    before stay in force, and the log says so. A file that others can use is refused: who reads it can mint
    tokens for this resource server, and who writes it decides what it accepts.
    """

    announces_blocking = True  # a file is nobody to wait for

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read the file, or raise SettingsError that says what to do."""
        self._path = path
        self._monotonic = monotonic
        self._lock = ProcessLock()
        self._said: str | None = None
        self._seen = self._stamp()
        self._keys = self._read()
        self._look_again_at = monotonic() + LOOK_SECONDS

    def __repr__(self) -> str:
        """Show which file it is."""
        return f"<KeyFile {self._path}>"

    @property
    def issuer(self) -> str:
        """The service that minted for these keys."""
        return self._keys.issuer

    @property
    def audience(self) -> str:
        """The one audience these keys verify."""
        return self._keys.audience

    def key_for(self, unverified: Grant, /) -> AudienceKey:
        """Return the key that the grant names, or raise UnknownKey."""
        if self._monotonic() >= self._look_again_at:
            self._look()
        return self._keys.key_for(unverified)

    def _look(self) -> None:
        """Look at the file in one thread; the others go on with the keys at hand."""
        lock = self._lock.current()
        if not lock.acquire(blocking=False):
            return
        try:
            self._look_again_at = self._monotonic() + LOOK_SECONDS
            self._follow()
            self._said = None
        except SettingsError as error:
            if str(error) != self._said:  # once, not at every look
                log.error("going on with the keys read before: %s", error)  # noqa: TRY400 # no defect of ours
            self._said = str(error)
        finally:
            lock.release()

    def _follow(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp  # what is damaged is read again when it changes again
        keys = self._read()
        if keys.audience != self._keys.audience:
            raise SettingsError(f"{self._path} is now for another audience, {keys.audience}")
        self._keys = keys
        log.info("%s was replaced: keys %s", self._path, ", ".join(keys.keys))

    def _stamp(self) -> tuple[int, int, int]:
        """Return what tells two states of the file apart: no copying tool can set the time of change back."""
        try:
            status = self._path.stat()
        except OSError as error:
            raise SettingsError(
                f"the key file {self._path} cannot be read ({error.strerror}): "
                f"write it with macaroon-cbat key export --audience URL --output {self._path}"
            ) from error
        return status.st_ctime_ns, status.st_size, status.st_ino

    def _read(self) -> AudienceKeys:
        try:
            with open_private(self._path, "key file") as file:
                content = file.read()
        except OSError as error:
            raise SettingsError(f"the key file {self._path} cannot be read: {error.strerror}") from error
        return read_key_file(content, str(self._path))
