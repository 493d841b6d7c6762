"""Holders that were used before a fork: no child reads the answer to another process's request."""

import asyncio
import logging
import threading
from typing import Any

import pytest

import macaroon_cbat.client.httpx as holder_httpx
from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client.dpop_httpx import DpopAuth, async_dpop_client
from macaroon_cbat.client.dpop_key import DpopKey
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.client_files import Files, make_token
from tests.support.dpop_world import proving_session
from tests.support.forks import in_children
from tests.support.sessions import session_of
from tests.support.tls_servers import wait_until
from tests.support.token_server import Server

CHILDREN, TURNS = 6, 30


class Numbered:
    """A source whose tokens name the process that uses them."""

    number = 0

    def __call__(self) -> str:
        """Return the token of this number."""
        return make_token(number=self.number)

    def is_in(self, answer: Any) -> bool:
        """Tell whether the server echoed a request that was made with this number's token."""
        _, child = answer.json()["authorization"].split(" ")
        return int(read_identifier(read_macaroon(child).identifier).jti) == self.number


@pytest.mark.parametrize("library", ["requests", "httpx"])
@pytest.mark.parametrize("is_proving", [False, True], ids=["certificate", "key"])
def test_children_of_a_session_read_their_own_answers(
    server: Server, certificate: ClientCertificate, library: str, *, is_proving: bool
) -> None:
    """Children of a process with a used session get the answers to their own requests, and so does it."""
    tokens = Numbered()
    by_key = proving_session(library, tokens, DpopKey.generate(), server.ca)
    with by_key if is_proving else session_of(library, tokens, certificate, server.ca) as send:
        assert tokens.is_in(send("GET", server.url("/echo")))

        def ask(number: int) -> bool:
            tokens.number = number + 1
            return all(tokens.is_in(send("GET", server.url("/echo"))) for _ in range(TURNS))

        assert in_children(CHILDREN, ask) == [0] * CHILDREN
        assert tokens.is_in(send("GET", server.url("/echo")))


@pytest.mark.parametrize("is_proving", [False, True], ids=["certificate", "key"])
def test_children_of_an_async_client_read_their_own_answers(
    server: Server, certificate: ClientCertificate, *, is_proving: bool
) -> None:
    """The same holds for httpx.AsyncClient, in an event loop of the child's own."""
    tokens = Numbered()
    if is_proving:
        client = async_dpop_client(DpopAuth(tokens, DpopKey.generate()), server.ca)
    else:
        client = holder_httpx.async_certificate_client(
            holder_httpx.MacaroonAuth(tokens, certificate), server.ca
        )

    async def several() -> bool:
        return all([tokens.is_in(await client.get(server.url("/echo"))) for _ in range(TURNS)])

    def ask(number: int) -> bool:
        tokens.number = number + 1
        return asyncio.run(several())

    with asyncio.Runner() as runner:
        assert runner.run(several())
        assert in_children(CHILDREN, ask) == [0] * CHILDREN
        assert runner.run(several())
        runner.run(client.aclose())


def test_a_child_does_not_wait_for_a_thread_of_its_parent(server: Server) -> None:
    """A child forked while a thread of its parent fetches a token fetches its own, and waits for no lock."""
    tokens, before = server.client("hanging"), len(server.asked("hanging"))
    thread = threading.Thread(target=tokens)
    thread.start()
    # Not during the look-up of the name: the C library's own lock there outlives a fork.
    wait_until(lambda: len(server.asked("hanging")) > before)
    statuses = in_children(2, lambda _: tokens())
    thread.join()
    assert statuses == [0, 0]


def test_a_child_does_not_wait_for_a_rotation(files: Files, certificate: ClientCertificate) -> None:
    """A child forked while its parent looks at the certificate's files looks at them by itself."""
    statuses = []

    class Forking(logging.Handler):
        """Forks where a look at the files warns."""

        def emit(self, record: logging.LogRecord) -> None:
            """Ask in a child."""
            statuses.append((in_children(1, lambda _: certificate.current()), record.levelname))

    log, handler = logging.getLogger("macaroon_cbat.client"), Forking()
    log.addHandler(handler)
    try:
        files.certificate.write_bytes(b"half of a certifi")
        assert certificate.current().thumbprint
    finally:
        log.removeHandler(handler)
    assert statuses == [([0], "WARNING")]
