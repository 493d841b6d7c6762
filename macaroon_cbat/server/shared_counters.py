"""Counters that several processes keep together: files in one private folder, each with one writer.

prometheus_client maps these files into memory. On a disk that is full, the first write to a new part of one
would end the process (SIGBUS), so every file is as long as it gets before there is a second process. A
worker that takes a dead one's place takes its file as well, and counts on.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import require
from macaroon_cbat.files.lock import try_lock
from macaroon_cbat.files.scratch import scratch_folders

log = logging.getLogger("macaroon_cbat.metrics")

_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
_FOLDER = _VARIABLES[0]
_FILE_BYTES = 1 << 17
"""Room for all time series that there can be: an endpoint and an error each, at about 200 bytes."""

_held: list[int] = []
"""The descriptor that keeps the lock of this process's file."""


@contextmanager
def sharing_counters(processes: int, spare: Path | None = None) -> Iterator[None]:
    """Let so many processes to come share their counters while the block lasts; one alone needs no files.

    The folder is in the first of `scratch_folders` that has room.
    Must come before prometheus_client is imported. Raises SettingsError in one line.
    """
    require("metrics", "prometheus_client")
    with ExitStack() as stack:
        stack.enter_context(_without_variables())
        if processes > 1:
            os.environ[_FOLDER] = stack.enter_context(_folder(processes, spare))
        yield


@contextmanager
def ignoring_leftovers() -> Iterator[None]:
    """Let prometheus_client not stumble over a variable that names a folder which is not there any more."""
    folder = next((os.environ[name] for name in _VARIABLES if name in os.environ), None)
    if folder is None or os.access(folder, os.W_OK | os.X_OK):
        yield
        return
    log.warning("%s names %s, which cannot be written: it is ignored, so unset it", _FOLDER, folder)
    with _without_variables():
        yield


@contextmanager
def _without_variables() -> Iterator[None]:
    before = {name: os.environ.pop(name) for name in _VARIABLES if name in os.environ}
    try:
        yield
    finally:
        os.environ.pop(_FOLDER, None)
        os.environ.update(before)


@contextmanager
def _folder(processes: int, spare: Path | None) -> Iterator[str]:
    """Make the folder in the first place that has room for the files of all."""
    reasons = []
    for place in scratch_folders(spare):
        with ExitStack() as stack:
            try:
                folder = stack.enter_context(TemporaryDirectory(prefix="macaroon-cbat-", dir=place))
                _make_files(Path(folder), processes)
            except OSError as error:
                reasons.append(f"{place}: {error.strerror}")
                continue
            yield str(Path(folder).absolute())
            return
    raise SettingsError(
        f"the metrics of {processes} processes find no folder with room for {processes * _FILE_BYTES} bytes "
        f"({'; '.join(reasons)}): mount a writable /tmp, or name another folder in TMPDIR"
    )


def _make_files(folder: Path, processes: int) -> None:
    for number in range(processes):
        with (folder / f"counter_{number}.db").open("xb") as file:
            file.write(bytes(_FILE_BYTES))


def take_counters() -> None:
    """Have this process count in a file that no living process has; must come before it makes a counter."""
    folder = os.environ.get(_FOLDER)
    if folder is None:
        return
    from prometheus_client import values

    number = _take_file(Path(folder))
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


def _take_file(folder: Path) -> str:
    """Lock a file of the folder until this process ends, however that happens; return its number."""
    for file in sorted(folder.glob("counter_*.db")):
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        if try_lock(descriptor):
            _held.append(descriptor)
            return file.stem.partition("_")[2]
        os.close(descriptor)
    raise SettingsError(f"no counters are left in {folder}: start again with fewer workers")


def is_shared() -> bool:
    """Return True if this process counts together with others."""
    return bool(_held)
