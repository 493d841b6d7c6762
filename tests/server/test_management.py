"""The management page under clients that send too slowly, or too many of them."""

import socket
import threading

import pytest

from macaroon_cbat.server import management
from macaroon_cbat.server.listener import listening_socket
from macaroon_cbat.server.management import serve_management
from macaroon_cbat.server.readiness import Readiness
from tests.support.patience import SECONDS

BEGUN = b"GET /livez HTTP/1.1\r\nHost: here\r\nX-Slow: "


@pytest.fixture
def page():
    """Return the address of a management page."""
    with listening_socket("127.0.0.1", 0) as listener:
        listener.setblocking(True)
        serve_management(listener, Readiness({}))
        yield listener.getsockname()


def begun(page):
    client = socket.create_connection(page, SECONDS)
    client.sendall(BEGUN)
    return client


def test_clients_that_wait_take_few_threads(page, monkeypatch):
    """One client too many ends the oldest one, and a probe is answered all the same."""
    monkeypatch.setattr(management, "MOST_CLIENTS", 3)
    before = threading.active_count()
    clients = [begun(page) for _ in range(12)]
    for client in clients[:9]:
        assert client.recv(1) == b""
    assert threading.active_count() <= before + 12
    with begun(page) as probe:
        probe.sendall(b"\r\n\r\n")
        assert probe.recv(100).startswith(b"HTTP/1.0 200 ")
    for client in clients:
        client.close()


def test_a_client_that_drips_is_left(page, monkeypatch):
    """A request has a time as a whole, however often a byte of it comes."""
    monkeypatch.setattr(management, "LONGEST_SECONDS", 0.0)
    with begun(page) as client:
        assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("request_line", "accepted", "status"),
    [
        (b"GET /metrics", b'application/openmetrics-text; version="1.0.0"', b"200"),
        (b"GET /metrics", b"application/openmetrics-text;version=newest", b"200"),
        (b"GET http://[::1/livez", b"*/*", b"404"),
    ],
    ids=["quoted version", "version of letters", "half a bracket"],
)
def test_an_odd_request_is_answered(page, request_line, accepted, status):
    """A request that a library cannot read has an answer all the same."""
    with socket.create_connection(page, SECONDS) as client:
        client.sendall(request_line + b" HTTP/1.1\r\nHost: here\r\nAccept: " + accepted + b"\r\n\r\n")
        assert client.recv(100).split()[1:2] == [status]
