"""Two service processes on different ports share one database, SQLite or PostgreSQL, behind one address."""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from macaroon_cbat.errors import Refused
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.followed_service import caller, jti_of
from tests.support.holders import House
from tests.support.service_process import API, resource_server
from tests.support.tls_relay import gate
from tests.support.tls_servers import Server, wait_until
from tests.support.two_services import Twins

ROTATIONS = 5


@pytest.fixture
def twins(tmp_path: Path, database: dict[str, str]) -> Iterator[Twins]:
    """Run two services on one database."""
    with gate() as door:
        both = Twins(tmp_path, database, door)
        with both.running():
            yield both


def kid_of(token: str) -> str:
    return read_identifier(read_macaroon(token).identifier).kid


@contextmanager
def followers(twins: Twins, house: House) -> Iterator[list[Server]]:
    """Run a resource server that follows the first service, and one that follows the other."""
    with ExitStack() as stack:
        servers = []
        for n, one in enumerate((twins.service, twins.other)):
            settings = {**twins.following, "snapshot": twins.folder / f"keys-{n}.json"}
            server = stack.enter_context(resource_server(twins.folder / f"api-{n}", following=settings))
            with twins.at(one), caller(server, twins.token(), house) as call:
                wait_until(lambda call=call: call() == 200)
            servers.append(server)
        yield servers


def test_a_revocation_at_one_is_known_everywhere(twins: Twins, house: House):
    """A token revoked at one service is inactive at the other, and soon refused by followers of both."""
    with followers(twins, house) as servers, ExitStack() as stack:
        for by, to in ((twins.service, twins.other), (twins.other, twins.service)):
            with twins.at(to):
                token = twins.token()
            calls = [stack.enter_context(caller(server, token, house)) for server in servers]
            assert [call() for call in calls] == [200, 200]
            assert twins.is_active(to, token)
            twins.take_back(by, token)
            assert not twins.is_active(to, token), "one look at the database, whichever service is asked"
            wait_until(lambda calls=calls: [call() for call in calls] == [401, 401])


@pytest.mark.parametrize("kind", ["client", "subject", "certificate"])
def test_every_kind_is_known_everywhere(twins: Twins, house: House, kind: str):
    """An operator takes something back at one service, and followers of both refuse it."""
    with followers(twins, house) as servers, ExitStack() as stack:
        token = twins.token()
        calls = [stack.enter_context(caller(server, token, house)) for server in servers]
        assert [call() for call in calls] == [200, 200]
        value = house.thumbprint("P-256") if kind == "certificate" else "billing"
        wanted = {"kind": kind, "value": value}
        answer = twins.administer(twins.other, "POST", "/admin/revocations", json=wanted)
        assert answer.status_code == 201
        wait_until(lambda: [call() for call in calls] == [401, 401])
        listed = twins.administer(twins.service, "GET", "/admin/revocations").json()["revocations"]
        assert [(one["kind"], one["value"]) for one in listed] == [(kind, value)]


def test_a_rotation_at_one_is_followed_by_the_other(twins: Twins, house: House):
    """After a rotation at one service the other soon mints with the new key, which followers have."""
    with followers(twins, house) as servers:
        old = twins.token()
        kid = twins.administer(twins.service, "POST", "/admin/keys/rotate").json()["kid"]
        with twins.at(twins.other):
            wait_until(lambda: kid_of(twins.token()) == kid)
            new = twins.token()
        for server in servers:
            for token in (old, new):
                with caller(server, token, house) as call:
                    assert call() == 200


def test_a_retired_key_is_dead_everywhere(twins: Twins, house: House):
    """A key retired at one service takes its tokens with it, at the other and at followers of both."""
    with followers(twins, house) as servers, ExitStack() as stack:
        old = twins.token()
        calls = [stack.enter_context(caller(server, old, house)) for server in servers]
        assert [call() for call in calls] == [200, 200]
        twins.administer(twins.service, "POST", "/admin/keys/rotate")
        retired = twins.administer(twins.other, "POST", f"/admin/keys/{kid_of(old)}/retire")
        assert retired.status_code == 204
        wait_until(lambda: [call() for call in calls] == [401, 401])
        for one in (twins.service, twins.other):
            wait_until(lambda one=one: not twins.is_active(one, old))


def test_rotations_at_once_leave_one_current_key(twins: Twins):
    """Two services rotate at once, again and again: one current key, one next, and none is lost."""
    before = {one["kid"] for one in twins.administer(twins.service, "GET", "/admin/keys").json()}
    with twins.at(twins.service), twins.operator() as here:
        url = twins.service.issuer + "/admin/keys"
        assert here.get(url, timeout=60).status_code == 200  # its connection is open now
        with twins.at(twins.other), twins.operator() as there, ThreadPoolExecutor(2) as pool:
            assert there.get(url, timeout=60).status_code == 200
            for turn in range(1, ROTATIONS + 1):
                asked = [pool.submit(one.post, url + "/rotate", timeout=60) for one in (here, there)]
                answers = [one.result() for one in asked]
                assert [one.status_code for one in answers] == [200, 200]
                keys = here.get(url, timeout=60).json()
                states = Counter(one["state"] for one in keys)
                assert states == {"current": 1, "next": 1, "retiring": 2 * turn}
                minted = {one.json()["kid"] for one in answers}
                assert len(minted) == 2, "each made another key the current one"
                assert minted <= {one["kid"] for one in keys}
    assert {one["kid"] for one in keys} >= before


def test_a_client_is_known_everywhere(twins: Twins):
    """A client registered at one service gets a token at the other at once, and soon none once removed."""
    wanted = {"client_id": "fresh", "scope": "read", "audiences": [API]}
    secret = twins.administer(twins.service, "POST", "/admin/clients", json=wanted).json()["client_secret"]
    with twins.at(twins.other):
        client = twins.service.client("fresh", secret, resource=API)
        client()
        assert twins.administer(twins.service, "DELETE", "/admin/clients/fresh").status_code == 204

        def is_refused() -> bool:
            try:
                twins.service.client("fresh", secret, resource=API)()
            except Refused as refusal:
                return refusal.code == "invalid_client"
            return False

        wait_until(is_refused)


def test_a_removed_client_is_dead_everywhere_and_its_name_is_not(twins: Twins, house: House):
    """A client removed at one service and registered anew at the other has new tokens, and no old one."""
    with followers(twins, house) as servers, ExitStack() as stack:
        old = twins.token()
        calls = [stack.enter_context(caller(server, old, house)) for server in servers]
        assert [call() for call in calls] == [200, 200]
        assert twins.administer(twins.service, "DELETE", "/admin/clients/billing").status_code == 204
        wanted = {"client_id": "billing", "scope": "read", "audiences": [API]}
        added = twins.administer(twins.other, "POST", "/admin/clients", json=wanted)
        assert added.status_code == 201
        twins.billing = added.json()["client_secret"]
        with twins.at(twins.other):
            new = twins.token()
        for one in (twins.service, twins.other):
            assert (twins.is_active(one, old), twins.is_active(one, new)) == (False, True)
        wait_until(lambda: [call() for call in calls] == [401, 401])
        for server in servers:
            with caller(server, new, house) as call:
                assert call() == 200


@pytest.mark.parametrize("at_the_other", [False, True], ids=["where it is changed", "at the other"])
def test_a_lost_right_is_lost_everywhere(twins: Twins, *, at_the_other: bool):
    """A resource server that serves nothing any more gets neither keys nor revocations, wherever it asks."""
    connection = twins.connection()
    connection.keys(API)
    asked = twins.other if at_the_other else twins.service
    answer = twins.administer(twins.service, "PATCH", "/admin/clients/invoices", json={"serves": []})
    assert answer.json()["tokens_revoked"] is True
    with twins.at(asked):
        again = twins.connection()

        def is_refused() -> bool:
            try:
                again.keys(API)
            except Refused as refusal:
                return refusal.status == 403 and "client update invoices --serves URL" in str(refusal)
            return False

        wait_until(is_refused)
        with pytest.raises(Refused):
            again.revocations("0", 0)


def test_the_other_goes_on_for_a_killed_one(twins: Twins, house: House):
    """Followers of a killed service go on at the other one where they were: no gap, no repeat."""
    connection, seen, cursor = twins.connection(), [], "0"

    def read() -> None:
        nonlocal cursor
        page = json.loads(connection.revocations(cursor, 0))
        seen.extend(value for _, value, _, _ in page["decisions"])
        cursor = page["cursor"]

    with followers(twins, house) as servers, ExitStack() as stack:
        tokens = [twins.token() for _ in range(2)]
        calls = [[stack.enter_context(caller(one, token, house)) for one in servers] for token in tokens]
        twins.take_back(twins.service, tokens[0])
        read()
        wait_until(lambda: [call() for call in calls[0]] == [401, 401])
        process = twins.servers[twins.service.port].process
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        twins.gate.target = twins.other.port
        assert [call() for call in calls[1]] == [200, 200]
        twins.take_back(twins.other, tokens[1])
        wait_until(lambda: [call() for call in calls[1]] == [401, 401])
        read()
    assert seen == [jti_of(token) for token in tokens]
