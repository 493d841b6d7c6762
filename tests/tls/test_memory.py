"""The memory that clients can make the server hold: one bound for all, and a fair one."""

import weakref

import pytest

from macaroon_cbat.tls.exchange import ClientGone
from macaroon_cbat.tls.request import Request
from tests.support.stepped_loop import Stepped, SteppedClient, stepped

HOST = b"Host: localhost\r\n"
SHARE = 10_000
CLIENTS = 20
LIMIT = SHARE * CLIENTS
SLACK = 2 * 16_384  # one read may bring the rest of a record and another whole one


@pytest.fixture
def server(tmp_path):
    with stepped(tmp_path, connections=CLIENTS, pending_bytes=LIMIT) as found:
        yield found


def half_sent(server: Stepped, size: int) -> SteppedClient:
    client = server.client()
    client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n" + b"x" * size)
    return client


def half_chunked(server: Stepped, size: int) -> SteppedClient:
    client = server.client()
    client.send(
        b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nF0000\r\n" + b"x" * size
    )
    return client


def half_header(server: Stepped, size: int) -> SteppedClient:
    client = server.client()
    client.send(b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * size)
    return client


def queued(server: Stepped, size: int) -> SteppedClient:
    """Send a whole request, which no thread takes."""
    client = server.client()
    client.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    return client


def ahead(server: Stepped, size: int) -> SteppedClient:
    """Send a whole request, and others before it is answered."""
    client = server.client()
    request = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    client.send(request * (size // len(request)))
    return client


def without_its_body(server: Stepped, size: int) -> SteppedClient:
    """Send a large header that is whole, and nothing of the body that it announces."""
    client = server.client()
    client.send(b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nX: " + b"x" * size + b"\r\n\r\n")
    return client


ATTACKS = {
    "bodies": half_sent,
    "headers without their body": without_its_body,
    "chunks": half_chunked,
    "headers": half_header,
    "whole requests": queued,
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_all_together_are_bounded(server, attack):
    """However many clients send large requests, what is kept of them stays within one bound."""
    attackers = [attack(server, 60_000) for _ in range(CLIENTS)]
    received = [client.look() for client in attackers]
    held = sum(client.connection.held_bytes() for client in attackers)
    assert held <= LIMIT
    assert server.loop.holdings.held_bytes <= LIMIT
    refused = [text for client, text in zip(attackers, received, strict=True) if not client.is_served]
    assert len(refused) >= CLIENTS - LIMIT // 60_000 - 1
    assert all(text.startswith(b"HTTP/1.1 503 ") for text in refused)
    assert all(b"temporarily_unavailable" in text for text in refused)


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_equal_share_is_safe(server, attack):
    """A client that holds no more than its share is served while others hold all that there is."""
    honest = half_sent(server, 4_000)
    small = [half_sent(server, 100) for _ in range(5)]
    for _ in range(CLIENTS):
        attack(server, 60_000)
    assert all(client.is_served for client in (honest, *small))
    late = server.client()
    late.send(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5000\r\n\r\n" + b"x" * 5000)
    assert late.connection._exchange is not None
    honest.send(b"x" * 996_000)
    assert honest.received.startswith(b"HTTP/1.1 503 ")


def test_the_largest_go_first(server):
    """Among requests beyond their share, the largest is refused, and among equals the oldest."""
    first, second, middle = half_sent(server, 70_000), half_sent(server, 70_000), half_sent(server, 30_000)
    half_sent(server, 35_000)
    assert [client.is_served for client in (first, second, middle)] == [False, True, True]


def test_a_body_in_memory_leaves_no_file(server):
    """No body goes to a temporary file, whatever its size."""
    with_body = queued(server, 150_000)
    exchange = server.loop._requests.take()
    assert exchange is not None
    assert type(exchange.request.get_body_stream()).__name__ == "BytesIO"
    assert with_body.is_served


def test_a_withdrawn_request_is_never_run(server, tmp_path):
    """A request that was refused for want of room does not reach the application later on."""
    refused = server.client()
    refused.send(b"POST /file HTTP/1.1\r\n" + HOST + b"Content-Length: 90000\r\n\r\n" + b"x" * 90_000)
    answered = [queued(server, 60_000) for _ in range(2)]
    assert refused.look().startswith(b"HTTP/1.1 503 ")
    for _ in range(2):
        server.serve()
    assert len(server.loop._requests) == 0
    assert not (tmp_path / "big").exists()
    assert [client.look()[:13] for client in answered] == [b"HTTP/1.1 200 "] * 2


def test_those_within_their_share_stay(server):
    """Only the client that takes more is refused when nearly all is held in equal shares."""
    small = [half_sent(server, SHARE - 450) for _ in range(CLIENTS - 1)]
    large = half_sent(server, SHARE + 3_000)
    assert [client.is_served for client in (*small, large)] == [True] * (CLIENTS - 1) + [False]


def test_what_a_client_leaves_behind_is_freed(server):
    """A client that goes before a thread takes its request leaves nothing of it, nor of its TLS."""
    clients = [queued(server, 10_000) for _ in range(10)]
    kept = [weakref.ref(client.connection._session._connection) for client in clients]
    for client in clients:
        client.connection.link.drop()
    assert server.loop.holdings.held_bytes == 0
    assert len(server.loop._requests) == 0
    assert [session() for session in kept] == [None] * 10


def test_a_refused_client_leaves_no_tls(server):
    """A connection that only waits for its client to read the refusal keeps nothing of TLS."""
    client = server.client()
    kept = weakref.ref(client.connection._session._connection)
    client.send(b"nonsense\r\n\r\n")
    assert client.look().startswith(b"HTTP/1.1 400 ")
    assert client.connection in server.loop.connections
    assert kept() is None


def test_a_thread_at_work_keeps_no_abandoned_connection(server):
    """A client that goes while a thread works on its request leaves the request alone behind."""
    client = queued(server, 10_000)
    kept = weakref.ref(client.connection._session._connection)
    exchange = server.loop._requests.take()
    assert exchange._begin()
    client.connection.drop()
    assert kept() is None
    exchange.announce()
    assert not server.loop._changed
    with pytest.raises(ClientGone):
        exchange.write(b"too late")


def test_requests_are_taken_in_turn(server):
    """Threads take the oldest request first, and one that was withdrawn never; after the end none."""
    first, second, third = (queued(server, size) for size in (10, 20, 30))
    first.connection.drop()
    taken = [server.loop._requests.take().request.get_body_stream().read() for _ in range(2)]
    assert taken == [b"x" * 20, b"x" * 30]
    server.loop._requests.end(1)
    assert server.loop._requests.take() is None
    assert second.is_served
    assert third.is_served


def test_a_closed_request_keeps_no_text():
    """A closed request keeps nothing that the client wrote: body, fields and target are gone."""
    request = Request(1 << 16, 1 << 20)
    request.received(b"POST /a?b=c HTTP/1.1\r\nX: y\r\n" + HOST + b"Content-Length: 2\r\n\r\nzz")
    request.close()
    assert [request.path, request.query, request.request_uri, request.headers] == ["", "", "", {}]
    assert request.get_body_stream().read() == b""
    assert request.held_bytes() == 0


def test_what_is_sent_ahead_stays_in_the_kernel(server):
    """While a request is in work no more than what one read brought is kept of those that follow it."""
    client = ahead(server, 2_000_000)
    assert client.is_served
    assert client.connection._receiver.held_bytes() <= SLACK
    before = client.connection._receiver.held_bytes()
    server.turn()
    assert client.connection._receiver.held_bytes() == before


def test_requests_sent_ahead_are_all_answered(server):
    """Reading goes on once the answer is out: nothing that was sent ahead is lost."""
    client = server.client()
    request = b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 3000 + b"\r\n\r\n"
    client.send(request * 20)
    for _ in range(20):
        server.serve()
        client.look()
    assert client.received.count(b"HTTP/1.1 200 ") == 20
