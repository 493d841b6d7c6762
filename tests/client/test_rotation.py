"""The certificate changes between requests, during one, and all the time."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests

import macaroon_cbat.client.httpx as holder_httpx
import macaroon_cbat.client.requests as holder_requests
from macaroon_cbat import confirmation
from macaroon_cbat.client import ClientCertificate
from tests.support.client_files import Files, Pair, make_pair, make_token, replace
from tests.support.sessions import LIBRARIES, NOT_TRUSTED, Sends, Tokens, session_of
from tests.support.token_server import Server
from tests.support.token_service import LARGE


def test_rotation_changes_child_and_connection(
    send: Sends, server: Server, files: Files, pair: Pair, other_pair: Pair
) -> None:
    """After a rotation the next request is bound to the new certificate and goes over a new connection."""
    before = [send("GET", server.url("/api")).json() for _ in range(2)]
    files.write(other_pair)
    after = [send("GET", server.url("/api")).json() for _ in range(2)]
    assert {seen["certificate"] for seen in before} == {pair.thumbprint}
    assert {seen["certificate"] for seen in after} == {other_pair.thumbprint}
    assert len({seen["connection"] for seen in before}) == len({seen["connection"] for seen in after}) == 1
    assert before[0]["connection"] != after[0]["connection"]


@pytest.fixture(scope="module")
def renewed() -> Pair:
    """Return a pair whose key is of another kind."""
    return make_pair("RSA")


def test_half_done_rotation_goes_on(
    send: Sends, server: Server, files: Files, pair: Pair, renewed: Pair
) -> None:
    """While the new key is still missing, requests succeed with the old pair; then with the new one."""
    replace(files.certificate, renewed.certificate)
    assert send("GET", server.url("/api")).json()["certificate"] == pair.thumbprint
    replace(files.key, renewed.key)
    assert send("GET", server.url("/api")).json()["certificate"] == renewed.thumbprint


@pytest.mark.parametrize("threaded", ["requests", "httpx"])
def test_rotation_under_load(  # noqa: PLR0917
    threaded: str, certificate: ClientCertificate, server: Server, files: Files, pair: Pair, other_pair: Pair
) -> None:
    """While 8 threads send 200 requests and the certificate rotates all the time, none fails."""
    done = threading.Event()

    def rotate() -> None:
        while not done.is_set():
            for next_pair in (other_pair, pair):
                files.write(next_pair)
                done.wait(0.02)

    with session_of(threaded, make_token(), certificate, server.ca) as send:
        rotating = threading.Thread(target=rotate)
        rotating.start()
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: send("GET", server.url("/api"), timeout=60), range(200)))
        done.set()
        rotating.join()
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["certificate"] for answer in answers} == {pair.thumbprint, other_pair.thumbprint}


def test_rotation_under_load_async(
    certificate: ClientCertificate, server: Server, files: Files, pair: Pair, other_pair: Pair
) -> None:
    """While 8 tasks send 200 requests and the certificate rotates all the time, none fails."""

    async def main() -> list[httpx.Response]:
        auth = holder_httpx.MacaroonAuth(make_token(), certificate)
        transport = holder_httpx.AsyncCertificateTransport(certificate, server.ca)
        answers: list[httpx.Response] = []
        async with httpx.AsyncClient(auth=auth, transport=transport) as client:

            async def ask() -> None:
                for number in range(25):
                    files.write((pair, other_pair)[number % 2])
                    answers.append(await client.get(server.url("/api"), timeout=60))

            await asyncio.gather(*(ask() for _ in range(8)))
        return answers

    answers = asyncio.run(main())
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["certificate"] for answer in answers} == {pair.thumbprint, other_pair.thumbprint}


def test_answer_under_way_survives_a_rotation(
    certificate: ClientCertificate, server: Server, files: Files, other_pair: Pair
) -> None:
    """An answer that is being read when the certificate rotates is read to its end (requests)."""
    auth = holder_requests.MacaroonAuth(make_token(), certificate)
    with (
        holder_requests.certificate_session(auth, server.ca) as session,
        session.get(server.url("/large"), stream=True, timeout=60) as answer,
    ):
        pieces = answer.iter_content(1024)
        read = len(next(pieces))
        files.write(other_pair)
        assert session.get(server.url("/api"), timeout=60).json()["certificate"] == other_pair.thumbprint
        assert read + sum(map(len, pieces)) == LARGE


def test_answer_under_way_survives_a_rotation_httpx(
    certificate: ClientCertificate, server: Server, files: Files, other_pair: Pair
) -> None:
    """An answer that is being read when the certificate rotates is read to its end (httpx)."""
    auth = holder_httpx.MacaroonAuth(make_token(), certificate)
    transport = holder_httpx.CertificateTransport(certificate, server.ca)
    with (
        httpx.Client(auth=auth, transport=transport) as client,
        client.stream("GET", server.url("/large")) as answer,
    ):
        pieces = answer.iter_bytes(1024)
        read = len(next(pieces))
        files.write(other_pair)
        assert client.get(server.url("/api")).json()["certificate"] == other_pair.thumbprint
        assert read + sum(map(len, pieces)) == LARGE
    assert not transport.pools


def test_answer_under_way_survives_a_rotation_async(
    certificate: ClientCertificate, server: Server, files: Files, other_pair: Pair
) -> None:
    """An answer that is being read when the certificate rotates is read to its end (httpx async)."""

    async def main() -> int:
        auth = holder_httpx.MacaroonAuth(make_token(), certificate)
        transport = holder_httpx.AsyncCertificateTransport(certificate, server.ca)
        async with httpx.AsyncClient(auth=auth, transport=transport) as client:
            async with client.stream("GET", server.url("/large")) as answer:
                pieces = answer.aiter_bytes(1024)
                read = len(await anext(pieces))
                files.write(other_pair)
                seen = (await client.get(server.url("/api"), timeout=60)).json()
                assert seen["certificate"] == other_pair.thumbprint
                assert len(transport.pools) == 2
                read += sum([len(piece) async for piece in pieces])
            assert len(transport.pools) == 1, "the old pool ended with its last answer"
        return read

    assert asyncio.run(main()) == LARGE


@pytest.mark.parametrize("kept", ["requests", "httpx"])
def test_nothing_is_left_of_the_old_certificate(
    kept: str, certificate: ClientCertificate, server: Server, files: Files, other_pair: Pair
) -> None:
    """After a rotation no connection of the old certificate stays open, failed requests or not."""
    session: Any
    if kept == "requests":
        session = holder_requests.certificate_session(
            holder_requests.MacaroonAuth(make_token(), certificate), server.ca
        )
        connections = session.get_adapter("https://")
    else:
        connections = holder_httpx.CertificateTransport(certificate, server.ca)
        auth = holder_httpx.MacaroonAuth(make_token(), certificate)
        session = httpx.Client(auth=auth, transport=connections)
    with session:
        for _ in range(2):
            with pytest.raises((requests.ConnectionError, httpx.ConnectError)):
                session.get("https://localhost:1/api", timeout=60)
            assert session.get(server.url("/api"), timeout=60).status_code == 200
            files.write(other_pair)
        assert session.get(server.url("/api"), timeout=60).json()["certificate"] == other_pair.thumbprint
        assert len(connections.pools) == 1


def test_retry_follows_a_rotation(
    library: str, certificate: ClientCertificate, server: Server, files: Files, other_pair: Pair
) -> None:
    """The second try of a rejected request is bound to, and sent with, the certificate of that moment."""

    class Rotating(Tokens):
        def discard(self, token: str) -> None:
            super().discard(token)
            files.write(other_pair)

    source = Rotating(LIBRARIES.index(library) * 10 + 400)
    server.revoke(f"{source.number:022}")
    with session_of(library, source, certificate, server.ca) as send:
        assert send("GET", server.url("/api")).json()["certificate"] == other_pair.thumbprint


def test_token_fetched_during_a_rotation(
    library: str, certificate: ClientCertificate, server: Server, files: Files, other_pair: Pair
) -> None:
    """A token that comes bound to the certificate that goes out of use meanwhile is replaced, not sent."""

    def source() -> str:
        credentials = certificate.current()
        files.write(other_pair)
        return make_token(confirmation(credentials.thumbprint))

    with session_of(library, source, certificate, server.ca) as send:
        assert send("GET", server.url("/api")).json()["certificate"] == other_pair.thumbprint


def test_a_session_follows_its_ca(
    library: str, certificate: ClientCertificate, server: Server, tmp_path: Path, other_pair: Pair
) -> None:
    """A session whose CA file is replaced trusts the new CA at the next request, and the old one no more."""
    ca = tmp_path / "ca.pem"
    ca.write_bytes(server.ca.read_bytes())
    with session_of(library, make_token(), certificate, ca) as send:
        assert send("GET", server.url("/api")).status_code == 200
        replace(ca, other_pair.certificate)
        with pytest.raises(NOT_TRUSTED, match="certificate verify failed"):
            send("GET", server.url("/api"))
        replace(ca, b"half of a certifi")
        with pytest.raises(NOT_TRUSTED, match="certificate verify failed"):
            send("GET", server.url("/api"))
        replace(ca, server.ca.read_bytes())
        assert send("GET", server.url("/api")).status_code == 200
