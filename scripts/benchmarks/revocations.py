"""A million live revocations: what a check costs beside a thousand, and how a new follower catches up.

The follower is a process of its own that reads the feed of a real service over mutual TLS.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

import trustme
from core import API, ISSUER, KEY, KEYS, NOW, POOL, access, caveats, grant
from msgspec import structs
from service import end
from sqlalchemy import insert
from timing import Case, Extent, Measure

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.revocation import Revocation, Revocations
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.stores import ClientMetadata, Stores, WrappingKey, open_stores, sqlite_url
from macaroon_cbat.stores.schema import feed_positions, revocations
from macaroon_cbat.stores.wrapping_key import wrapping_key_text
from tests.support.ports import free_port

FEW, BATCH = 1_000, 50_000
SECRET = "the secret of this benchmark"
FOLLOWER = """
import json, sys, time
from pathlib import Path
from macaroon_cbat import Grant
from macaroon_cbat.resource import RevocationFeed, ServiceConnection

def megabytes():  # the peak so far
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

issuer, secret, certificate, ca, count, snapshot = sys.argv[1:]
before = megabytes()
started = time.monotonic()
connection = ServiceConnection(issuer, "follower", secret, certificate=certificate, ca=ca)
feed = RevocationFeed(connection, snapshot=snapshot)
feed.start()
while feed.age() > 60:
    time.sleep(0.01)
seconds = time.monotonic() - started
assert len(feed.current()) >= int(count)
while not Path(snapshot).exists():
    time.sleep(0.01)
print(json.dumps({"seconds": seconds, "before": before, "after": megabytes()}), flush=True)
for line in sys.stdin:
    name = line.strip()
    old = Grant(client_id=name, sub=name, exp=2, iat=1, jti="j" * 22, kid="k", scope="read")
    while feed.reason(old, None) is None:
        time.sleep(0.002)
    print(time.time(), flush=True)
"""


def cases(extent: Extent) -> list[Case]:
    """Return a verification with no, few and many revocations."""
    few, many = (Revocations(_decision(n) for n in range(count)) for count in (FEW, extent.revocations))
    # Tokens of later numbers: none of them is revoked.
    grants = [structs.replace(grant(n), jti=f"{extent.revocations + n:022}") for n in range(POOL)]
    pool = [(mint(KEY, ISSUER, each, caveats(n)), KEYS, access(n)) for n, each in enumerate(grants)]

    def with_revocations(known: Revocations | None) -> Case:
        def check(*arguments: object) -> None:
            verify(*arguments, revocations=known)  # type: ignore[arg-type]

        return Case(f"verify, revocations: {0 if known is None else len(known):,}", check, pool)

    plain = with_revocations(None)
    return [plain, *(replace(with_revocations(known), beside=(plain.name,)) for known in (few, many))]


def catching_up(extent: Extent) -> list[Measure]:
    """Return how long a new follower takes for a million revocations, its memory, and how news arrive."""
    with tempfile.TemporaryDirectory() as name:
        folder, many = Path(name), extent.revocations
        stores = _prepare(folder, many)
        files = [str(folder / "follower.pem"), str(folder / "ca.pem")]
        with _service(folder) as issuer:
            following = ["-c", FOLLOWER, issuer, SECRET, *files, str(many), str(folder / "snapshot")]
            with _process(following) as follower:
                loaded = json.loads(_line(follower))
                spent = [_arrival(stores, follower, f"news-{n}") for n in range(extent.arrivals)]
            with _process(following) as again:
                reloaded = json.loads(_line(again))
        stores.database.close()
    return [
        Measure(f"catch-up with {many:,}", loaded["seconds"], "s"),
        Measure("memory of the follower before", loaded["before"], "MB"),
        Measure("memory of the follower after, snapshot written", loaded["after"], "MB"),
        Measure("catch-up from the snapshot", reloaded["seconds"], "s"),
        Measure("memory of the follower from the snapshot", reloaded["after"], "MB"),
        Measure(f"arrival of a revocation, median of {extent.arrivals}", median(spent), "s"),
        Measure(f"arrival of a revocation, worst of {extent.arrivals}", max(spent), "s"),
    ]


def _decision(number: int) -> Revocation:
    return Revocation(
        kind="token", value=f"{number:022}", revoked_at=NOW, expires_at=NOW + 600 + number % 600
    )


def _prepare(folder: Path, many: int) -> Stores:
    """Make a database with a million live revocations, and the certificates."""
    now = EpochSeconds(int(time.time()))
    wrapping_key = WrappingKey(bytes(range(32)))
    (folder / "wrapping.key").write_text(wrapping_key_text(wrapping_key))
    (folder / "wrapping.key").chmod(0o600)
    certificate = trustme.CA().issue_cert("follower@example.org")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "follower.pem")
    stores = open_stores(sqlite_url(folder / "macaroon_cbat.sqlite3"), wrapping_key, now)
    metadata = ClientMetadata(scope="revocations", serves=(API,))
    stores.clients.add("follower", metadata, secret=SECRET, now=now)
    fixed = {"kind": "token", "audience": API, "revoked_at": now, "expires_at": now + 86_400}
    for start in range(0, many, BATCH):
        rows = [
            {"sequence": n + 1, "value": f"{n:022}", **fixed} for n in range(start, min(start + BATCH, many))
        ]
        with stores.database.writing() as connection:
            connection.execute(insert(revocations), rows)
    with stores.database.writing() as connection:
        connection.execute(insert(feed_positions).values(feed="revocations", position=many))
    return stores


def _arrival(stores: Stores, follower: "subprocess.Popen[str]", name: str) -> float:
    """Return the seconds from a revocation's commit to its being known at the follower."""
    assert follower.stdin is not None
    follower.stdin.write(name + "\n")
    follower.stdin.flush()
    now = EpochSeconds(int(time.time()))
    stores.revocations.revoke("client", name, now=now, expires_at=now + 86_400)
    started = time.time()
    return float(_line(follower)) - started


@contextmanager
def _service(folder: Path) -> Iterator[str]:
    port = free_port()
    arguments = ["-m", "macaroon_cbat", "serve", "--data", str(folder), "--port", str(port)]
    with _process(arguments) as process:
        _line(process)
        yield f"https://localhost:{port}"


@contextmanager
def _process(arguments: list[str]) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            end(process)


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"ended early: {process.args}")
    return line
