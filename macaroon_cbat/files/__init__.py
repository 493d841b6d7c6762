"""Files that are whole or not there, and never readable by others for a moment."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def replace_file(file: Path, content: Iterable[bytes], mode: int = 0o600) -> None:
    """Write the file anew, or raise OSError; whoever reads meanwhile sees the old one or the new one.

    It never exists with another mode. It is on the disk before it takes the old one's place, and that on
    the disk before this returns.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)  # of a process that had this number and was killed
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.writelines(content)
            stream.flush()
            os.fsync(descriptor)
        draft.replace(file)
        _see_on_disk(file.parent)
    except BaseException:
        with suppress(OSError):
            draft.unlink()
        raise


def _see_on_disk(folder: Path) -> None:
    """Wait until the names in the folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
