"""A million live revocations: a check costs what it costs with a thousand, and followers keep up."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest
from sqlalchemy import insert

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocation, Revocations
from macaroon_cbat.stores import Stores, open_stores, read_or_make_wrapping_key, sqlite_url
from macaroon_cbat.stores.revocations import PAGE
from macaroon_cbat.stores.schema import feed_positions
from tests.support.databases import NOW, grant
from tests.support.followed_service import Realm
from tests.support.service_process import API, ENVIRONMENT, ROOT
from tests.support.tls_servers import next_line

FEW, MANY = 1_000, 1_000_000
FILL = """
    WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers LIMIT ?)
    INSERT INTO revocations (sequence, kind, value, audience, revoked_at, expires_at)
    SELECT n + 1, 'token', printf('%022d', n), ?, ?, ? FROM numbers
"""
NEWS = 5


class Compared(str):
    """A text that counts how often it is compared."""

    __slots__ = ("times",)

    def __eq__(self, other: object) -> bool:
        """Count, and compare."""
        self.times += 1
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        """Return the hash of the text."""
        return str.__hash__(self)


def steps(known: Revocations) -> tuple[int, int]:
    """Return the lines that one check runs, and the comparisons with what is known."""
    name, lines = Compared(f"{2 * MANY:022}"), [0]
    name.times = 0
    stranger = msgspec.structs.replace(grant("x" * 22), jti=name)

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        lines[0] += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        assert known.reason(stranger, None) is None
    finally:
        sys.settrace(before)
    return lines[0], name.times


def test_a_check_costs_the_same():
    """Among a million decisions a check takes the steps that it takes among a thousand."""
    few, many = (
        Revocations(
            Revocation(kind="token", value=f"{n:022}", revoked_at=NOW, expires_at=NOW + 600)
            for n in range(count)
        )
        for count in (FEW, MANY)
    )
    assert steps(many) == steps(few)
    assert many.reason(grant(f"{MANY - 1:022}"), None) is not None


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[tuple[Realm, Stores]]:
    """Give a realm whose database has a million live revocations of tokens."""
    realm = Realm(tmp_path, {})
    now = EpochSeconds(int(time.time()))
    key = read_or_make_wrapping_key(realm.service.data / "wrapping.key")
    stores = open_stores(sqlite_url(realm.service.data / "macaroon_cbat.sqlite3"), key, now)
    with stores.database.writing() as connection:
        connection.exec_driver_sql(FILL, (MANY, API, now, now + 86_400))
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


def arrives(stores: Stores, process: "subprocess.Popen[bytes]", name: str) -> bool:
    """Revoke a client, and return True once the follower knows it."""
    assert process.stdin is not None
    now = EpochSeconds(int(time.time()))
    stores.revocations.revoke("client", name, now=now, expires_at=now + 86_400)
    process.stdin.write(f"{name}\n".encode())
    process.stdin.flush()
    return json.loads(next_line(process)) == name


def test_a_new_follower_catches_up(crowded: tuple[Realm, Stores]):
    """In less than 300 MB it knows a million, and hears news; a restart reads what is new, and no more."""
    realm, stores = crowded
    with realm.service.running():
        with follower(realm) as (said, process):
            assert said["known"] == MANY
            assert said["pages"] >= MANY / PAGE
            assert said["megabytes"] < 300
            assert all(arrives(stores, process, f"news-{n}") for n in range(NEWS))
        with follower(realm) as (again, process):
            assert again["known"] == MANY + NEWS
            assert again["pages"] == 1
            assert again["megabytes"] < 300
            assert arrives(stores, process, "last")
