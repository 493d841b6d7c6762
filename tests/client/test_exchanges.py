"""Exchanges of clients with the service: bounded in time, and alone on a connection."""

import select
import socket
import ssl
import struct
import sys
from pathlib import Path

import pytest

from macaroon_cbat.client import ClientCertificate, TokenClient, https
from macaroon_cbat.client.https import Connections, HttpsRequest
from macaroon_cbat.client.service_calls import ServiceCalls
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.resource import Introspection, ServiceConnection
from tests.support.client_files import Files, make_pair
from tests.support.forks import in_children
from tests.support.silent_services import TEMPERS, Silent, Temper, at_each_temper, silent_service
from tests.support.token_server import Server

CHILDREN, TURNS = 4, 15


def test_an_exchange_ends_in_time(tmp_path: Path) -> None:
    """A service that answers a byte at a time holds a TokenClient no longer than one that never answers.

    All are asked at once: each takes the whole timeout, which covers a handshake on a busy machine.
    """
    assert at_each_temper(tmp_path, asked_in_vain) == [1] * len(TEMPERS)


def asked_in_vain(folder: Path, temper: Temper) -> int:
    """Return the number of requests that a service of this temper gets until the client gives up."""
    with silent_service(folder, temper) as service:
        client = TokenClient(
            issuer=service.url, client_id="billing", client_secret="s", ca=service.ca, timeout=4
        )
        with pytest.raises(Unavailable, match="did not answer in time"):
            client()
        return len(service.asked)


def reset_at_once(*_: object) -> socket.socket:
    """Return a connection that its peer has reset already."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _address = listener.accept()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    reset = select.poll()
    reset.register(near, select.POLLHUP)
    assert reset.poll(20_000)
    return near


def test_a_connection_that_was_reset_leaves_no_socket_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that resets a connection before the handshake leaves no socket to be collected."""
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", left.append)
    connections = Connections(ssl.create_default_context(), reset_at_once)
    with pytest.raises(Unavailable, match="ended the connection"):
        connections.exchange(HttpsRequest(method="GET", url="https://localhost/", timeout=20, limit=1))
    assert left == []


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def with_the_beginning_of_another(service: Silent, connection: ssl.SSLSocket) -> None:
    """Answer, begin another answer in the same piece, and end it after the next request."""
    service.read(connection)
    connection.sendall(answer(b"own") + answer(answer(b"another"))[: -len(answer(b"another"))])
    service.read(connection)
    connection.sendall(answer(b"another"))


def test_an_unasked_answer_ends_the_connection(tmp_path: Path) -> None:
    """Bytes that come with an answer and are none of it are never taken for the next request's answer."""
    with silent_service(tmp_path, with_the_beginning_of_another) as service:
        connections = Connections(ServerTrust(service.ca).current().context())
        request = HttpsRequest(method="GET", url=service.url, timeout=60, limit=1000)
        assert [connections.exchange(request).body for _ in range(2)] == [b"own", b"own"]
        connections.end()


def answering_once(service: Silent, connection: ssl.SSLSocket) -> None:
    """Answer the first request of all; end each connection after the next one on it, without an answer."""
    service.read(connection)
    if len(service.asked) in (1, 3):
        connection.sendall(answer(b"own"))
        service.read(connection)


@pytest.mark.parametrize(
    ("at_once", "asked"),
    [pytest.param(60.0, 3, id="at once, is sent again"), pytest.param(0.0, 2, id="later, is not")],
)
def test_a_request_whose_connection_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: float, asked: int
) -> None:
    """A request is sent again only if its kept connection ends at once: one that waited was cut."""
    monkeypatch.setattr(https, "_AT_ONCE_SECONDS", at_once)
    with silent_service(tmp_path, answering_once) as service:
        context = ssl.create_default_context(cafile=service.ca)
        connections = Connections(context)
        request = HttpsRequest(method="GET", url=f"{service.url}/", timeout=20, limit=10)
        assert connections.exchange(request).body == b"own"
        told = said(connections, request)
        assert (len(service.asked), told) == (asked, b"own" if asked == 3 else b"")
        connections.end()


def said(connections: Connections, request: HttpsRequest) -> bytes:
    """Return the body of the answer, or nothing if none came."""
    try:
        return connections.exchange(request).body
    except Unavailable:
        return b""


def without_end(beginning: bytes, piece: bytes) -> Temper:
    """Return the temper of a service that answers with this beginning, and then pieces for 16 MB."""

    def temper(service: Silent, connection: ssl.SSLSocket) -> None:
        service.read(connection)
        connection.sendall(beginning)
        for _ in range(16 * 1024):
            connection.sendall(piece * (1024 // len(piece)))

    return temper


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "a chunk of negative size": without_end(CHUNKED + b"-1\r\n", b"x"),
    "trailers": without_end(CHUNKED + b"0\r\n", b"a: b\r\n"),
    "interim answers": without_end(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("temper", ENDLESS.values(), ids=ENDLESS)
def test_an_endless_answer_is_not_read_on(tmp_path: Path, temper: Temper) -> None:
    """An answer has a bound of its bytes, which its framing counts for, and not of its body alone."""
    with silent_service(tmp_path, temper) as service:
        connections = Connections(ServerTrust(service.ca).current().context())
        request = HttpsRequest(method="GET", url=service.url, timeout=60, limit=1000)
        with pytest.raises(Unavailable, match=r"more than \d+ bytes with its framing"):
            connections.exchange(request)


@pytest.mark.parametrize("url", ["https://[x/token", "https://x:99999/token", "https://x:y/token"])
def test_a_url_that_no_parser_reads_is_unavailable(url: str) -> None:
    """A service's metadata may name as an endpoint what is no URL: that ends as every failed exchange."""
    connections = Connections(ssl.create_default_context())
    with pytest.raises(Unavailable, match="no usable answer from https://"):
        connections.exchange(HttpsRequest(method="GET", url=url, timeout=1, limit=1))


def test_children_fetch_their_own_tokens(server: Server) -> None:
    """Forked processes read the answers to their own requests, though the parent keeps a connection."""
    tokens = server.client("forked")
    tokens()

    def fetch_anew() -> int:
        tokens.discard(tokens())
        return int(read_identifier(read_macaroon(tokens()).identifier).jti)

    def ask(_: int) -> bool:
        numbers = [fetch_anew() for _ in range(TURNS)]
        return numbers == sorted(set(numbers))

    assert in_children(CHILDREN, ask) == [0] * CHILDREN
    assert ask(0)
    assert len(server.asked("forked")) == 1 + (CHILDREN + 1) * TURNS


def test_calls_need_a_certificate(server: Server) -> None:
    """A client without a certificate cannot administer: its tokens would have nothing to be bound to."""
    with pytest.raises(SettingsError, match="give the TokenClient one"):
        ServiceCalls(server.client("usual")).call("GET", "/admin/clients")


@pytest.fixture
def encrypted(tmp_path: Path) -> Files:
    files = Files(tmp_path / "c.pem", tmp_path / "c.key")
    files.write(make_pair(password=b"sesame"))
    return files


def test_an_encrypted_key_takes_a_client_certificate(encrypted: Files) -> None:
    """Connections of resource servers take a ClientCertificate, by which a key may have a passphrase."""
    certificate = ClientCertificate(encrypted.certificate, encrypted.key, password="sesame")
    assert ServiceConnection("https://as.example", "api", certificate=certificate)
    assert Introspection("https://as.example", "https://api.example", "api", certificate=certificate)


def test_a_key_belongs_to_a_certificate_file(encrypted: Files) -> None:
    """`key` names the key of the file that `certificate` names, and goes with nothing else."""
    pair = ClientCertificate(encrypted.certificate, encrypted.key, password="sesame")
    asked = ("https://as.example", "https://api.example", "api")
    with pytest.raises(SettingsError, match="has its key already: leave out key="):
        Introspection(*asked, certificate=pair, key=encrypted.key)
    with pytest.raises(SettingsError, match="give certificate= as well"):
        Introspection(*asked, "s3cret", key=encrypted.key)
