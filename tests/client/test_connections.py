"""The laws that hold whichever library sends the request: requests, httpx sync, httpx async."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest
import requests

import macaroon_cbat.client.httpx as holder_httpx
import macaroon_cbat.client.requests as holder_requests
from macaroon_cbat import Expiry, confirmation
from macaroon_cbat.client import ClientCertificate, bind_to_certificate
from macaroon_cbat.errors import SettingsError
from tests.client.conftest import Server
from tests.client.material import Files, Pair, added, make_pair, make_token, replace

Answer = requests.Response | httpx.Response
LIBRARIES = ["requests", "httpx", "httpx async"]


class Sends(Protocol):
    """Sends one request over a kept session and returns the read answer."""

    def __call__(self, method: str, url: str, /, **options: Any) -> Answer:
        """Send it."""


@contextmanager
def session_of(
    library: str, token: Any, certificate: ClientCertificate, ca: Path, **terms: Any
) -> Iterator[Sends]:
    """Open a session of the library, with our auth and our connections, that follows redirects."""
    if library == "requests":
        auth = holder_requests.MacaroonAuth(token, certificate, **terms)
        with holder_requests.certificate_session(auth, ca) as session:
            yield session.request
        return
    httpx_auth = holder_httpx.MacaroonAuth(token, certificate, **terms)
    if library == "httpx":
        transport = holder_httpx.CertificateTransport(certificate, ca)
        with httpx.Client(auth=httpx_auth, transport=transport, follow_redirects=True) as client:
            yield client.request
        return
    with asyncio.Runner() as runner:
        over = holder_httpx.AsyncCertificateTransport(certificate, ca)
        async_client = httpx.AsyncClient(auth=httpx_auth, transport=over, follow_redirects=True)
        yield lambda *args, **options: runner.run(async_client.request(*args, **options))
        runner.run(async_client.aclose())


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def send(library: str, certificate: ClientCertificate, server: Server) -> Iterator[Sends]:
    with session_of(library, make_token(), certificate, server.ca) as send:
        yield send


def test_child_is_bound_to_what_the_server_saw(send: Sends, server: Server, pair: Pair) -> None:
    """Each request carries a child bound to the certificate that the server saw on the connection."""
    answer = send("GET", server.url("/api/invoices?page=2"))
    seen = answer.json()
    assert seen["certificate"] == pair.thumbprint
    assert confirmation(pair.thumbprint) in added(seen["token"], make_token())


def test_each_request_has_its_own_child(send: Sends, server: Server) -> None:
    """When time passes the next request, over the same connection, carries another child."""
    started = int(time.time())
    one = send("GET", server.url("/api")).json()
    while int(time.time()) <= started:
        time.sleep(0.05)
    two = send("GET", server.url("/api")).json()
    assert one["connection"] == two["connection"]
    assert one["token"] != two["token"]
    assert Expiry(two["expires_at"]) in added(two["token"], make_token())
    assert started + 60 < two["expires_at"] <= time.time() + 60


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


def test_half_done_rotation_goes_on(send: Sends, server: Server, files: Files, pair: Pair) -> None:
    """While the new key is still missing, requests succeed with the old pair; then with the new one."""
    renewed = make_pair("RSA")
    replace(files.certificate, renewed.certificate)
    assert send("GET", server.url("/api")).json()["certificate"] == pair.thumbprint
    replace(files.key, renewed.key)
    assert send("GET", server.url("/api")).json()["certificate"] == renewed.thumbprint


def test_bound_request_is_accepted(library: str, server: Server, certificate: ClientCertificate) -> None:
    """A child bound to method and target is accepted for that request, query or not."""
    with session_of(library, make_token(), certificate, server.ca, bind_request=True) as send:
        assert send("POST", server.url("/api/a%20b?c=d#e"), data={"x": "y"}).status_code == 200


def test_redirect_within_the_origin_is_bound_anew(
    library: str, server: Server, certificate: ClientCertificate
) -> None:
    """A redirect within the origin carries a child for the target that it leads to."""
    with session_of(library, make_token(), certificate, server.ca, bind_request=True) as send:
        answer = send("GET", server.url("/redirect"), params={"to": server.url("/api/there")})
    assert answer.status_code == 200, answer.text


def test_other_origin_gets_no_child(send: Sends, server: Server) -> None:
    """A redirect to another origin carries no token."""
    to = server.url("/echo", host="127.0.0.1")
    answer = send("GET", server.url("/redirect"), params={"to": to})
    assert str(answer.url) == to
    assert answer.json()["authorization"] is None


@pytest.fixture
def eavesdropper() -> Iterator[tuple[str, list[str | None]]]:
    """Run a server without TLS; yield its URL and the Authorization headers that reach it."""
    heard: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["Authorization"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("localhost", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://localhost:{http.server_port}/", heard
        http.shutdown()
        thread.join()


def test_no_token_over_http(send: Sends, server: Server, eavesdropper: tuple[str, list[str | None]]) -> None:
    """A token never goes over http: asked for it is an error, redirected to it the token stays behind."""
    url, heard = eavesdropper
    with pytest.raises(SettingsError, match="over https only"):
        send("GET", url)
    assert heard == []
    assert send("GET", server.url("/redirect"), params={"to": url}).status_code == 204
    assert heard == [None]


def test_stolen_child_is_worthless(
    library: str, send: Sends, server: Server, tmp_path: Path, other_pair: Pair
) -> None:
    """A child replayed over a connection with another certificate, or none, is refused."""
    stolen = send("GET", server.url("/api")).json()["token"]
    thief = Files(tmp_path / "thief.pem", tmp_path / "thief.key")
    thief.write(other_pair)
    context = ClientCertificate(thief.certificate, thief.key).current().context(server.ca)
    headers = {"Authorization": f"Bearer {stolen}"}
    with httpx.Client(verify=context) as client:
        refused = client.get(server.url("/api"), headers=headers)
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


def test_token_of_another_certificate_is_not_sent(
    library: str, certificate: ClientCertificate, server: Server, other_pair: Pair
) -> None:
    """A token bound to another certificate raises before anything is sent."""
    bound = bind_to_certificate(make_token(), other_pair.thumbprint)
    with (
        session_of(library, bound, certificate, server.ca) as send,
        pytest.raises(SettingsError, match="get a token that is not bound yet"),
    ):
        send("GET", server.url("/api"))


def test_unknown_ca_is_refused(
    library: str, certificate: ClientCertificate, server: Server, tmp_path: Path, other_pair: Pair
) -> None:
    """A server whose certificate is not of the given CA gets nothing."""
    (tmp_path / "other-ca.pem").write_bytes(other_pair.certificate)
    with (
        session_of(library, make_token(), certificate, tmp_path / "other-ca.pem") as send,
        pytest.raises((requests.exceptions.SSLError, httpx.ConnectError), match="certificate verify failed"),
    ):
        send("GET", server.url("/api"))


class Tokens:
    """A source that has another token at each renewal, and counts them."""

    def __init__(self, first: int) -> None:
        self.number = first
        self.discarded: list[str] = []

    def __call__(self) -> str:
        """Return the token of this number."""
        return make_token(number=self.number)

    def discard(self, token: str) -> None:
        """Have another token."""
        self.discarded.append(token)
        self.number += 1


def test_rejected_token_is_renewed_once(library: str, certificate: ClientCertificate, server: Server) -> None:
    """After 401 invalid_token the request is sent once more with a fresh token, and not a third time."""
    source = Tokens(LIBRARIES.index(library) * 10 + 100)
    server.revoke(f"{source.number:022}")
    server.revoke(f"{source.number + 2:022}")
    server.revoke(f"{source.number + 3:022}")
    with session_of(library, source, certificate, server.ca) as send:
        assert send("POST", server.url("/api"), data={"a": "b"}).json()["jti"] == f"{source.number:022}"
        assert len(source.discarded) == 1
        source.number += 1
        assert send("GET", server.url("/api")).status_code == 401
        assert len(source.discarded) == 2


def test_unreplayable_body_is_not_sent_again(
    library: str, certificate: ClientCertificate, server: Server
) -> None:
    """A body that can be read only once is not sent again."""
    source = Tokens(LIBRARIES.index(library) * 10 + 200)
    server.revoke(f"{source.number:022}")

    async def pieces() -> Any:
        yield b"piece"

    body = {"content": pieces()} if library == "httpx async" else {"content": iter([b"piece"])}
    if library == "requests":
        body = {"data": iter([b"piece"])}
    with session_of(library, source, certificate, server.ca) as send:
        assert send("POST", server.url("/api"), **body).status_code == 401
    assert source.discarded == []


def test_only_token_stays_rejected(library: str, certificate: ClientCertificate, server: Server) -> None:
    """With nothing but the one token, a rejection is the answer."""
    token = make_token(number=300)
    server.revoke(f"{300:022}")
    sources: list[str | Callable[[], str]] = [token, lambda: token]
    for source in sources:
        with session_of(library, source, certificate, server.ca) as send:
            assert send("GET", server.url("/api")).status_code == 401


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
            answers = list(threads.map(lambda _: send("GET", server.url("/api")), range(200)))
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
                    answers.append(await client.get(server.url("/api")))

            await asyncio.gather(*(ask() for _ in range(8)))
        return answers

    answers = asyncio.run(main())
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["certificate"] for answer in answers} == {pair.thumbprint, other_pair.thumbprint}
