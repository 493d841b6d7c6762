"""Responses that wait without a thread: each ends once."""

from socket import create_connection

import pytest

from tests.support.parking_application import NEWS, NO_NEWS, ParkingApplication
from tests.support.stepped_loop import Stepped, SteppedClient, stepped

SECONDS = 30


@pytest.fixture
def application():
    return ParkingApplication()


@pytest.fixture
def server(tmp_path, application):
    with stepped(tmp_path, application, connections=3) as found:
        yield found


def get(path: str, method: str = "GET", version: str = "1.1") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: localhost\r\n\r\n".encode()


def parked(server: Stepped, path: str = f"/park?seconds={SECONDS}") -> SteppedClient:
    """Return a client whose response is parked, and whose thread is free."""
    client = server.client()
    client.send(get(path))
    server.serve()
    assert client.look() == b""
    return client


def answered(client: SteppedClient) -> tuple[bytes, bytes]:
    """Return status line and body of the one response that has come."""
    head, _, body = client.look().partition(b"\r\n\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert b"\r\nDate: " in head
    client.received = b""
    return head.partition(b"\r\n")[0], body


def test_an_event_finishes_all(server, application):
    """Each parked response gets the answer, and its connection serves the next request."""
    clients = [parked(server) for _ in range(3)]
    application.finish()
    server.turn()
    assert [answered(client) for client in clients] == [(b"HTTP/1.1 200 OK", NEWS)] * 3
    clients[0].send(get("/parked"))
    server.serve()
    assert b'"waiting": 0, "ended": 0' in clients[0].look()


def test_each_response_has_a_field_of_its_own(server, application):
    """Responses that share an answer differ by the field that names the request, and by nothing else."""
    clients = [parked(server) for _ in range(2)]
    for number, one in enumerate(application.parked):
        one.add_field("X-Request-ID", f"id-{number}")
    application.finish()
    server.turn()
    heads = [client.look().partition(b"\r\n\r\n")[0].split(b"\r\n") for client in clients]
    assert [head[:2] for head in heads] == [
        [b"HTTP/1.1 200 OK", b"X-Request-ID: id-%d" % number] for number in range(2)
    ]
    assert heads[0][2:] == heads[1][2:]


def test_the_first_answer_counts(server, application):
    """A second answer to the same request is nothing, and so is one before the client's next request."""
    client = parked(server)
    [waiting] = application.parked
    for body in (b"first", b"second"):
        waiting.finish("200 OK", [], body)
    server.turn()
    assert answered(client) == (b"HTTP/1.1 200 OK", b"first")
    waiting.finish("200 OK", [], b"third")
    server.turn()
    assert client.look() == b""


def test_the_time_is_the_applications(server, application):
    """A parked response waits for its own seconds, whatever the limits of other waits are."""
    first, second = parked(server, "/park?seconds=20"), parked(server, "/park?seconds=40")
    server.at(19.9)
    assert first.look() == second.look() == b""
    server.at(20.5)
    assert answered(first) == (b"HTTP/1.1 200 OK", NO_NEWS)
    assert second.look() == b""
    server.at(40.5)
    assert answered(second) == (b"HTTP/1.1 200 OK", NO_NEWS)
    assert application.ended == 2


def test_an_answer_before_the_end_of_the_call(server):
    """An application may finish before it returns."""
    client = server.client()
    client.send(get("/early"))
    server.serve()
    assert answered(client) == (b"HTTP/1.1 200 OK", NEWS)


def test_requests_behind_a_parked_one_wait(server, application):
    """Requests that were sent ahead are answered in their order, after the parked one."""
    client = server.client()
    client.send(get("/park") + get("/parked"))
    server.serve()
    assert client.look() == b""
    assert len(server.loop._requests) == 0
    application.finish()
    server.turn()
    server.serve()
    assert client.look().count(b"HTTP/1.1 200 OK") == 2
    assert client.received.index(NEWS) < client.received.index(b"waiting")


def test_a_client_that_goes_is_forgotten(server, application):
    """The application learns at once that a client has gone; what it finishes later is nothing."""
    client = parked(server)
    client.sock.close()
    server.turn()
    assert (application.ended, len(application.waiting), len(server.loop.connections)) == (1, 0, 0)
    application.parked[0].finish("200 OK", [], b"late")
    server.turn()


@pytest.mark.parametrize("says_goodbye", [True, False], ids=["goodbye", "dropped"])
def test_a_client_that_goes_before_its_response_is_parked(server, application, says_goodbye):
    """A client that goes while a thread works on its request leaves no wait behind, and no connection."""
    client = server.client()
    client.send(get("/park"))

    def leave():
        if says_goodbye:
            client.sock.close()
            server.turn()
        else:
            client.connection.drop()

    application.meanwhile = leave
    server.serve()
    assert (application.ended, len(application.waiting), len(server.loop.connections)) == (1, 0, 0)
    assert len(server.loop.site.places) == 0


def test_a_client_that_asks_ahead_and_goes_is_forgotten(server, application):
    """Requests behind a parked one do not hide that their client has gone."""
    client = server.client()
    client.send(get("/park"))
    client.send(get("/parked"))
    server.serve()
    client.send(get("/parked"))
    client.sock.close()
    server.turn()
    assert (application.ended, len(application.waiting), len(server.loop.connections)) == (1, 0, 0)


def test_a_client_that_asks_too_far_ahead_is_dropped(server, application):
    """Requests behind a parked one are kept up to a bound."""
    client = parked(server)
    for _ in range(5):
        client.send(get("/parked").ljust(16384, b"x"))
    assert (application.ended, client.is_served, server.loop.holdings.held_bytes) == (1, False, 0)


def test_an_answer_that_cannot_be_sent_harms_no_other(server, application, caplog):
    """A response that no server could send costs its own connection, and the others are answered."""
    clients = [parked(server) for _ in range(3)]
    application.parked[0].finish("200 OK", [], None)
    application.finish()
    server.turn()
    assert [client.is_served for client in clients] == [False, True, True]
    assert [answered(client) for client in clients[1:]] == [(b"HTTP/1.1 200 OK", NEWS)] * 2
    assert "dropped a connection" in caplog.text
    assert len(server.loop.site.places) == 0


def test_a_wait_that_cannot_be_ended_harms_no_other(server, application, caplog):
    """A response that is unusable when its time is over costs its own connection."""
    first, second = parked(server, "/park?seconds=10"), parked(server, "/park?seconds=10")
    first.connection._exchange.parked = None
    server.at(11)
    assert (first.is_served, answered(second)) == (False, (b"HTTP/1.1 200 OK", NO_NEWS))
    assert "dropped a connection" in caplog.text


def test_a_forgetful_application_is_answered_for(server, application):
    """A response that the application does not finish becomes 503 five seconds after the end of its wait."""
    client = parked(server, "/forgets?seconds=10")
    server.at(10.5)
    assert (client.look(), application.ended) == (b"", 1)
    server.at(16)
    assert answered(client)[0] == b"HTTP/1.1 503 Service Unavailable"
    assert application.ended == 1


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [("/both", b"200 OK", b"both"), ("/fails", b"500 Internal Server Error", b"error")],
)
def test_an_unused_park_is_ended(server, application, path, status, body):
    """An application that parks, and then answers itself or fails, is told that the wait is over."""
    client = server.client()
    client.send(get(path))
    server.serve()
    assert client.look().startswith(b"HTTP/1.1 " + status)
    assert body in client.received
    assert application.ended == 1


def test_a_stop_finishes_what_is_parked(server, application):
    """Parked responses end at once when the server stops, and their connections with them."""
    clients = [parked(server) for _ in range(2)]
    server.loop.site.is_stopping = True
    for client in clients:
        client.connection.on_stop()
    server.turn()
    assert [b"\r\nConnection: close\r\n" in client.look() for client in clients] == [True, True]
    assert [client.received.endswith(NO_NEWS) for client in clients] == [True, True]
    assert not any(client.is_served for client in clients)


def test_parked_connections_are_in_use(server):
    """No parked connection is dropped for a newcomer, and none by the time of idle ones."""
    clients = [parked(server) for _ in range(3)]
    server.at(25)
    assert server.loop.rooms.evictable(25) is None
    assert all(client.is_served for client in clients)


def test_parked_connections_leave_some_to_others(tmp_path, application):
    """A newcomer is served however many would wait: a sixteenth of the connections never do."""
    with stepped(tmp_path, application, connections=16) as server:
        clients = [server.client() for _ in range(16)]
        for client in clients:
            client.send(get("/park"))
            server.serve()
        assert [client.look() != b"" for client in clients] == [False] * 15 + [True]
        assert clients[-1].look().endswith(NO_NEWS)
        server.at(1)
        with create_connection(server.listener.getsockname()):
            server.turn()
        assert (clients[-1].is_served, clients[0].is_served) == (False, True)
        clients[0].sock.close()
        server.turn()
        parked(server)


def test_one_holder_leaves_half_of_the_places(tmp_path, application):
    """A client that waits as often as it can gets half of the places, and others get the rest."""
    with stepped(tmp_path, application, connections=32) as server:
        clients = []
        for holder, waiting in [("greedy", 15), ("modest", 25), ("greedy", 25)]:
            for _ in range(17 if holder == "greedy" else 10):
                client = server.client()
                client.send(get(f"/park?holder={holder}"))
                server.serve()
                server.turn()
                clients.append(client)
            assert len(server.loop.site.places) == waiting
        clients[0].sock.close()
        server.turn()
        assert len(server.loop.site.places) == 24


@pytest.mark.parametrize(
    ("path", "is_gone"), [("/park", True), ("/both", False), ("/fails", False), ("/early", False)]
)
def test_a_place_is_given_back_once(tmp_path, application, path, is_gone):
    """Each end of a wait gives its place back, and only its own."""
    with stepped(tmp_path, application, connections=16) as server:
        waiting = parked(server)
        client = server.client()
        client.send(get(path))
        server.serve()
        if is_gone:
            client.sock.close()
        server.turn()
        assert len(server.loop.site.places) == (0 if path == "/early" else 1)
        waiting.sock.close()
        server.turn()
        assert len(server.loop.site.places) == 0


@pytest.mark.parametrize(
    ("request_text", "has_body", "is_last"),
    [
        (get("/park", "HEAD"), False, False),
        (get("/park", version="1.0"), True, True),
        (get("/park")[:-2] + b"Connection: close\r\n\r\n", True, True),
    ],
    ids=["HEAD", "HTTP/1.0", "close"],
)
def test_a_parked_response_is_framed_as_any_other(server, application, request_text, has_body, is_last):
    """HEAD gets no body, and the connection ends where the request says so."""
    client = server.client()
    client.send(request_text)
    server.serve()
    application.finish()
    server.turn()
    assert client.look().endswith(NEWS if has_body else b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(NEWS) in client.received
    assert client.is_served is not is_last
