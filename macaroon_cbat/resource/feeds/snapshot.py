"""The file that a feed keeps for its next start: readable by its owner alone, replaced whole."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files import replace_file
from macaroon_cbat.files.modes import open_private

log = logging.getLogger("macaroon_cbat.resource")


def open_snapshot(file: Path) -> BinaryIO | None:
    """Return the open file, or None if there is none yet. Raises SettingsError if it cannot be kept."""
    if not file.parent.is_dir():
        raise SettingsError(f"the snapshot {file} cannot be kept: make the folder {file.parent}")
    try:
        return open_private(file, "snapshot")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"the snapshot {file} cannot be read: {error.strerror}") from error


def read_snapshot(file: Path) -> bytes | None:
    """Return the content, or None if there is none yet. Raises SettingsError if it cannot be kept there."""
    stream = open_snapshot(file)
    if stream is None:
        return None
    with stream:
        try:
            return stream.read()
        except OSError as error:
            raise SettingsError(f"the snapshot {file} cannot be read: {error.strerror}") from error


def write_snapshot(file: Path, content: Iterable[bytes]) -> None:
    """Replace the file, mode 0600, or log why it cannot be: the feed continues without it."""
    try:
        replace_file(file, content, what="snapshot")
    except OSError as error:
        log.error("the snapshot %s cannot be written: %s", file, error.strerror)  # noqa: TRY400 # no defect of ours
    except SettingsError as error:
        log.error("%s", error)  # noqa: TRY400 # the same
