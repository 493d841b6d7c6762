"""Options, input and output that several commands share."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import msgspec

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files import written
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.wire import MAX_CHARACTERS
from macaroon_cbat.text.plain_text import LONGEST_SECRET, secret_of
from macaroon_cbat.text.printable import printable

if TYPE_CHECKING:
    from macaroon_cbat.client import ClientCertificate
    from macaroon_cbat.service import Settings
    from macaroon_cbat.stores import Stores

_INIT = "macaroon_cbat.init"
FILE = click.Path(path_type=Path, dir_okay=False)
_STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


class _Folder(click.Path):
    """A folder whose name is not empty: an unset variable would otherwise name the working directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the name is empty: name the folder, or leave the option out", param, ctx)
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
    """Add --data, and --init, without which a command needs a database that exists."""
    init = click.option(
        "--init",
        is_flag=True,
        expose_value=False,
        callback=lambda context, _option, value: context.meta.update({_INIT: value}),
        help="Make the database if there is none, or upgrade an older one to this version, as serve does.",
    )
    return data_option(init(command))


def wants_init() -> bool:
    """Return True if the command was given --init."""
    return bool(click.get_current_context().meta.get(_INIT))


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def force_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --force, for commands that write files."""
    return click.option("--force", is_flag=True, help="Replace a file that exists already.")(command)


def now() -> EpochSeconds:
    """Return the second at which the command runs."""
    return EpochSeconds(int(time.time()))


def stores_in(data: Path | None) -> "tuple[Settings, Stores]":
    """Return the settings and their stores, which stay open until the command ends. The command is audited.

    Raises SettingsError if the database is missing or of another version, unless --init was given.
    """
    from macaroon_cbat.audit.file import write_log_to
    from macaroon_cbat.service.settings import settings_from_environment
    from macaroon_cbat.stores import open_stores

    creates = wants_init()
    settings = settings_from_environment(data=data, creates=creates)
    stores = open_stores(settings.database_url, settings.wrapping_key, now(), creates=creates)
    click.get_current_context().call_on_close(stores.database.close)
    write_log_to(settings.audit_log)
    return settings, stores


def say_changed(stores: "Stores") -> None:
    """Name the changed database on standard error: the operator may have meant another one."""
    click.echo(printable(f"changed the database in {stores.database.place}"), err=True)


def print_json(members: object) -> None:
    """Print JSON in ASCII, so that no text of an attacker controls the terminal."""
    text = json.dumps(msgspec.to_builtins(members), indent=2)
    click.echo(text.replace("\x7f", "\\u007f"))


def say(text: str, *, err: bool = False) -> None:
    """Print one line, with every control character in it escaped."""
    click.echo(printable(text), err=err)


def token_argument(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add FILE, which holds the token. The command reads standard input without it, and for `-`."""
    return click.argument("token_file", type=FILE, metavar="[FILE]", default="-")(command)


def read_token(file: Path) -> str:
    """Return the token in a file, or in standard input for `-`. Raises UsageError if there is none."""
    is_piped = str(file) == "-"
    if is_piped and sys.stdin.isatty():
        click.echo("reading the token from standard input", err=True)
    content = read_file(file, MAX_CHARACTERS + 6).removeprefix(b"\xef\xbb\xbf")  # an editor's mark
    text = content.decode(errors="replace").rstrip("\r\n")
    if not text:
        place, remedy = (
            ("on standard input", "... < token") if is_piped else (f"in {file}", "token mint > FILE")
        )
        raise click.UsageError(f"there is no token {place}: put one there, such as: {remedy}")
    return text


def read_file(file: Path, at_most: int = -1) -> bytes:
    """Return the content of a file, or of standard input for `-`. Raises SettingsError if it cannot be read.

    Reads `at_most` bytes at most; all of them by default.
    """
    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(at_most)
        with file.open("rb") as stream:
            return stream.read(at_most)
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read ({error.strerror}): name another file, or correct its mode"
        ) from error


def passphrase_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --key-passphrase-file, for the private key of the client certificate."""
    return click.option(
        "--key-passphrase-file", "passphrase_file", type=FILE, metavar="FILE",
        help="File with the passphrase of an encrypted key; - is stdin.",
    )(command)  # fmt: skip


def client_certificate(
    certificate: Path | None, key: Path | None, passphrase_file: Path | None
) -> "ClientCertificate | None":
    """Return the certificate that options name, or None. Raises UsageError or SettingsError."""
    from macaroon_cbat.client import ClientCertificate

    if certificate is None:
        if key is not None or passphrase_file is not None:
            raise click.UsageError("--key and --key-passphrase-file go with --cert")
        return None
    password = None if passphrase_file is None else read_secret(passphrase_file)
    return ClientCertificate(certificate, key, password=password)


def read_secret(file: Path) -> str:
    """Return the secret in a private file, or in standard input for `-`. Raises SettingsError."""
    from macaroon_cbat.client.secret import read_secret_file

    if str(file) == "-":
        return secret_of(read_file(file, LONGEST_SECRET + 1), "standard input")
    return read_secret_file(file)


@contextmanager
def output_to(
    file: Path,
    what: str,
    *,
    may_replace: bool,
    mode: int = 0o600,
    remedy: str = "name another file, or replace it with --force",
) -> Iterator[BinaryIO]:
    """Open a file, or standard output for `-`, for the block to write. The file exists once the block ends.

    Raises SettingsError before the block begins if the file exists already, with this remedy, or if it cannot
    be written.
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
        raise SettingsError(f"the {what} {file} exists already: {remedy}") from error
    except FileNotFoundError as error:
        missing = (
            error.filename if file.parent.exists() else file.parent
        )  # the one that a link leads to, or ours
        raise SettingsError(
            f"the {what} {file} cannot be written: make the folder {missing} first"
        ) from error
    except OSError as error:
        if is_standard_output(file):
            raise lost_standard_output(error) from error
        raise SettingsError(f"the {what} {file} cannot be written: {error.strerror or error}") from error


def lost_standard_output(error: OSError) -> SettingsError:
    """Return the error about standard output that cannot be written.

    What it did not take is forgotten: at its end the interpreter would try again, and change the status.
    """
    with suppress(OSError), Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return SettingsError(f"standard output cannot be written: {error.strerror or error}")


def require_standard_output() -> None:
    """Raise SettingsError if this process has no standard output: what it prints would be lost."""
    if sys.stdout is None:
        raise SettingsError("standard output is closed: open it, or name a file")


def is_standard_output(file: Path) -> bool:
    """Return True for a name of standard output."""
    return str(file) in _STANDARD_OUTPUT
