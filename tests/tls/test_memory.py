"""The memory that clients can make the server hold: one bound for all, and a fair one."""

import pytest

from tests.tls.stepping import Stepped, SteppedClient, stepped

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


ATTACKS = {
    "bodies": half_sent,
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
    exchange = server.loop._requests.get_nowait()
    assert exchange is not None
    assert type(exchange.request.get_body_stream()).__name__ == "BytesIO"
    assert with_body.is_served


def test_a_withdrawn_request_is_never_run(server, tmp_path):
    """A request that was refused for want of room does not reach the application later on."""
    refused = server.client()
    refused.send(b"POST /file HTTP/1.1\r\n" + HOST + b"Content-Length: 90000\r\n\r\n" + b"x" * 90_000)
    answered = [queued(server, 60_000) for _ in range(2)]
    assert refused.look().startswith(b"HTTP/1.1 503 ")
    for _ in range(3):
        server.serve()
    assert not (tmp_path / "big").exists()
    assert [client.look()[:13] for client in answered] == [b"HTTP/1.1 200 "] * 2


def test_those_within_their_share_stay(server):
    """When nearly all is held in equal shares, only the one that takes more is refused."""
    small = [half_sent(server, SHARE - 100) for _ in range(CLIENTS - 1)]
    large = half_sent(server, SHARE + 3_000)
    assert [client.is_served for client in (*small, large)] == [True] * (CLIENTS - 1) + [False]


def test_what_a_client_leaves_behind_is_freed(server):
    """A client that goes before a thread takes its request leaves nothing of it in the queue."""
    for _ in range(10):
        queued(server, 60_000).connection.drop()
    assert server.loop.holdings.held_bytes == 0
    kept = [server.loop._requests.get_nowait() for _ in range(10)]
    assert [exchange.request.held_bytes() for exchange in kept] == [0] * 10


def test_what_is_sent_ahead_stays_in_the_kernel(server):
    """While a request is in work no more than what one read brought is kept of those that follow it."""
    client = ahead(server, 2_000_000)
    assert client.is_served
    assert client.connection._incoming.held_bytes() <= SLACK
    before = client.connection._incoming.held_bytes()
    server.turn()
    assert client.connection._incoming.held_bytes() == before


def test_requests_sent_ahead_are_all_answered(server):
    """Reading goes on once the answer is out: nothing that was sent ahead is lost."""
    client = server.client()
    request = b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 3000 + b"\r\n\r\n"
    client.send(request * 20)
    for _ in range(20):
        server.serve()
        client.look()
    assert client.received.count(b"HTTP/1.1 200 ") == 20


def test_a_handshake_counts(server):
    """What was sent before a handshake is complete counts too, and is freed with it."""
    client = server.client()
    assert client.connection.held_bytes() == 0
    assert server.loop.holdings.held_bytes == 0
    stranger = server.client()
    stranger.connection._incoming.handshake_bytes = LIMIT + 1
    server.loop.holdings.count(stranger.connection)
    assert not stranger.is_served
