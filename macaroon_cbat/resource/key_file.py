"""The audience's keys from a file, followed when the file changes."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import AudienceKey, AudienceKeys, read_key_file

log = logging.getLogger("macaroon_cbat.resource")


class KeyFile:
    """A KeySource over a file that `macaroon-cbat key export` wrote.

    A replaced file is read within LOOK_SECONDS. While a replacement cannot be read, the keys read
    before stay in force, and the log says so. A file that other users can use is refused: a reader could mint
    tokens for this resource server, and a writer could decide what it accepts.
    """

    announces_blocking = True  # reading a file does not wait for another machine

    def __init__(self, path: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Read the file, or raise SettingsError that says what to do."""
        self._path = path
        self._monotonic = monotonic
        self._keys: AudienceKeys | None = None
        self._followed = Followed(
            "keys", [path], self._read, log, monotonic, is_prompt=True, level=logging.ERROR
        )

    def __repr__(self) -> str:
        """Show which file it is."""
        return f"<KeyFile {self._path}>"

    @property
    def issuer(self) -> str:
        """The service that minted for these keys."""
        return self._followed.value.issuer

    @property
    def audience(self) -> str:
        """The one audience these keys verify."""
        return self._followed.value.audience

    def key_for(self, unverified: Grant, /) -> AudienceKey:
        """Return the key that the grant names, or raise UnknownKey."""
        followed = self._followed
        if self._monotonic() >= followed.look_at:  # the hot path spares the call of `current`
            followed.look()
        return followed.value.key_for(unverified)

    def _read(self) -> AudienceKeys:
        """Return the keys in the file, the same object while they are the same, or raise SettingsError."""
        before, keys = self._keys, self._load()
        if before is not None:
            if keys == before:
                return before
            if keys.audience != before.audience:
                raise SettingsError(
                    f"{self._path} is now for another audience, {keys.audience}: "
                    f"export the keys of {before.audience} into it"
                )
            log.info("%s was replaced: keys %s", self._path, ", ".join(keys.keys))
        self._keys = keys
        return keys

    def _load(self) -> AudienceKeys:
        try:
            with open_private(self._path, "key file") as file:
                content = file.read()
        except OSError as error:
            raise SettingsError(
                f"the key file {self._path} cannot be read ({error.strerror}): "
                f"write it with macaroon-cbat key export --audience URL --output {self._path}"
            ) from error
        return read_key_file(content, str(self._path))
