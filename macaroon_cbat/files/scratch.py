"""The folders where files may lie that are of use to one process alone and only while it runs."""

import os
from pathlib import Path

_USUAL = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108  # what is made there is private and has a name at random


def scratch_folders(spare: Path | None = None) -> list[str]:
    """Return the places to try, in their order: as the environment says, the usual ones, and `spare`.

    In a container the root may be read-only and `/tmp` with it; `/dev/shm`, in memory, is mostly there.
    """
    named = [os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    return [*dict.fromkeys([*named, *_USUAL, *([] if spare is None else [str(spare)])])]
