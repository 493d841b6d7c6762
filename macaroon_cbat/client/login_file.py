"""The file of a login: private, replaced whole, and locked while its refresh token is used."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
from msgspec import Struct

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.lock import locked
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.files.replacement import written
from macaroon_cbat.text.json_text import UnusableJson, read_json_text

_MOST_BYTES = 128 * 1024
"""More than the longest answer with tokens and what stands beside them: what is written can be read."""
_WHAT = "login"
_LOCK = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class SavedLogin(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One login of a person at one service, as a client keeps it; paths are absolute."""

    issuer: str
    client_id: str
    access_token: str
    renew_access_at: int
    """The second, since 1970 by this machine's clock, from which on the access token is not given out."""
    certificate: str
    """The file of the certificate to which the tokens are bound."""
    refresh_token: str | None = None
    has_own_certificate: bool = False
    """Whether the certificate was made for this login, and ends with it."""
    key: str | None = None
    key_passphrase_file: str | None = None
    ca: str | None = None
    client_secret_file: str | None = None
    scope: str | None = None
    resource: str | None = None

    def __repr__(self) -> str:
        """Show no token."""
        return f"<SavedLogin of {self.client_id} at {self.issuer}>"


def default_login_file() -> Path:
    """Return the file of a login that has no other name. Raises SettingsError for a user without a home.

    A relative XDG_STATE_HOME is ignored, as its specification says: tokens would lie in any folder.
    """
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    folder = (named if named.is_absolute() else Path("~/.local/state")) / "macaroon-cbat"
    try:
        return folder.expanduser() / "login.json"
    except RuntimeError as error:
        raise SettingsError(f"the folder {folder} has no home: name a file with --login") from error


class LoginFile:
    """A file with one login, which several processes may use at once."""

    def __init__(self, file: Path) -> None:
        """Use this file, which need not exist yet."""
        self.file = file
        self.own_certificate = file.with_name(file.name + ".certificate.pem")
        """The file of a certificate that is made for the login: no name that a file of the user's has."""

    @contextmanager
    def locked(self, *, waits: bool = True) -> Iterator[None]:
        """Hold the lock of the login while the block lasts: a refresh token is used once. Makes the folder.

        Raises SettingsError if the folder cannot be written, and without `waits` if another process has the
        lock.
        """
        lock = self.file.with_name(self.file.name + ".lock")
        with ExitStack() as stack:
            try:
                self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(lock, _LOCK, 0o600)
                stack.callback(os.close, descriptor)
                stack.enter_context(locked(descriptor, waits=waits))
            except BlockingIOError as error:
                raise SettingsError(
                    f"another process logs in to {self.file}: wait for its end, or name another file"
                ) from error
            except OSError as error:
                raise SettingsError(
                    f"the login {self.file} cannot be locked ({error.strerror}): name another file"
                ) from error
            yield

    def exists(self) -> bool:
        """Return True if there is a login."""
        return self.file.exists()

    def read(self) -> SavedLogin:
        """Return the login. Raises SettingsError if there is none, or other users could use the file."""
        try:
            with open_private(self.file, _WHAT) as stream:
                content = stream.read(_MOST_BYTES + 1)
        except FileNotFoundError as error:
            raise SettingsError(
                f"there is no login in {self.file}: begin one with macaroon-cbat login"
            ) from error
        except OSError as error:
            raise SettingsError(
                f"the login {self.file} cannot be read ({error.strerror}): make it readable, or log in again"
            ) from error
        try:
            return read_json_text(content[:_MOST_BYTES], SavedLogin)
        except UnusableJson as error:
            raise SettingsError(
                f"{self.file} holds no login ({error}): name another file, or log in again"
            ) from error

    def write(self, login: SavedLogin) -> None:
        """Replace the login, or raise SettingsError."""
        content = msgspec.json.format(msgspec.json.encode(login), indent=2) + b"\n"
        try:
            with written(self.file, _WHAT, may_replace=True) as stream:
                stream.write(content)
        except OSError as error:
            raise SettingsError(f"the login {self.file} cannot be written: {error.strerror}") from error

    def delete(self, login: SavedLogin) -> None:
        """Delete this login, and its certificate and key if they were made for it. Raises SettingsError."""
        files = [Path(login.certificate)] if login.has_own_certificate else []
        try:
            for file in (self.file, *files):
                file.unlink(missing_ok=True)
        except OSError as error:
            raise SettingsError(f"{error.filename} cannot be deleted: {error.strerror}") from error
