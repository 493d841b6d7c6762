"""A failure of the server itself is told as one: 500 and a line in the log, never as the client's mistake."""

import pytest

from tests.support.stepped_loop import stepped

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def server(tmp_path):
    with stepped(tmp_path) as found:
        yield found


def fail(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_failure_to_read_a_request_is_500(server, caplog):
    """A request that the server fails to take in is answered with 500, and the log says why."""
    server.loop.new_request = fail
    client = server.client()
    client.send(GET)
    assert client.look().startswith(b"HTTP/1.1 500 ")
    assert b"server_error" in client.received
    assert "No space left on device" in caplog.text


def test_a_failure_to_begin_a_request_ends_the_connection(server, caplog):
    """A request that cannot be given to a thread ends its own connection alone."""
    client, other = server.client(), server.client()
    server.loop.submit, submit = fail, server.loop.submit
    client.send(GET)
    server.loop.submit = submit
    other.send(GET)
    server.serve()
    assert not client.is_served
    assert "No space left on device" in caplog.text
    assert other.look().startswith(b"HTTP/1.1 200 ")
