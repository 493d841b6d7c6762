"""What several commands share: the data folder, JSON output, reading files and standard input."""

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files import replace_file
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.printable import printable
from macaroon_cbat.wire import MAX_CHARACTERS

if TYPE_CHECKING:
    from macaroon_cbat.service import Settings
    from macaroon_cbat.stores import Stores

_INIT = "macaroon_cbat.init"
FILE = click.Path(path_type=Path, dir_okay=False)


class _Folder(click.Path):
    """A folder; an empty name, as of a variable that is not set, would be the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty: name the folder, or leave the option out", param, ctx)
        return super().convert(value, param, ctx)


def data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --data, the folder with the embedded database, keys and development CA."""
    return click.option(
        "--data",
        type=_Folder(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Folder of database, keys and development CA. [env: MACAROON_CBAT_DATA; "
        "default: ~/.local/share/macaroon-cbat]",
    )(command)


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --data, and --init, without which a command takes a database only where there is one."""
    init = click.option(
        "--init",
        is_flag=True,
        expose_value=False,
        callback=lambda context, _option, value: context.meta.update({_INIT: value}),
        help="Make the database when there is none, or bring an older one to this version, as serve does.",
    )
    return data_option(init(command))


def wants_init() -> bool:
    """Return True if the command was given --init."""
    return bool(click.get_current_context().meta.get(_INIT))


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def log_to_stderr() -> None:
    """Log what this package says, and the warnings of others, to standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("macaroon_cbat").setLevel(logging.INFO)


def now() -> EpochSeconds:
    """Return the second at which the command runs."""
    return EpochSeconds(int(time.time()))


def stores_in(data: Path | None) -> "tuple[Settings, Stores]":
    """Return the settings, and the stores they name, open until the command ends; it is audited.

    Raises SettingsError for a database that is not there, or of another version, unless --init was given.
    """
    from macaroon_cbat.journal.file import journal_to
    from macaroon_cbat.service.settings import settings_from_environment
    from macaroon_cbat.stores import open_stores

    creates = wants_init()
    settings = settings_from_environment(data=data, creates=creates)
    stores = open_stores(settings.database_url, settings.wrapping_key, now(), creates=creates)
    click.get_current_context().call_on_close(stores.database.close)
    journal_to(settings.audit_log)
    return settings, stores


def say_changed(stores: "Stores") -> None:
    """Say on standard error which database a command has changed: it may be another one than was meant."""
    click.echo(printable(f"changed the database in {stores.database.place}"), err=True)


def print_json(members: object) -> None:
    """Print JSON for people and scripts, in ASCII: the text of others does nothing to a terminal."""
    text = json.dumps(msgspec.to_builtins(members), indent=2)
    click.echo(text.replace("\x7f", "\\u007f"))


def say(text: str) -> None:
    """Print one line, whatever others wrote in it."""
    click.echo(printable(text))


def read_token() -> str:
    """Return the token on standard input, without the line end; a usage error when there is none."""
    if sys.stdin.isatty():
        click.echo("reading the token from standard input", err=True)
    text = sys.stdin.buffer.read(MAX_CHARACTERS + 3).decode(errors="replace").rstrip("\r\n")
    if not text:
        raise click.UsageError("no token on standard input: pipe one in, such as: ... < token")
    return text


def read_file(file: Path, at_most: int = -1) -> bytes:
    """Return the content of a file, `-` being standard input, or raise SettingsError.

    `at_most` is the number of bytes that are read; all of them by default.
    """
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(at_most)
        with file.open("rb") as stream:
            return stream.read(at_most)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error


def read_secret(file: Path) -> str:
    """Return the secret in a private file, `-` being standard input, or raise SettingsError."""
    if str(file) == "-":
        return read_file(file).decode(errors="replace").strip()
    try:
        with open_private(file, "secret file") as stream:
            return stream.read().decode(errors="replace").strip()
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}") from error


def write_secret(file: Path, content: bytes) -> None:
    """Write the file anew with mode 0600, or raise SettingsError."""
    try:
        replace_file(file, [content])
    except OSError as error:
        raise SettingsError(f"{file} cannot be written: {error.strerror}") from error
