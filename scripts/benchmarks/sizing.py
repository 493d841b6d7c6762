"""Space for growth: what each kind of row adds to a database, and what a process of the service occupies.

Access tokens take no space: the service keeps nothing of them.
"""

import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from service import databases, end
from sqlalchemy import text
from timing import Extent, Measure

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import RootKey
from macaroon_cbat.service.settings import settings_from_environment
from macaroon_cbat.stores import ClientMetadata, Stores, open_stores
from macaroon_cbat.stores.family import Family, Granted
from tests.support.ports import free_port

API = "https://api.example"
LIFETIME = 30 * 86_400


def sizes(extent: Extent) -> list[Measure]:
    """Return bytes of a row in both databases, and megabytes of a process that has just started."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = []
        for title, environment in databases(folder).items():
            settings = settings_from_environment(environment)
            stores = open_stores(settings.database_url, settings.wrapping_key, _now())
            for kind, add in _ADDED.items():
                grown = _growth(stores, add, extent.rows)
                lines.append(Measure(f"{title}: one {kind}", grown / extent.rows, "bytes"))
            stores.database.close()
        lines += [Measure(f"memory of a service, {word}", value, "MB") for word, value in _memory(folder)]
    return lines


def _now() -> EpochSeconds:
    return EpochSeconds(int(time.time()))


def _growth(stores: Stores, add: Callable[[Stores, int], object], rows: int) -> int:
    before = _size(stores)
    for number in range(rows):
        add(stores, number)
    return _size(stores) - before


def _size(stores: Stores) -> int:
    """Return the bytes of the database's pages, or of its files in PostgreSQL."""
    if stores.database.engine.dialect.name == "postgresql":
        question = "SELECT pg_database_size(current_database())"
    else:
        question = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
    with stores.database.engine.connect() as connection:
        return int(connection.execute(text(question)).scalar_one())


def _add_client(stores: Stores, number: int) -> None:
    metadata = ClientMetadata(scope="read write", audiences=(API,))
    stores.clients.add(f"client-{number}", metadata, secret=secrets.token_urlsafe(32), now=_now())


def _add_family(stores: Stores, number: int) -> None:
    now, jti = _now(), secrets.token_urlsafe(16)
    family = Family(
        family=secrets.token_urlsafe(16), client_id="client-0", subject=f"user:{number}",
        granted=Granted(scope="read write", audience=API), token_id=jti, previous_id=None,
        created_at=now, rotated_at=now, expires_at=EpochSeconds(now + LIFETIME),
    )  # fmt: skip
    grant = Grant(
        client_id="client-0", sub=f"user:{number}", exp=EpochSeconds(now + 600), iat=now, jti=jti, kid="k",
        scope="read write",
    )  # fmt: skip
    key = RootKey(kid="k", secret=secrets.token_bytes(32))
    assert stores.families.begin(family, key, grant, now) is None


def _add_revocation(stores: Stores, _number: int) -> None:
    now = _now()
    stores.revocations.revoke("token", secrets.token_urlsafe(16), now=now, expires_at=EpochSeconds(now + 600))


_ADDED: dict[str, Callable[[Stores, int], object]] = {
    "registered client": _add_client,
    "refresh family": _add_family,
    "revocation": _add_revocation,
}


def _memory(folder: Path) -> list[tuple[str, float]]:
    """Return the memory of a service of one and of four processes that have just started."""
    found = []
    for workers in (1, 4):
        port = free_port()
        command = [
            "-m",
            "macaroon_cbat",
            "serve",
            "--data",
            str(folder / f"of-{workers}"),
            "--port",
            str(port),
        ]
        process = subprocess.Popen(
            [sys.executable, *command, "--workers", str(workers)], stdout=subprocess.PIPE, text=True
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            found.append((f"{workers} worker{'s' * (workers > 1)}", _megabytes(process.pid)))
        finally:
            end(process)
    return found


def _megabytes(pid: int) -> float:
    """Return the proportional memory of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for one in (pid, *map(int, children)):
        rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        total += int(rollup.partition("Pss:")[2].split()[0])
    return total / 1024
