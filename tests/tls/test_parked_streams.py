"""Parked responses in parts: an application writes from any thread, and a slow reader is dropped."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from macaroon_cbat.server.parking import STREAM_BYTES, ParkedResponse
from tests.support.parking_application import NEWS, NO_NEWS, ParkingApplication
from tests.support.stepped_loop import Stepped, SteppedClient, stepped

SEND_SECONDS, PART = 20, b"x" * 50_000


@pytest.fixture
def application():
    return ParkingApplication()


@pytest.fixture
def server(tmp_path, application):
    with stepped(tmp_path, application, connections=3, request_seconds=SEND_SECONDS) as found:
        yield found


def get(path: str, method: str = "GET", version: str = "1.1", more: str = "") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n{more}\r\n".encode()


def streaming(server: Stepped, seconds: float = 60, more: str = "") -> SteppedClient:
    """Return a client whose stream has begun, and which has read its head."""
    client = server.client()
    client.send(get(f"/stream?seconds={seconds}", more=more))
    server.serve()
    head, _, rest = client.look().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nTransfer-Encoding: chunked" in head
    assert b"Content-Length" not in head
    assert rest == b""
    client.received = b""
    return client


def framed(*parts: bytes, is_whole: bool = False) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n" * is_whole


def heard(server: Stepped, client: SteppedClient) -> bytes:
    """Return what has come since the last time."""
    server.turn()
    received = b""
    while client.look():
        received, client.received = received + client.received, b""
        server.turn()
    return received


def given(parked: ParkedResponse) -> list[bytes]:
    """Take what the loop would take next."""
    return parked.take(is_head=False, is_last=False)[0]


def clogged(server: Stepped, application: ParkingApplication, client: SteppedClient) -> None:
    """Write so much that the client's socket takes no more."""
    while client.connection.link.room is not server.loop.rooms.reader:
        application.write(PART)
        server.turn()


def test_parts_come_as_they_are_written(server, application):
    """Every stream gets each part at once, in order; the end of one is its last chunk."""
    clients = [streaming(server) for _ in range(3)]
    for part in (b"one", b"two"):
        application.write(part)
        assert [heard(server, client) for client in clients] == [framed(part)] * 3
    application.parked[0].finish("404 ignored", [], b"three")
    assert heard(server, clients[0]) == framed(b"three", is_whole=True)
    assert heard(server, clients[1]) == b""


def test_a_connection_serves_on_after_a_stream(server, application):
    """After the last chunk the next request is answered, one that was sent ahead as well."""
    client = streaming(server)
    client.send(get("/parked"))
    assert client.look() == b""
    application.finish()
    server.turn()
    server.serve()
    whole, _, answer = client.look().partition(b"HTTP/1.1 200 OK")
    assert whole == framed(NEWS, is_whole=True)
    assert b'"waiting": 0' in answer
    assert client.is_served


def test_an_empty_part_is_no_end(server, application):
    """A part without bytes, which would end the stream, is not sent."""
    client = streaming(server)
    application.write(b"")
    assert heard(server, client) == b""
    application.parked[0].finish("200 OK", [], b"")
    assert heard(server, client) == framed(is_whole=True)


def test_what_is_written_before_the_application_returns(tmp_path):
    """Parts that are written while the thread works on the request are sent after its head."""

    class Early(ParkingApplication):
        def __call__(self, environ, start_response):
            answer = super().__call__(environ, start_response)
            self.write(b"early")
            return answer

    with stepped(tmp_path, Early()) as server:
        client = server.client()
        client.send(get("/stream"))
        server.serve()
        assert client.look().endswith(b"\r\n\r\n" + framed(b"early"))


@pytest.mark.parametrize("request_text", [get("/stream", "HEAD"), get("/stream", version="1.0")])
def test_head_and_earlier_http_have_no_streams(server, application, request_text):
    """A response that cannot be in chunks does not begin; it is finished as any other."""
    client = server.client()
    client.send(request_text)
    server.serve()
    application.write(b"part")
    server.turn()
    assert (application.begun, client.look()) == ([False], b"")
    application.finish()
    server.turn()
    assert b"Content-Length: %d\r\n" % len(NEWS) in client.look()
    assert b"chunked" not in client.received
    assert b"part" not in client.received


def test_a_request_that_is_the_last_ends_the_connection(server, application):
    """A stream whose request closes says so, and ends with its connection."""
    client = server.client()
    client.send(get("/stream", more="Connection: close\r\n"))
    server.serve()
    assert b"\r\nConnection: close\r\n" in client.look()
    application.finish()
    server.turn()
    assert client.look().endswith(framed(NEWS, is_whole=True))
    assert not client.is_served


def test_writes_after_the_end_are_nothing(server, application):
    """A part that is written after the end, or after the client has gone, is neither sent nor kept."""
    client, gone = streaming(server), streaming(server)
    first, second = application.parked
    first.finish("200 OK", [], b"end")
    first.write(b"late")
    first.finish("200 OK", [], b"late")
    assert heard(server, client) == framed(b"end", is_whole=True)
    gone.sock.close()
    server.turn()
    for one in (first, second):
        one.write(PART)
        assert PART not in b"".join(given(one))
    assert (heard(server, client), application.ended, len(server.loop.site.places)) == (b"", 1, 0)
    assert server.loop.site.backlog.held_bytes == 0


def test_a_client_that_goes_is_forgotten(server, application):
    """The application learns that the client of a stream has gone, also one that does not read."""
    client, slow = streaming(server), streaming(server)
    clogged(server, application, slow)
    client.sock.close()
    slow.sock.close()
    application.write(PART)
    server.turn()
    server.at(SEND_SECONDS + 1)
    assert (application.ended, len(application.waiting), len(server.loop.connections)) == (2, 0, 0)


def test_time_ends_a_stream(server, application):
    """The seconds that the stream was begun with count, however much is written meanwhile."""
    client = streaming(server, seconds=30)
    for second in (10, 20, 29):
        server.at(second)
        application.write(b"part")
        assert heard(server, client) == framed(b"part")
    server.at(30.5)
    assert heard(server, client) == framed(NO_NEWS, is_whole=True)
    assert (application.ended, client.is_served) == (1, True)


def test_a_stream_keeps_its_time_through_a_pause_of_its_reader(server, application):
    """A reader that was slow for a while gains no time."""
    client = streaming(server, seconds=30)
    server.at(10)
    clogged(server, application, client)
    server.at(20)
    heard(server, client)
    assert heard(server, client) == b""
    assert client.connection.link.room is server.loop.rooms.parked
    server.at(29)
    assert heard(server, client) == b""
    server.at(30.5)
    assert heard(server, client) == framed(NO_NEWS, is_whole=True)


def test_a_forgetful_application_has_its_stream_cut(server, application):
    """A stream that is not finished five seconds after its time ends without its last chunk."""
    client = server.client()
    client.send(get("/forgets?stream=1&seconds=10"))
    server.serve()
    server.at(10.5)
    assert client.is_served
    server.at(16)
    assert heard(server, client).partition(b"\r\n\r\n")[2] == b""
    assert not client.is_served


def test_a_reader_that_takes_nothing_is_dropped(server, application):
    """A slow reader has the time of any response, and its stream ends without the last chunk."""
    client = streaming(server, seconds=1000)
    clogged(server, application, client)
    server.at(SEND_SECONDS - 1)
    assert client.is_served
    server.at(SEND_SECONDS + 1)
    assert (client.is_served, application.ended) == (False, 1)
    assert not client.look().endswith(b"0\r\n\r\n")


def test_a_reader_that_leaves_too_much_is_dropped(server, application):
    """The bytes that wait for one reader are bounded; other streams go on, and nothing of it is kept."""
    slow, client = streaming(server), streaming(server)
    written = 0
    while slow.is_served:
        application.write(PART)
        written += len(PART)
        heard(server, client)
        assert written < 2 * STREAM_BYTES
    assert (client.is_served, len(application.waiting)) == (True, 1)
    assert server.loop.site.backlog.held_bytes == 0
    application.write(b"more")
    assert heard(server, client) == framed(b"more")


def test_what_the_loop_has_not_taken_is_bounded(server, application):
    """An application that writes faster than the loop sends fills no memory: its stream is cut."""
    client = streaming(server)
    for _ in range(2 * STREAM_BYTES // len(PART)):
        application.write(PART)
    assert sum(map(len, given(application.parked[0]))) <= STREAM_BYTES + 2 * len(PART)
    server.turn()
    assert (client.is_served, application.ended) == (False, 1)


def test_slow_readers_give_way_first(server, application):
    """All readers together are bounded: the slowest is dropped, and a stream that is read goes on."""
    slow, client = streaming(server), streaming(server)
    server.loop.rooms.allow(server.loop.limits)
    clogged(server, application, slow)
    heard(server, client)
    server.at(5)
    assert server.loop.rooms.evictable(5) is slow.connection
    [burden] = server.loop.rooms.burdens(0, 1)
    assert burden is slow.connection


def test_a_stop_ends_streams(server, application):
    """A server that stops lets the application end its streams, and closes their connections."""
    clients = [streaming(server) for _ in range(2)]
    server.loop.site.is_stopping = True
    for client in clients:
        client.connection.on_stop()
    assert [heard(server, client) for client in clients] == [framed(NO_NEWS, is_whole=True)] * 2
    assert not any(client.is_served for client in clients)


def test_a_stop_waits_for_no_slow_reader(server, application):
    """A stream whose reader is slow ends as soon as it has read, once the server stops."""
    client = streaming(server)
    clogged(server, application, client)
    server.loop.site.is_stopping = True
    client.connection.on_stop()
    heard(server, client)
    server.at(1)
    assert heard(server, client).endswith(framed(NO_NEWS, is_whole=True))
    assert not client.is_served


def test_threads_write_at_once(server, application):
    """Each part is whole, and each thread's parts come in its order."""
    client = streaming(server)
    parts = [[b"%d:%d;" % (thread, n) for n in range(200)] for thread in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda own: [application.write(part) for part in own], parts))
    received = heard(server, client)
    found = [line for line in received.split(b"\r\n") if b":" in line]
    for number, own in enumerate(parts):
        assert [part for part in found if part.startswith(b"%d:" % number)] == own
    assert len(received) == sum(len(framed(part)) for own in parts for part in own)


def test_one_part_for_many_is_one_text(server, application):
    """A part for many streams is made into text once."""
    for _ in range(3):
        streaming(server)
    application.write(NEWS)
    texts = [given(one)[-1] for one in application.parked]
    assert len({id(text) for text in texts}) == 1
