"""A real PostgreSQL server that the tests start themselves, in a temporary folder, on a free port."""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal
from zlib import crc32

import psycopg

from tests.support.patience import SECONDS
from tests.support.ports import free_port

_UNPRIVILEGED = pwd.getpwuid(65534).pw_name
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "16MB",
}
_FRUGAL = {"fsync": "off", "autovacuum": "off", "jit": "off", "checkpoint_timeout": "1h"}
"""The kernel has what a killed process has written: only a power cut takes what is not synced."""

_FORGETFUL = _FRUGAL | {
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "bgwriter_lru_maxpages": "0",
}
_OUTLIVING: dict[str, dict[str, str]] = {"power cuts": {}, "kills": _FRUGAL, "nothing": _FORGETFUL}
_CLUSTER = ("--username=cbat", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")


def tool(name: str) -> str:
    """Return the path of a program of the newest PostgreSQL that is installed."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda p: float(p.parts[-3]))
    found = str(installed[-1]) if installed else shutil.which(name)
    assert found, "the tests need PostgreSQL: sudo apt-get install postgresql"
    return found


def unprivileged() -> Sequence[str]:
    """Return what to put before a command: PostgreSQL refuses to run as root, and ends with the tests."""
    setpriv = shutil.which("setpriv")
    assert setpriv, "the tests need setpriv: apt-get install util-linux"
    if os.getuid() != 0:
        return (setpriv, "--pdeathsig=INT")
    return (setpriv, "--pdeathsig=INT", f"--reuid={_UNPRIVILEGED}", f"--regid={_group()}", "--clear-groups")


def give_to_unprivileged(folder: Path, *files: str) -> None:
    """Give the folder and these files in it to the user that unprivileged commands run as."""
    if os.getuid() == 0:
        for path in (folder, *(folder / file for file in files)):
            shutil.chown(path, _UNPRIVILEGED, _group())


def _group() -> int:
    return pwd.getpwnam(_UNPRIVILEGED).pw_gid


@dataclass
class Postgres:
    """One server; its databases, by URL."""

    folder: Path
    outlives: str
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=count)
    _admin: psycopg.Connection[Any] | None = None

    def start(self) -> None:
        """Start it on the port it had, and wait until it answers."""
        self.port = self.port or free_port()
        settings = _SETTINGS | _OUTLIVING[self.outlives]
        command = [*unprivileged(), tool("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port)]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + SECONDS
        while not self.answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            if self.process.poll() is not None:  # what a killed server leaves behind takes a moment to go
                return self.start()
            time.sleep(0.02)
        return None

    def answers(self) -> bool:
        """Tell whether the server takes connections."""
        with suppress(psycopg.OperationalError):
            psycopg.connect(self._conninfo("postgres"), connect_timeout=5).close()
            return True
        return False

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"cbat{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name}", " STRATEGY FILE_COPY")  # which takes half the time
        return f"postgresql+psycopg://cbat@127.0.0.1:{self.port}/{name}"

    def drop(self, url: str) -> None:
        """Remove a database before what it holds is written to the disk."""
        self._execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def kill(self) -> None:
        """End every process of the server by SIGKILL, as a kernel does that runs out of memory."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(SECONDS)

    def stop(self) -> None:
        """End it at once, by process id."""
        if self._admin is not None:
            self._admin.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)  # its data are thrown away: it need not write them
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:  # a busy disk
                self.kill()

    def _execute(self, statement: str, since_15: str = "") -> None:
        """Run a statement on a connection that is kept; a killed server has cut it."""
        try:
            if self._admin is None:
                self._admin = psycopg.connect(self._conninfo("postgres"), autocommit=True)
            end = since_15 if self._admin.info.server_version >= 150_000 else ""
            self._admin.execute(f"{statement}{end}".encode())
        except psycopg.OperationalError:
            if self._admin is None or not self._admin.broken:
                raise
            self._admin = None
            self._execute(statement, since_15)

    def _conninfo(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=cbat dbname={database}"


@contextmanager
def suspended(server: Postgres) -> Iterator[None]:
    """Stop every process of the server, as a machine does that hangs; let it go on when the block ends."""
    assert server.process is not None
    pid = server.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    processes = [pid, *map(int, children)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(processes):
            os.kill(process, signal.SIGCONT)


@contextmanager
def postgres(*, outlives: Literal["power cuts", "kills", "nothing"]) -> Iterator[Postgres]:
    """Run a server of its own until the block ends; what it outlives costs time."""
    folder = Path(tempfile.mkdtemp(prefix="macaroon-cbat-postgres-"))
    try:
        give_to_unprivileged(folder)
        subprocess.run(["cp", "-a", str(_cluster()), str(folder / "data")], check=True)
        server = Postgres(folder, outlives)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _cluster() -> Path:
    """Return a cluster that no server ever runs on, made once for each version: each server gets a copy.

    It gets its name when it is whole, and is never changed; the others wait for the lock meanwhile.
    """
    program, options = Path(tool("initdb")).resolve(), " ".join(_CLUSTER)
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    cluster = Path(sys.prefix, f"postgresql-{crc32(f'{said} {options} {os.getuid()}'.encode()):08x}")
    with Path(sys.prefix, "postgresql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cluster.exists():
            _make_cluster(program, cluster)
    return cluster


def _make_cluster(program: Path, cluster: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="macaroon-cbat-postgres-") as folder:
        give_to_unprivileged(Path(folder))
        initdb = [*unprivileged(), program, "-D", f"{folder}/data", *_CLUSTER]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder)
        half = cluster.with_name("postgresql.half")
        shutil.rmtree(half, ignore_errors=True)
        subprocess.run(["cp", "-a", f"{folder}/data", str(half)], check=True)
        half.rename(cluster)
