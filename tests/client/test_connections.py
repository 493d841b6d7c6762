"""The laws that hold whichever library sends the request: requests, httpx sync and async, aiohttp."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from macaroon_cbat import Expiry, confirmation
from macaroon_cbat.client import ClientCertificate, bind_to_certificate
from macaroon_cbat.client.trust import server_trust
from macaroon_cbat.errors import SettingsError
from tests.support.client_files import Files, Pair, added, make_token
from tests.support.sessions import LIBRARIES, NOT_TRUSTED, Sends, Tokens, session_of
from tests.support.token_server import Server


def test_child_is_bound_to_what_the_server_saw(send: Sends, server: Server, pair: Pair) -> None:
    """Each request carries a child bound to the certificate that the server saw on the connection."""
    answer = send("GET", server.url("/api/invoices?page=2"))
    seen = answer.json()
    assert seen["certificate"] == pair.thumbprint
    assert confirmation(pair.thumbprint) in added(seen["token"], make_token())


def test_each_request_has_its_own_child(send: Sends, server: Server) -> None:
    """The next request, over the same connection, carries another child when time has passed."""
    started = int(time.time())
    one = send("GET", server.url("/api")).json()
    while int(time.time()) + 60 <= one["expires_at"]:  # it may have been made in the second after `started`
        time.sleep(0.05)
    two = send("GET", server.url("/api")).json()
    assert one["connection"] == two["connection"]
    assert one["token"] != two["token"]
    assert Expiry(two["expires_at"]) in added(two["token"], make_token())
    assert started + 60 < two["expires_at"] <= time.time() + 60


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
    for attempt in (context, server_trust(server.ca)):
        with httpx.Client(verify=attempt) as client:
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
        pytest.raises(NOT_TRUSTED, match="certificate verify failed"),
    ):
        send("GET", server.url("/api"))


def test_what_led_elsewhere_is_not_sent_again(
    library: str, certificate: ClientCertificate, server: Server
) -> None:
    """A request that was accepted, with a redirect to one that is rejected, is not sent a second time."""
    tokens = Tokens(LIBRARIES.index(library) * 10 + 400)
    server.revoke(f"{tokens.number:022}")
    query = {"number": library, "to": server.url("/api/receipt")}
    with session_of(library, tokens, certificate, server.ca) as send:
        assert send("POST", server.url("/pay"), params=query, data={"x": "y"}).status_code == 200
    paid = [one["method"] for one in server.asked("paid") if one["number"] == library]
    assert paid == ["POST"]
    assert len(tokens.discarded) == 1


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
    if library == "aiohttp":
        body = {"data": pieces()}
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


@pytest.mark.parametrize("unusable", ["no macaroon", make_token() + "A"])
def test_unusable_token_is_the_holder_s_error(
    library: str, certificate: ClientCertificate, server: Server, unusable: str
) -> None:
    """A token that is no macaroon is a SettingsError: no OAuth answer to a client of the holder."""
    with (
        session_of(library, unusable, certificate, server.ca) as send,
        pytest.raises(SettingsError, match="of no use"),
    ):
        send("GET", server.url("/api"))


@pytest.mark.parametrize("weaker", [{"verify": False}, {"cert": "client.pem"}])
def test_connections_cannot_be_weakened(
    certificate: ClientCertificate, server: Server, weaker: dict[str, Any]
) -> None:
    """With requests neither verify=False nor another certificate is taken silently."""
    with (
        session_of("requests", make_token(), certificate, server.ca) as send,
        pytest.raises(SettingsError, match="neither verify=False nor cert="),
    ):
        send("GET", server.url("/api"), **weaker)


def test_httpx_is_an_extra() -> None:
    """The holder's side works where httpx is not installed."""
    code = "import sys; sys.modules['httpx'] = None; import macaroon_cbat.client.requests"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
