"""A service that hangs: it holds up the questions that need it, and no other one."""

import select
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

from macaroon_cbat.resource.feeds.key_feed import PAUSE_SECONDS
from tests.support.followed_service import Realm
from tests.support.gateway_service import ask, bound, following
from tests.support.gateway_tokens import good
from tests.support.proxy_requests import Asked, nginx
from tests.support.tls_servers import Client, wait_until

FIELDS = "X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /invoices\r\nClientcertverify: NONE\r\n"
MANY = 150


def test_unknown_keys_hold_no_honest_request_up(tmp_path: Path, holder: Client):
    """While tokens with unknown keys wait for a service that says nothing, all others are answered."""
    realm = Realm(tmp_path, {})
    with following(realm) as running, ExitStack() as stack:
        with realm.service.running():
            token = bound(realm.token(), holder)
            wait_until(lambda: ask(running, token, holder).status == 200)
        port = urlsplit(realm.service.issuer).port
        stack.enter_context(closing(socket.create_server(("127.0.0.1", port))))
        time.sleep(PAUSE_SECONDS)  # it may be asked for keys again
        question = f"GET / HTTP/1.1\r\nHost: x\r\n{FIELDS}Authorization: Bearer {good(None)}\r\n\r\n"
        waiting = [stack.enter_context(running.connect()) for _ in range(MANY)]
        for sock in waiting:
            sock.sendall(question.encode())
        for _ in range(100):
            assert ask(running, token, holder).status == 200
            assert nginx(running, Asked(uri="/health")).status == 200
        answered, _, _ = select.select(waiting, [], [], 0)
        assert len(answered) < MANY, "the service was asked, and says nothing"
        assert {sock.recv(12) for sock in answered} <= {b"HTTP/1.1 503"}
