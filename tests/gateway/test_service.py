"""The gateway with a real service: keys and revocations followed, or every token asked about."""

import asyncio
import socket
import threading
from contextlib import closing

import pytest

from macaroon_cbat.audit import loggers as logs
from macaroon_cbat.certificate.raw_connection import RawConnection
from macaroon_cbat.gateway.dispatcher import Dispatcher
from macaroon_cbat.gateway.policy_in_force import load_policy, put_in_force
from macaroon_cbat.gateway.question import HttpQuestion
from macaroon_cbat.resource.blocking_pool import MAX_WAITING
from macaroon_cbat.resource.responses import Answer
from tests.support.followed_service import Realm, jti_of
from tests.support.gateway_process import replace_policy
from tests.support.gateway_service import WANTED, ask, asking, bound, following
from tests.support.gateway_tokens import good
from tests.support.ports import free_port
from tests.support.proxy_requests import Asked, forwarded, nginx
from tests.support.tls_servers import SECONDS, Client, wait_until
from tests.support.tokens import API


def test_a_revocation_reaches_the_gateway(realm: Realm, holder: Client, thief: Client):
    """A token that the service minted passes, over the holder's certificate alone, until it is taken back."""
    with realm.service.running(), following(realm) as running:
        token = bound(realm.token(), holder)
        wait_until(lambda: ask(running, token, holder).status == 200)
        assert ask(running, token, holder).principal["Principalclient"] == "billing"
        assert ask(running, token, thief).status == 401
        realm.revoke("token", jti_of(token))
        wait_until(lambda: ask(running, token, holder).status == 401)
        assert "revoked" in running.audit()[-1]["reason"]


def test_stale_revocations_are_503(realm: Realm, holder: Client):
    """Once the revocations are too old nothing is let in, nothing called bad, and public paths stay open."""
    with following(realm, max_staleness=1) as running:
        with realm.service.running():
            token = bound(realm.token(), holder)
            wait_until(lambda: ask(running, token, holder).status == 200)
        wait_until(lambda: ask(running, token, holder).status == 503)
        assert ask(running, token, holder).headers["Retry-After"] == "5"
        assert nginx(running, Asked(uri="/health")).status == 200
        # Other reasons may have filled the log for ten seconds.
        wait_until(lambda: ask(running, token, holder).status == 503 and "s old" in running.log())
        with realm.service.running():
            wait_until(lambda: ask(running, token, holder).status == 200)


def test_it_starts_without_the_service(realm: Realm, holder: Client):
    """A gateway that starts while the service is away answers 503 until it is there, then 200."""
    with following(realm) as running:
        assert ask(running, good(holder.der), holder).status == 503
        with realm.service.running():
            token = bound(realm.token(), holder)
            wait_until(lambda: ask(running, token, holder).status == 200)


def test_new_rules_keep_what_is_known(realm: Realm, holder: Client):
    """With the service gone, a reload loses neither keys nor revocations."""
    with following(realm) as running:
        with realm.service.running():
            token = bound(realm.token(), holder)
            wait_until(lambda: ask(running, token, holder).status == 200)
        running.write(
            WANTED.replace("/invoices", "/other") + WANTED.partition('[[rule]]\npath = "/health')[0]
        )
        running.hang_up()
        running.await_log("read the policy again")
        other = Asked(uri="/other", token=token, certificate=holder.der)
        wait_until(lambda: nginx(running, other).status == 200)


def test_every_token_is_asked_about(realm: Realm, holder: Client, thief: Client):
    """With [introspection] the service judges the token, and the gateway the certificate."""
    secret = realm.service.add("asker", "--serves", API, "--understands-caveats")
    with asking(realm.folder / "asking", realm.service.issuer, realm.service.ca, secret) as running:
        with realm.service.running():
            token = bound(realm.token(), holder)
            assert ask(running, token, holder).status == 200
            assert ask(running, token, thief).status == 401
            realm.revoke("token", jti_of(token))
            assert ask(running, token, holder).status == 401
        assert ask(running, token, holder).status == 503


def test_waiting_for_the_service_holds_no_other_request_up(realm: Realm, holder: Client):
    """While many questions wait for a service that says nothing, others are answered, in order each."""
    with closing(socket.create_server(("127.0.0.1", free_port()))) as silent:
        issuer = f"https://localhost:{silent.getsockname()[1]}"
        with asking(realm.folder / "silent", issuer, realm.service.ca, "secret") as running:
            answers: list[int] = []
            waiting = [
                threading.Thread(target=lambda: answers.append(ask(running, good(holder.der), holder).status))
                for _ in range(10)
            ]
            for thread in waiting:
                thread.start()
            silent.settimeout(SECONDS)
            asked, _ = silent.accept()
            for _ in range(20):
                assert nginx(running, Asked(uri="/health")).status == 200
                assert nginx(running, Asked(uri="/nothing")).status == 403
            assert answers == [], "the others still wait"
            asked.close()
            with running.connect() as sock:
                fields = "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /invoices\r\nClientcertverify: NONE\r\n"
                slow = f"GET / HTTP/1.1\r\nHost: x\r\n{fields}Authorization: Bearer {good(None)}\r\n\r\n"
                quick = slow.replace("/invoices", "/health").replace(
                    "Host: x", "Host: x\r\nConnection: close"
                )
                sock.sendall((slow + quick).encode())
                received = b"".join(iter(lambda: sock.recv(65536), b""))
            assert [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]] == [b"503", b"200"]
            for thread in waiting:
                thread.join(SECONDS)
            assert answers == [503] * 10


def test_only_so_many_may_wait(
    realm: Realm, holder: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    """Questions beyond those that may wait for the service are 503 at once, and the others are answered."""
    monkeypatch.setattr(logs, "LINES", 10_000)
    folder = realm.folder / "policy"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    silent = socket.create_server(("127.0.0.1", 0))
    issuer = f"https://localhost:{silent.getsockname()[1]}"
    asked = {"issuer": issuer, "client_id": "asker", "client_secret_file": "secret"}
    fields = {"audience": API, "introspection": asked, "listen": {"http": "unix:x.sock"}}
    file = replace_policy(folder, WANTED, **fields, proxy={"kind": "haproxy", "trust": ["unix"]})
    deciding = Dispatcher(put_in_force(load_policy(file)))
    told = forwarded(Asked(token=good(holder.der), certificate=holder.der), [("Clientcertx5t", "none")])
    connection = RawConnection(
        [(name.encode(), value.encode()) for name, value in told], address=None, is_unix_socket=True
    )

    async def ask_all() -> list[Answer]:
        question = HttpQuestion(connection, "GET", "/")
        assert deciding.at_once(question) is None, "the service must be asked"
        questions = [deciding.after_waiting(question) for _ in range(MAX_WAITING + 50)]
        asking = [asyncio.ensure_future(one) for one in questions]
        with silent:  # none that waits has an answer before it is closed
            ended = asyncio.as_completed(asking)
            at_once = [await next(ended) for _ in range(50)]
            assert {answer.status for answer in at_once} == {503}
            assert sum(one.done() for one in asking) == 50
        return await asyncio.gather(*asking)

    answers = asyncio.run(ask_all())
    assert {answer.status for answer in answers} == {503}
    assert sum(f"{MAX_WAITING} requests wait" in record.message for record in caplog.records) == 50
    asyncio.run(deciding.after_waiting(HttpQuestion(connection, "GET", "/")))
    assert sum(f"{MAX_WAITING} requests wait" in record.message for record in caplog.records) == 50
