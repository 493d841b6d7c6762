"""Folders for files that one process needs while it runs."""

import os
from pathlib import Path

_USUAL = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  # what is made there is private and has a name at random


def scratch_folders(spare: Path | None = None) -> list[str]:
    """Return the folders to try, in this order: those of the environment, the usual ones, and `spare`.

    The root and `/tmp` of a container may be read-only; `/dev/shm`, in memory, is usually writable.
    """
    named = [os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    return [*dict.fromkeys([*named, *_USUAL, *([] if spare is None else [str(spare)])])]
