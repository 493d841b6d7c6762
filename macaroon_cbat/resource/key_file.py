"""The audience's keys from a file, followed when the file changes."""

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.identifier import Grant
from macaroon_cbat.keys import AudienceKey, AudienceKeys, read_key_file

log = logging.getLogger("macaroon_cbat.resource")

LOOK_SECONDS = 1.0
"""How often at most the file is looked at."""


class KeyFile:
    """A KeySource over a file that `macaroon-cbat key export` wrote.

    A replaced file counts within LOOK_SECONDS. While a replacement cannot be read, the keys read
    before stay in force, and the log says so.
    """

    announces_waiting = True  # a file is nobody to wait for

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read the file, or raise SettingsError that says what to do."""
        self._path = path
        self._monotonic = monotonic
        self._lock = Lock()
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
        with self._lock:
            self._look_again_at = self._monotonic() + LOOK_SECONDS
            try:
                self._follow()
                self._said = None
            except SettingsError as error:
                if str(error) != self._said:  # once, not at every look
                    log.error("going on with the keys read before: %s", error)  # noqa: TRY400 # no defect of ours
                self._said = str(error)

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
                f"write it with macaroon-cbat key export --audience URL > {self._path}"
            ) from error
        return status.st_ctime_ns, status.st_size, status.st_ino

    def _read(self) -> AudienceKeys:
        try:
            with self._path.open("rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o077:
                    log.warning(
                        "%s can be read by others, who could then mint tokens for this server: chmod 600",
                        self._path,
                    )
                content = file.read()
        except OSError as error:
            raise SettingsError(f"the key file {self._path} cannot be read: {error.strerror}") from error
        return read_key_file(content, str(self._path))
