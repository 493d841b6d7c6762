"""Hostile servers as a holder meets them: a rejection that never ends, and no answer at all."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from macaroon_cbat.client import ClientCertificate, TokenClient
from macaroon_cbat.client.dpop_key import DpopKey
from macaroon_cbat.client.granted_tokens import GrantedTokens
from macaroon_cbat.errors import Unavailable
from tests.support.dpop_world import proving_session
from tests.support.sessions import Tokens, session_of
from tests.support.silent_services import Silent, silent_service
from tests.support.waiting_threads import wait_until_in

_REJECTED = (
    b'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer error="invalid_token"\r\nContent-Length: 90000\r\n\r\n.'
)


def reject_without_end(service: Silent, connection: ssl.SSLSocket) -> None:
    """Reject the first request with a body that goes on and on, and accept the others."""
    while service.read_whole(connection).strip():
        if len(service.asked) == 1:
            with suppress(OSError):
                connection.sendall(_REJECTED)
                connection.recv(1)  # until the client gives up
            return
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Silent]:
    with silent_service(tmp_path, reject_without_end) as service:
        yield service


def test_what_a_rejection_says_is_not_waited_for(
    library: str, certificate: ClientCertificate, hostile: Silent
) -> None:
    """The request goes with its fresh token though the body of the rejection never ends."""
    with session_of(library, Tokens(1), certificate, hostile.ca) as send:
        assert send("GET", hostile.url, timeout=15).status_code == 200
    assert [request[:4] for request in hostile.asked if request.strip()] == [b"GET "] * 2


def test_nor_is_it_for_a_proof(library: str, hostile: Silent) -> None:
    """The same holds for a session that proves its requests."""
    with proving_session(library, Tokens(1), DpopKey.generate(), hostile.ca) as send:
        assert send("GET", hostile.url, timeout=15).status_code == 200
    assert [request[:4] for request in hostile.asked if request.strip()] == [b"GET "] * 2


def break_off(service: Silent, connection: ssl.SSLSocket) -> None:
    """Answer nothing, once four threads want a token."""
    service.read(connection)
    if len(service.asked) == 1:
        wait_until_in(GrantedTokens.current, 4)


def test_a_failed_fetch_is_the_answer_to_all_who_wait(tmp_path: Path) -> None:
    """Threads that wait for a token get the failure of its fetch, and do not try one after the other."""
    with silent_service(tmp_path, break_off) as service, ThreadPoolExecutor(4) as pool:
        client = TokenClient(issuer=service.url, client_id="x", client_secret="y", ca=service.ca)
        for failed in [pool.submit(client) for _ in range(4)]:
            assert isinstance(failed.exception(), Unavailable)
    assert len(service.asked) == 1
