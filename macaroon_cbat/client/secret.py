"""The secret of a client: a text, or a file that is followed when it is replaced."""

import logging
from pathlib import Path

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.text.plain_text import LONGEST_SECRET, secret_of

log = logging.getLogger("macaroon_cbat.client")


class ClientSecret:
    """A client's secret as it is now. Thread-safe; a forked child goes on following by itself."""

    def __init__(self, secret: str | Path) -> None:
        """Take the secret itself, or read it from a file that other users cannot use.

        Raises SettingsError if the file cannot be read, and for a text that is the name of a file.
        """
        self._followed: Followed[str] | None = None
        if isinstance(secret, Path):
            file = secret
            self._followed = Followed("client secret", [file], lambda: read_secret_file(file), log)
            return
        if _names_file(secret):
            # The service would answer invalid_client, which says no more.
            raise SettingsError(f"client_secret is the name of a file: write Path({secret!r})")
        self._text = secret

    def __repr__(self) -> str:
        """Show no secret."""
        return "<ClientSecret>"

    def current(self) -> str:
        """Return the secret, or the last one that could be read from the file."""
        return self._text if self._followed is None else self._followed.current()

    def is_replaced(self) -> bool:
        """Return True if the file holds another secret by now, which `current` returns from now on."""
        if self._followed is None:
            return False
        before = self._followed.value
        self._followed.look(anyway=True)
        return self._followed.value != before


def _names_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # no name that the system would take
        return False


def read_secret_file(file: Path) -> str:
    """Return the secret in a file that other users cannot use, or raise SettingsError."""
    try:
        with open_private(file, "secret file") as stream:
            return secret_of(stream.read(LONGEST_SECRET + 1), f"the secret file {file}")
    except OSError as error:
        raise SettingsError(
            f"the secret file {file} cannot be read ({error.strerror}): correct the name or its mode"
        ) from error
