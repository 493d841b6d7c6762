"""A file that a feed keeps for its next start: readable by its owner alone, whole or not there."""

import logging
import os
from contextlib import suppress
from pathlib import Path

from macaroon_cbat.errors import SettingsError

log = logging.getLogger("macaroon_cbat.resource")


def read_snapshot(file: Path) -> bytes | None:
    """Return the content, or None when there is none yet; SettingsError when it cannot be kept there."""
    if not file.parent.is_dir():
        raise SettingsError(f"the snapshot {file} cannot be kept: make the folder {file.parent}")
    try:
        if file.stat().st_mode & 0o077:
            raise SettingsError(f"the snapshot {file} can be read by others: chmod 600 {file}, or remove it")
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"the snapshot {file} cannot be read: {error.strerror}") from error


def write_snapshot(file: Path, content: bytes) -> None:
    """Replace the file, mode 0600, or say in the log why not: the feed goes on without it."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        draft.replace(file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        log.error("the snapshot %s cannot be written: %s", file, error.strerror)  # noqa: TRY400 # no defect of ours
