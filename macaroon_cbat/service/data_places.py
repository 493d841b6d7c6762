"""The places of the database and of the wrapping key that encrypts its root keys."""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.secret_files import secret_in
from macaroon_cbat.service.variables import PREFIX, Setting, refuse_out_of_range
from macaroon_cbat.stores import (
    EMBEDDED,
    WrappingCommand,
    WrappingKey,
    is_missing,
    no_database,
    read_or_make_wrapping_key,
    read_url,
    read_wrapping_key,
    sqlite_file,
    sqlite_url,
    unwrapped_key,
    wrapping_key_from_text,
)

_KEY_FILE = "wrapping.key"
_ALWAYS_PASSED = ("PATH", "HOME", "LANG", "TMPDIR")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlaces:
    """The places of the database and of its wrapping key, as the environment names them."""

    data: Annotated[
        Path | None,
        Setting(
            meaning="folder of the embedded database, keys and development CA",
            shape="a folder",
            default="~/.local/share/macaroon-cbat",
        ),
    ] = None
    database_url: Annotated[
        str | None,
        Setting(
            meaning="SQLAlchemy URL of the database",
            shape="a URL of sqlite or postgresql",
            default="SQLite in the data folder",
        ),
    ] = field(default=None, repr=False)
    database_url_file: Annotated[
        Path | None, Setting(meaning="file with that URL", shape="a private file")
    ] = None
    database_upgrade: Annotated[
        int,
        Setting(
            meaning="whether a service that starts makes the tables, or brings them to its version",
            shape="1 or 0",
            most=1,
        ),
    ] = 1
    wrapping_key: Annotated[
        str | None,
        Setting(
            meaning="key that encrypts root keys",
            shape="32 bytes as base64url",
            default=f"{_KEY_FILE} in the data folder",
        ),
    ] = field(default=None, repr=False)
    wrapping_key_file: Annotated[
        Path | None,
        Setting(
            meaning="file with that key, from macaroon-cbat key generate-wrapping", shape="a private file"
        ),
    ] = None
    wrapping_command: Annotated[
        str | None,
        Setting(
            meaning="command that decrypts what is in that file: it reads it, and answers the key",
            shape="a program and its arguments, run without a shell",
            default="none: the file holds the key itself",
        ),
    ] = field(default=None, repr=False)
    wrapping_environment: Annotated[
        str | None,
        Setting(
            meaning="variables that the command gets besides PATH, HOME, LANG and TMPDIR",
            shape="names with a space between two",
            default="no others",
        ),
    ] = None
    wrapping_seconds: Annotated[
        int,
        Setting(
            meaning="time in which the command must answer",
            shape="a number of seconds from 1 to 60",
            least=1,
            most=60,
        ),
    ] = 10

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        refuse_out_of_range(self)

    def command(self, environment: Mapping[str, str]) -> WrappingCommand | None:
        """Return the command that decrypts the wrapping key, with its part of the environment, or None.

        Raises SettingsError for a command that cannot be read, or that has nothing to decrypt.
        """
        if self.wrapping_command is None:
            return None
        if self.wrapping_key_file is None:
            raise SettingsError(
                f"{PREFIX}WRAPPING_COMMAND is set without {PREFIX}WRAPPING_KEY_FILE: encrypt what "
                "macaroon-cbat key generate-wrapping prints, and set that to the file"
            )
        try:
            words = tuple(shlex.split(self.wrapping_command))
        except ValueError as error:
            raise SettingsError(f"{PREFIX}WRAPPING_COMMAND is no command ({error}): quote it anew") from error
        if not words:
            raise SettingsError(f"{PREFIX}WRAPPING_COMMAND names no program: name one, or unset it")
        passed = {name: environment[name] for name in self._passed() if name in environment}
        return WrappingCommand(words, passed, seconds=self.wrapping_seconds)

    def _passed(self) -> tuple[str, ...]:
        named = (self.wrapping_environment or "").split()
        if own := [name for name in named if name.startswith(PREFIX)]:
            raise SettingsError(
                f"{PREFIX}WRAPPING_ENVIRONMENT names {own[0]}, which the command has no use for: leave it out"
            )
        return (*_ALWAYS_PASSED, *named)


def database_url(places: DataPlaces, folder: Path, *, creates: bool) -> str:
    """Return the URL that is set, else the URL of the embedded database in the folder.

    The folder is made if `creates`. Raises SettingsError for an embedded database that is missing and must
    not be made.
    """
    if places.database_url_file is not None:
        return secret_in(places.database_url_file, "DATABASE_URL_FILE", "URL of the database")
    if places.database_url is not None:
        return places.database_url
    file = folder / EMBEDDED
    if creates:
        _make_folder(folder)
    elif is_missing(file):
        raise no_database(_shown(folder))
    return sqlite_url(file.resolve())


def wrapping_key(
    places: DataPlaces, url: str, folder: Path, environment: Mapping[str, str], *, creates: bool
) -> WrappingKey:
    """Return the key that is set, else the key of the embedded database, made with a new one if `creates`.

    Hosts that share a database server need the same key, so none is made for it. Raises SettingsError for a
    key that is missing or unusable.
    """
    command = places.command(environment)
    if places.wrapping_key_file is not None:
        return _given_key(places.wrapping_key_file, command)
    if places.wrapping_key is not None:
        return wrapping_key_from_text(places.wrapping_key, PREFIX + "WRAPPING_KEY")
    file = folder / _KEY_FILE
    database = sqlite_file(read_url(url))
    if database is None:
        raise SettingsError(_none_set(file))
    if _is_there(file):
        return read_wrapping_key(file)
    if creates and (is_missing(database) or _is_there(file)):
        return read_or_make_wrapping_key(file)
    raise SettingsError(
        f"the wrapping key {file} is missing: restore the one that belongs to the database, whose root keys "
        "are encrypted under it, or set MACAROON_CBAT_WRAPPING_KEY_FILE to where it is"
    )


def _given_key(file: Path, command: WrappingCommand | None) -> WrappingKey:
    if command is not None:
        return unwrapped_key(file, command)
    if not _is_there(file):
        raise SettingsError(
            f"{PREFIX}WRAPPING_KEY_FILE: there is no file {file}: restore the one that belongs to the "
            f"database, or for a new database run macaroon-cbat key generate-wrapping --output {file}"
        )
    return read_wrapping_key(file, is_given=True)


def _none_set(file: Path) -> str:
    found = f"; if it was used with {file}, set it to that file" if _is_there(file) else ""
    return (
        "a wrapping key must be set with a database server, the same for every host: write one with "
        "macaroon-cbat key generate-wrapping --output FILE, and set MACAROON_CBAT_WRAPPING_KEY_FILE to "
        f"that file (or MACAROON_CBAT_WRAPPING_KEY to what is in it){found}"
    )


def _is_there(file: Path) -> bool:
    """Return False for a missing file, True for one that cannot be reached: reading it raises the reason."""
    try:
        return file.exists()
    except OSError:
        return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the data folder {folder} cannot be made ({error.strerror}): choose another with --data"
        ) from error


def _shown(folder: Path) -> str:
    """Return a folder as a path that does not look like a name."""
    return str(folder) if folder.is_absolute() or folder.parts[:1] == ("..",) else f"./{folder}"


def data_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the data folder that the environment names, else the user's own.

    Raises SettingsError for a user without a home.
    """
    name = environment.get(PREFIX + "DATA")
    shared = environment.get("XDG_DATA_HOME") or "~/.local/share"
    folder = Path(name) if name else Path(shared) / "macaroon-cbat"
    try:
        return folder.expanduser()
    except RuntimeError as error:
        raise SettingsError(f"the data folder {folder} has no home: choose another with --data") from error
