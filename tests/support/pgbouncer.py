"""A real PgBouncer that the tests start themselves, in front of their PostgreSQL, on a free port."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from tests.support.ports import free_port
from tests.support.postgresql import SECONDS, Postgres, give_to_unprivileged, unprivileged


def program() -> str:
    """Return the path of PgBouncer."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    assert found, "the tests need PgBouncer: sudo apt-get install pgbouncer"
    return found


@dataclass
class Pooler:
    """One PgBouncer: called with the URL of a database of its server, it returns its own."""

    folder: Path
    port: int
    settings: dict[str, str | int]
    process: subprocess.Popen[bytes] | None = None

    def __call__(self, url: str) -> str:
        """Return the URL of the database through this pooler."""
        return make_url(url).set(host="127.0.0.1", port=self.port, query={}).render_as_string(False)

    def lead_to(self, server: Postgres) -> None:
        """Stand before another server from now on, as an operator tells it after a failover."""
        assert self.process is not None
        _configure(self.folder, server, self.port, self.settings)
        self.process.send_signal(signal.SIGHUP)


@contextmanager
def pgbouncer(server: Postgres, *, port: int | None = None, **settings: str | int) -> Iterator[Pooler]:
    """Run one before a server until the block ends."""
    folder, port = Path(tempfile.mkdtemp(prefix="macaroon-cbat-pgbouncer-")), port or free_port()
    try:
        pooler = Pooler(folder, port, settings)
        _configure(folder, server, port, settings)
        command = [*unprivileged(), program(), str(folder / "pgbouncer.ini")]
        with (folder / "log").open("wb") as log:
            process = pooler.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            _wait_for(port, process, folder)
            yield pooler
        finally:
            process.kill()  # asked to end, it would wait for its clients
            process.wait(SECONDS)
    finally:
        shutil.rmtree(folder)


def _configure(folder: Path, server: Postgres, port: int, settings: dict[str, str | int]) -> None:
    (folder / "users.txt").write_text('"cbat" ""\n')
    lines = [
        "[databases]",
        f"* = host=127.0.0.1 port={server.port}",
        "[pgbouncer]",
        "listen_addr = 127.0.0.1",
        f"listen_port = {port}",
        "unix_socket_dir =",
        "auth_type = trust",
        f"auth_file = {folder / 'users.txt'}",
        "max_client_conn = 500",
        "server_idle_timeout = 30",  # one test after the other is lent the same database
        *(f"{name} = {value}" for name, value in settings.items()),
    ]
    (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
    give_to_unprivileged(folder, "users.txt", "pgbouncer.ini")


def _wait_for(port: int, process: subprocess.Popen[bytes], folder: Path) -> None:
    conninfo, deadline = f"host=127.0.0.1 port={port} user=cbat dbname=postgres", time.monotonic() + SECONDS
    while True:
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, (folder / "log").read_text()
        with suppress(psycopg.OperationalError):
            psycopg.connect(conninfo, connect_timeout=2).close()
            return
        time.sleep(0.05)
