"""Rejections of a resource server that is hostile: a body that never ends, and no end of rejections."""

import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client.dpop_key import DpopKey
from tests.support.dpop_world import proving_session
from tests.support.gateway_tokens import good
from tests.support.sessions import Tokens, session_of
from tests.support.silent_services import Silent, silent_service

_REJECTED = (
    b'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer error="invalid_token"\r\nContent-Length: 90000\r\n\r\n.'
)


def reject_without_end(service: Silent, connection: ssl.SSLSocket) -> None:
    """Reject the first request with a body that goes on and on, and accept the others."""
    while service.read(connection) is not None and service.asked[-1].strip():
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
        assert send("GET", hostile.url, timeout=3).status_code == 200
    assert [request[:4] for request in hostile.asked if request.strip()] == [b"GET "] * 2


class Renewed:
    """A source whose first token was rejected."""

    def __init__(self) -> None:
        self.tokens = [good(None, exp=int(time.time()) + 500), good(None, exp=int(time.time()) + 400)]

    def __call__(self) -> str:
        """Return the first token that was not discarded."""
        return self.tokens[0]

    def discard(self, token: str) -> None:
        """Go on with the next token."""
        self.tokens.remove(token)


def test_nor_is_it_for_a_proof(library: str, hostile: Silent) -> None:
    """The same holds for a session that proves its requests."""
    with proving_session(library, Renewed(), DpopKey.generate(), hostile.ca) as send:
        assert send("GET", hostile.url, timeout=3).status_code == 200
    assert [request[:4] for request in hostile.asked if request.strip()] == [b"GET "] * 2
