"""Content under a path, without a file on disk, for libraries that take no bytes, such as `ssl`."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.scratch import scratch_folders

if TYPE_CHECKING:
    from io import FileIO
    from tempfile import _TemporaryFileWrapper


@contextmanager
def as_path(content: bytes) -> Iterator[str]:
    """Show the content under a path while the block lasts.

    It is in memory on Linux. If that is forbidden, or `/proc` is missing, it is in a temporary file that this
    user alone can read. Raises SettingsError if there is no place for it.
    """
    with ExitStack() as stack:
        yield _in_memory(content, stack) or _in_file(content, stack)


def _in_memory(content: bytes, stack: ExitStack) -> str | None:
    if sys.platform != "linux":
        return None
    try:
        file = stack.enter_context(os.fdopen(os.memfd_create("macaroon_cbat"), "wb", buffering=0))
        _write(file, content)
    except OSError:
        return None
    path = f"/proc/self/fd/{file.fileno()}"
    return path if os.path.exists(path) else None  # noqa: PTH110  # no file is read


def _in_file(content: bytes, stack: ExitStack) -> str:
    reasons = []
    for folder in scratch_folders():
        try:
            file = stack.enter_context(_new_file(folder))
            _write(file, content)
        except OSError as error:
            reasons.append(f"{folder}: {error.strerror}")
            continue
        return file.name
    raise SettingsError(
        f"there is no place to show OpenSSL a certificate or key ({'; '.join(reasons)}): "
        "mount /proc, or a writable /tmp"
    )


def _new_file(folder: str) -> "_TemporaryFileWrapper[bytes]":
    return NamedTemporaryFile(prefix="macaroon-cbat-", dir=folder, buffering=0)


def _write(file: "FileIO | _TemporaryFileWrapper[bytes]", content: bytes) -> None:
    """Write all of it. Raises OSError: there is no buffer, which would try again when it is closed."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
