"""Files that a command generates into a folder: configurations of proxies, units, manifests."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from macaroon_cbat.cli.options import output_to
from macaroon_cbat.errors import SettingsError


def write_files(files: dict[str, str], output: Path, secrets: Iterable[str] = (), *, force: bool) -> None:
    """Write the files into the folder, private where they hold a secret. Raises SettingsError."""
    kept = tuple(secrets)
    _make_folder(output)
    with ExitStack() as stack:  # each is open before the first one is written
        for name, text in files.items():
            is_secret = any(secret in text for secret in kept)
            stack.enter_context(_file(output / name, text, force=force, mode=0o600 if is_secret else 0o644))


def _make_folder(folder: Path) -> None:
    """Make the folder and those above it, or raise SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"the folder {folder} cannot be made ({error.strerror}): name another with --output"
        ) from error


@contextmanager
def _file(file: Path, text: str, *, force: bool, mode: int) -> Iterator[None]:
    """Write the file when the block ends; Apache's workers read refuse.lua as another user."""
    remedy = "name another folder, or replace it with --force"
    may_replace = force or _is_generated(file, text)
    with output_to(file, "file", may_replace=may_replace, mode=mode, remedy=remedy) as stream:
        yield
        stream.write(text.encode())


def _is_generated(file: Path, text: str) -> bool:
    """Return True for what this command wrote before: its first line says what it is."""
    try:
        return file.is_file() and file.read_bytes().partition(b"\n")[0] == text.encode().partition(b"\n")[0]
    except OSError:
        return False
