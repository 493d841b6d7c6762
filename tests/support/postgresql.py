"""A real PostgreSQL server that the tests start themselves, in a temporary folder, on a free port."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

from tests.support.ports import free_port

SECONDS = 30
_UNPRIVILEGED = "nobody"


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
    is_durable: bool = True
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=count)

    def start(self) -> None:
        """Start it on the port it had, and wait until it answers."""
        self.port = self.port or free_port()
        command = [
            *unprivileged(), tool("postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
            "-c", "max_connections=200", "-c", "shared_buffers=16MB",
            "-c", f"fsync={'on' if self.is_durable else 'off'}",
        ]  # fmt: skip
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + SECONDS
        while not self.answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            if self.process.poll() is not None:  # what a killed server leaves behind takes a moment to go
                return self.start()
            time.sleep(0.05)
        return None

    def answers(self) -> bool:
        """Tell whether the server takes connections."""
        with suppress(psycopg.OperationalError):
            psycopg.connect(self._conninfo("postgres"), connect_timeout=2).close()
            return True
        return False

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"cbat{next(self._numbers)}"
        with psycopg.connect(self._conninfo("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
        return f"postgresql+psycopg://cbat@127.0.0.1:{self.port}/{name}"

    def kill(self) -> None:
        """End every process of the server by SIGKILL, as a machine does that loses power."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for pid in (self.process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(SECONDS)

    def stop(self) -> None:
        """End it at once, by process id."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)  # its data are thrown away: it need not write them
            try:
                self.process.wait(SECONDS)
            except subprocess.TimeoutExpired:  # a busy disk
                self.kill()

    def _conninfo(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=cbat dbname={database}"


@contextmanager
def postgres(*, is_durable: bool = True) -> Iterator[Postgres]:
    """Run a server of its own until the block ends; only a durable one outlives a power cut."""
    folder = Path(tempfile.mkdtemp(prefix="macaroon-cbat-postgres-"))
    try:
        give_to_unprivileged(folder)
        initdb = [
            *unprivileged(), tool("initdb"), "-D", str(folder / "data"), "--username=cbat", "--auth=trust",
            "--encoding=UTF8", "--locale=C", "--no-sync",
        ]  # fmt: skip
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder)
        server = Postgres(folder, is_durable)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)
