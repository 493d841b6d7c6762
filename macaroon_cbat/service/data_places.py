"""The places of the database and of the wrapping key that encrypts its root keys."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.service.variables import PREFIX, Setting
from macaroon_cbat.stores import (
    EMBEDDED,
    WrappingKey,
    is_missing,
    no_database,
    read_or_make_wrapping_key,
    read_url,
    read_wrapping_key,
    sqlite_file,
    sqlite_url,
    wrapping_key_from_text,
)
from macaroon_cbat.text.plain_text import LONGEST_SECRET, secret_of

_FROM_FILES = ("DATABASE_URL", "WRAPPING_KEY")
"""The variables that hold a secret, and may be read from the file that NAME_FILE names."""

_SUFFIX = "_FILE"
_KEY_FILE = "wrapping.key"


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


def refuse_both(given: Mapping[str, str]) -> None:
    """Raise SettingsError if a variable is set both itself and as a file."""
    for name in _FROM_FILES:
        if name in given and name + _SUFFIX in given:
            raise SettingsError(
                f"{PREFIX}{name} and {PREFIX}{name}{_SUFFIX} are both set: unset one of them, so that it is "
                "clear which one is meant"
            )


def database_url(places: DataPlaces, folder: Path, *, creates: bool) -> str:
    """Return the URL that is set, else the URL of the embedded database in the folder.

    The folder is made if `creates`. Raises SettingsError for an embedded database that is missing and must
    not be made.
    """
    if places.database_url_file is not None:
        return _url_in(places.database_url_file)
    if places.database_url is not None:
        return places.database_url
    file = folder / EMBEDDED
    if creates:
        _make_folder(folder)
    elif is_missing(file):
        raise no_database(_shown(folder))
    return sqlite_url(file.resolve())


def wrapping_key(places: DataPlaces, url: str, folder: Path, *, creates: bool) -> WrappingKey:
    """Return the key that is set, else the key of the embedded database, made with a new one if `creates`.

    Hosts that share a database server need the same key, so none is made for it. Raises SettingsError for a
    key that is missing or unusable.
    """
    if places.wrapping_key_file is not None:
        return _given_key(places.wrapping_key_file)
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


def _url_in(file: Path) -> str:
    """Return the URL in a private file, or raise SettingsError."""
    name = f"{PREFIX}DATABASE_URL{_SUFFIX}"
    try:
        with open_private(file, "file with the database URL") as stream:
            return secret_of(stream.read(LONGEST_SECRET + 1), f"the file {file} of {name}")
    except OSError as error:
        reason = error.strerror
        raise SettingsError(f"{name}: {file} cannot be read ({reason}): write the URL into it") from error


def _given_key(file: Path) -> WrappingKey:
    if not _is_there(file):
        raise SettingsError(
            f"{PREFIX}WRAPPING_KEY{_SUFFIX}: there is no file {file}: restore the one that belongs to the "
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
