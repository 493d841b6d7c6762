"""What several commands share: the data folder, JSON output, reading files and standard input."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files import written
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.printable import printable
from macaroon_cbat.wire import MAX_CHARACTERS

if TYPE_CHECKING:
    from macaroon_cbat.service import Settings
    from macaroon_cbat.stores import Stores

FILE = click.Path(path_type=Path, dir_okay=False)
_STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --data, the folder with the embedded database, keys and development CA."""
    return click.option(
        "--data",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Folder of database, keys and development CA. [env: MACAROON_CBAT_DATA; "
        "default: ~/.local/share/macaroon-cbat]",
    )(command)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def force_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --force, for commands that write files."""
    return click.option("--force", is_flag=True, help="Replace a file that exists already.")(command)


def log_to_stderr() -> None:
    """Log what this package says, and the warnings of others, to standard error."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("macaroon_cbat").setLevel(logging.INFO)


def now() -> EpochSeconds:
    """Return the second at which the command runs."""
    return EpochSeconds(int(time.time()))


def stores_in(data: Path | None) -> "tuple[Settings, Stores]":
    """Return the settings, and the stores they name, open until the command ends; it is audited."""
    from macaroon_cbat.journal.file import journal_to
    from macaroon_cbat.service.settings import settings_from_environment
    from macaroon_cbat.stores import open_stores

    settings = settings_from_environment(data=data)
    journal_to(settings.audit_log)
    stores = open_stores(settings.database_url, settings.wrapping_key, now())
    click.get_current_context().call_on_close(stores.database.close)
    return settings, stores


def print_json(members: object) -> None:
    """Print JSON for people and scripts, in ASCII: the text of others does nothing to a terminal."""
    text = json.dumps(msgspec.to_builtins(members), indent=2)
    click.echo(text.replace("\x7f", "\\u007f"))


def say(text: str, *, err: bool = False) -> None:
    """Print one line, whatever others wrote in it."""
    click.echo(printable(text), err=err)


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


@contextmanager
def output_to(file: Path, what: str, *, may_replace: bool, mode: int = 0o600) -> Iterator[BinaryIO]:
    """Open a file, `-` being standard output, for what the block writes; it is there when the block ends.

    Raises SettingsError, before the block begins, for a file that exists already or cannot be written.
    """
    try:
        if is_standard_output(file):
            require_standard_output()
            sys.stdout.flush()
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with written(file, what, may_replace=may_replace, mode=mode) as stream:
                yield stream
    except FileExistsError as error:
        raise SettingsError(
            f"the {what} {file} exists already: name another file, or replace it with --force"
        ) from error
    except FileNotFoundError as error:
        missing = (
            error.filename if file.parent.exists() else file.parent
        )  # the one that a link leads to, or ours
        raise SettingsError(
            f"the {what} {file} cannot be written: make the folder {missing} first"
        ) from error
    except OSError as error:
        place = "standard output" if is_standard_output(file) else f"the {what} {file}"
        raise SettingsError(f"{place} cannot be written: {error.strerror or error}") from error


def require_standard_output() -> None:
    """Raise SettingsError where this process was given none: what is printed would be lost."""
    if sys.stdout is None:
        raise SettingsError("standard output is closed: open it, or name a file")


def is_standard_output(file: Path) -> bool:
    """Return True for a name of standard output."""
    return str(file) in _STANDARD_OUTPUT
