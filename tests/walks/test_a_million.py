"""A million live revocations: a check costs what it costs with a thousand, and followers keep up."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from sqlalchemy import insert

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocation, Revocations
from macaroon_cbat.stores import Stores, open_stores, read_or_make_wrapping_key, sqlite_url
from macaroon_cbat.stores.schema import feed_positions, revocations
from tests.support.databases import NOW, grant
from tests.support.followed_service import Realm
from tests.support.service_process import API, ENVIRONMENT, ROOT
from tests.support.tls_servers import next_line

FEW, MANY, BATCH = 1_000, 1_000_000, 50_000
CALLS, ROUNDS, NEWS = 20_000, 5, 5


def test_a_check_costs_the_same():
    """Asked in turn, a million decisions are not noticeably slower to ask than a thousand."""
    few, many = (
        Revocations(
            Revocation(kind="token", value=f"{n:022}", revoked_at=NOW, expires_at=NOW + 600)
            for n in range(count)
        )
        for count in (FEW, MANY)
    )
    strangers = [grant(f"{MANY + n:022}") for n in range(100)]
    spent: dict[int, list[float]] = {FEW: [], MANY: []}
    for _ in range(ROUNDS):
        for known in (few, many):
            started = time.process_time()
            for n in range(CALLS):
                assert known.reason(strangers[n % 100], None) is None
            spent[len(known)].append(time.process_time() - started)
    assert min(spent[MANY]) < 3 * min(spent[FEW])
    assert many.reason(grant(f"{MANY - 1:022}"), None) is not None


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[tuple[Realm, Stores]]:
    """Give a realm whose database has a million live revocations of tokens."""
    realm = Realm(tmp_path, {})
    now = EpochSeconds(int(time.time()))
    key = read_or_make_wrapping_key(realm.service.data / "wrapping.key")
    stores = open_stores(sqlite_url(realm.service.data / "macaroon_cbat.sqlite3"), key, now)
    fixed = {"kind": "token", "audience": API, "revoked_at": now, "expires_at": now + 86_400}
    with stores.database.writing() as connection:
        for start in range(0, MANY, BATCH):
            rows = [{"sequence": n + 1, "value": f"{n:022}", **fixed} for n in range(start, start + BATCH)]
            connection.execute(insert(revocations), rows)
        connection.execute(insert(feed_positions).values(feed="revocations", position=MANY))
    yield realm, stores
    stores.database.close()


@contextmanager
def follower(realm: Realm) -> Iterator[tuple[Any, "subprocess.Popen[bytes]"]]:
    """Run a follower; give what it said once it knew everything."""
    wanted = {name: value for name, value in realm.following.items() if name != "audience"}
    argument = json.dumps({**wanted, "snapshot": realm.folder / "revocations"}, default=str)
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "tests.support.follower", argument]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, env=ENVIRONMENT) as process:
        try:
            yield json.loads(next_line(process)), process
        finally:
            process.kill()


def arrival(stores: Stores, process: "subprocess.Popen[bytes]", name: str) -> float:
    """Return the seconds from a revocation's commit to its being known by the follower."""
    assert process.stdin is not None
    now = EpochSeconds(int(time.time()))
    stores.revocations.revoke("client", name, now=now, expires_at=now + 86_400)
    started = time.time()
    process.stdin.write(f"{name}\n".encode())
    process.stdin.flush()
    return float(next_line(process)) - started


def test_a_new_follower_catches_up(crowded: tuple[Realm, Stores]):
    """In less than 30 s and 300 MB it knows a million; news arrive in a second; a restart is no new start."""
    realm, stores = crowded
    with realm.service.running():
        with follower(realm) as (said, process):
            assert said["known"] == MANY
            assert said["seconds"] < 30
            assert said["megabytes"] < 300
            assert median(arrival(stores, process, f"news-{n}") for n in range(NEWS)) < 1
        with follower(realm) as (again, process):
            assert again["known"] == MANY + NEWS
            assert again["seconds"] < said["seconds"]
            assert again["megabytes"] < 300
            assert arrival(stores, process, "last") < 10
