"""Counters that several processes share: files in one private folder, each with one writer.

prometheus_client maps these files into memory. The first write to a new part of one would end the process on
a full disk (SIGBUS), so every file has its full length before the first fork. A worker that replaces a dead
one takes over its file, and counts on.
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
_FILES = {"counter": 1 << 17, "histogram": 1 << 20, "gauge_livesum": 1 << 16}
"""The kinds of files of a process, and their bytes: room for all possible time series at about 200 bytes,
each of an endpoint and an error, or of an endpoint, a class of status and a bucket."""

_held: list[int] = []
"""The descriptor that holds the lock of this process's file."""


@contextmanager
def sharing_counters(processes: int, spare: Path | None = None) -> Iterator[None]:
    """Let this many processes, still to be forked, share counters while the block lasts; one needs no files.

    The folder is in the first of `scratch_folders` that has room. Call this before prometheus_client is
    imported, which decides then. Raises SettingsError if no folder has room.
    """
    require("metrics", "prometheus_client")
    with ExitStack() as stack:
        stack.enter_context(_without_variables())
        if processes > 1:
            os.environ[_FOLDER] = stack.enter_context(_folder(processes, spare))
        yield


@contextmanager
def ignoring_leftovers() -> Iterator[None]:
    """Hide an environment variable that names a missing folder, on which prometheus_client would fail."""
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
    """Make the folder in the first place with room for all files."""
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
    needed = processes * sum(_FILES.values())
    raise SettingsError(
        f"the metrics of {processes} processes find no folder with room for {needed} bytes "
        f"({'; '.join(reasons)}): mount a writable /tmp, or name another folder in TMPDIR"
    )


def _make_files(folder: Path, processes: int) -> None:
    for number in range(processes):
        for kind, size in _FILES.items():
            with (folder / f"{kind}_{number}.db").open("xb") as file:
                file.write(bytes(size))


def take_counters() -> None:
    """Let this process count in a file that no living process has; call this before it makes a counter."""
    folder = os.environ.get(_FOLDER)
    if folder is None:
        return
    from prometheus_client import values

    number = _take_file(Path(folder))
    values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]


def _take_file(folder: Path) -> str:
    """Lock a file of the folder until this process ends, even by a crash; return its number."""
    for file in sorted(folder.glob("counter_*.db")):
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
        if try_lock(descriptor):
            _held.append(descriptor)
            return file.stem.partition("_")[2]
        os.close(descriptor)
    raise SettingsError(f"no counters are left in {folder}: start again with fewer workers")


def is_shared() -> bool:
    """Return True if this process shares counters with others."""
    return bool(_held)
