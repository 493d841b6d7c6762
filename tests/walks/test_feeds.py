"""Keys and revocations online, from the service's command line to a resource server's refusal, over TLS."""

import json
import os
import signal
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from macaroon_cbat.certificate.thumbprint import thumbprint_of
from macaroon_cbat.errors import MacaroonError
from tests.support.followed_service import Realm, caller, jti_of, passes
from tests.support.holders import House
from tests.support.ports import free_port
from tests.support.service_process import API, resource_server
from tests.support.tls_servers import wait_until

ROUNDS = 8
FOLLOWERS = 20


def test_a_revocation_is_a_refusal_everywhere(realm: Realm, house: House):
    """Round by round, a revoked token is refused by each of two processes."""
    with (
        realm.service.running(),
        resource_server(realm.folder / "api", following=realm.following, workers=2) as api,
    ):
        for _ in range(ROUNDS):
            token = realm.token()
            with caller(api, token, house) as first, caller(api, token, house) as second:
                for call in (first, second):
                    passes(call)
                realm.revoke("token", jti_of(token))
                wait_until(lambda: (first(), second()) == (401, 401))  # called within the round


def test_a_revoked_certificate_opens_nothing(realm: Realm, house: House):
    """From its revocation on no token passes over connections with the certificate, fresh ones neither."""
    with realm.service.running(), resource_server(realm.folder / "api", following=realm.following) as api:
        token = realm.token()
        with caller(api, token, house) as call, caller(api, token, house, "RSA") as other:
            for each in (call, other):
                passes(each)
            realm.revoke("certificate", house.thumbprint("P-256"))
            wait_until(lambda: call() == 401)
            assert other() == 200
        with caller(api, realm.token(), house) as call:
            assert call() == 401


def test_the_feed_resumes_after_a_killed_service(realm: Realm, house: House):
    """The service is killed and started again: no revocation is missed, and tokens pass meanwhile."""
    with resource_server(realm.folder / "api", following=realm.following) as api:
        tokens = []
        with realm.service.running() as server:
            tokens += [realm.token(), realm.token(), realm.token()]
            with caller(api, tokens[0], house) as call:
                passes(call)
                realm.revoke("token", jti_of(tokens[0]))
                wait_until(lambda: call() == 401)
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
        with caller(api, tokens[1], house) as call:
            assert call() == 200, "offline"
        realm.revoke("token", jti_of(tokens[1]))
        with realm.service.running():
            with caller(api, tokens[1], house) as call:
                wait_until(lambda: call() == 401)
            with caller(api, tokens[2], house) as call:
                assert call() == 200
            realm.revoke("token", jti_of(tokens[2]))
            with caller(api, tokens[2], house) as call:
                wait_until(lambda: call() == 401)


def test_a_cursor_outlives_the_service(realm: Realm):
    """Read page by page across a kill, the feed is the same as read at once: no gap, no repeat."""
    connection, seen, cursor = realm.connection(), [], "0"
    for part in range(3):
        with realm.service.running() as server:
            for n in range(3):
                realm.revoke("client", f"client-{part}-{n}")
                page = json.loads(connection.revocations(cursor, 0))
                seen += [value for _, value, _, _ in page["decisions"]]
                cursor = page["cursor"]
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait()
    assert seen == [f"client-{part}-{n}" for part in range(3) for n in range(3)]


def test_writers_at_once_leave_no_gap(realm: Realm):
    """While two processes revoke for four callers, a follower misses nothing and gets nothing twice."""
    names = [[f"writer-{writer}-{n}" for n in range(10)] for writer in range(4)]

    def write(mine: list[str]) -> None:
        with realm.operator() as session:
            for name in mine:
                wanted = {"kind": "client", "value": name, "force": True}
                url = realm.service.issuer + "/admin/revocations"
                assert session.post(url, json=wanted, timeout=60).status_code == 201

    with realm.service.running("--workers", "2"):
        connection, seen, cursor = realm.connection(), [], "0"
        writers = [threading.Thread(target=write, args=(mine,)) for mine in names]
        for writer in writers:
            writer.start()
        deadline = time.monotonic() + 60
        while len(seen) < 40 and time.monotonic() < deadline:
            page = json.loads(connection.revocations(cursor, 1))
            seen += [value for _, value, _, _ in page["decisions"]]
            cursor = page["cursor"]
        for writer in writers:
            writer.join()
    assert sorted(seen) == sorted(name for mine in names for name in mine)


def test_a_restarted_resource_server_needs_no_service(realm: Realm, house: House):
    """With its snapshot a resource server starts without the service, and verifies; without it, it is 503."""
    following = {**realm.following, "revocations": False}
    with realm.service.running():
        token = realm.token()
        with (
            resource_server(realm.folder / "api", following=following) as api,
            caller(api, token, house) as call,
        ):
            passes(call)
    with resource_server(realm.folder / "api", following=following) as api, caller(api, token, house) as call:
        assert call() == 200
    with (
        resource_server(realm.folder / "new", following={**following, "snapshot": None}) as api,
        caller(api, token, house) as call,
    ):
        assert call() == 503


def test_many_followers_leave_the_service_free(realm: Realm):
    """With 20 followers that wait at 2 threads, tokens are minted, and each follower gets the news."""
    with realm.service.running("--threads", "2"), ThreadPoolExecutor(FOLLOWERS) as pool:
        connections = [realm.connection() for _ in range(FOLLOWERS)]
        cursors = [json.loads(connection.revocations("0", 0))["cursor"] for connection in connections]
        waiting = [
            pool.submit(connection.revocations, cursor, 30)
            for connection, cursor in zip(connections, cursors, strict=True)
        ]
        for _ in range(10):
            realm.token()
        assert not any(one.done() for one in waiting), "nor is a token waited for"
        realm.revoke("client", "news")
        pages = [json.loads(one.result()) for one in waiting]
        assert [[row[1] for row in page["decisions"]] for page in pages] == [["news"]] * FOLLOWERS


def test_the_certificate_of_a_resource_server_can_be_revoked(realm: Realm):
    """A resource server whose own certificate is revoked gets neither keys nor revocations."""
    with realm.service.running():
        connection = realm.connection()
        connection.keys(API)
        der = ssl.PEM_cert_to_DER_cert(_certificate_in(realm.certificate))
        realm.revoke("certificate", thumbprint_of(der))  # type: ignore[arg-type]
        # For a second the service may still mint, but its own guard looks the certificate up each time.
        with pytest.raises(MacaroonError, match=r"invalid_client|the token is revoked"):
            connection.keys(API)


def _certificate_in(file: Path) -> str:
    text = file.read_text()
    start = text.index("-----BEGIN CERTIFICATE-----")
    return text[start : text.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----")]


def test_a_stopping_service_does_not_keep_its_followers(realm: Realm):
    """A service that is told to stop answers the followers that wait, with no decision, and ends well."""
    page = ("--management-port", str(port := free_port()))
    with realm.service.running(*page) as server, ThreadPoolExecutor(2) as pool:
        connections = [realm.connection() for _ in range(2)]
        cursors = [json.loads(connection.revocations("0", 0))["cursor"] for connection in connections]
        waiting = [
            pool.submit(connection.revocations, cursor, 30)
            for connection, cursor in zip(connections, cursors, strict=True)
        ]
        wait_until(lambda: _metric(port, "macaroon_cbat_feed_followers") == 2)
        assert 0 <= _metric(port, "macaroon_cbat_feed_look_age_seconds") < 60
        server.process.terminate()
        assert [json.loads(one.result())["decisions"] for one in waiting] == [[], []]
        assert server.process.wait(timeout=60) == 0
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", realm.service.port), 1):
        pass


def _metric(port: int, name: str) -> float:
    """Return a value of the metrics page."""
    page = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text
    [line] = [line for line in page.splitlines() if line.startswith(f"{name} ")]
    return float(line.partition(" ")[2])
