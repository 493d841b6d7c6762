"""The embedded server as PEP 3333 has it: what an application may answer, and how that is framed."""

import io

import pytest

from tests.support.stepped_loop import stepped

PLAIN = [("Content-Type", "text/plain")]


CHUNKED = b"Transfer-Encoding: chunked"


class Parts:
    """An iterable without a length, which notes that it was closed."""

    def __init__(self, *parts: bytes) -> None:
        self.parts, self.is_closed = parts, False

    def __iter__(self):
        return iter(self.parts)

    def close(self) -> None:
        """Note it."""
        self.is_closed = True


def answering(status="200 OK", headers=PLAIN, parts=(b"abc",)):
    """Return an application with this answer."""

    def application(environ, start_response):
        start_response(status, list(headers))
        return parts

    return application


def writing(environ, start_response):
    write = start_response("200 OK", list(PLAIN))
    write(b"one")
    return [b"two"]


def starting_twice(environ, start_response):
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


def correcting(environ, start_response):
    start_response("200 OK", [("Content-Length", "9")])
    try:
        raise ValueError
    except ValueError as error:
        start_response("418 Short", [("X", "y")], (ValueError, error, error.__traceback__))
    return [b"ab"]


def silent(environ, start_response):
    return [b"no start"]


def reading_a_file(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"abcd"))


def reading_a_pipe(environ, start_response):
    class Pipe:
        def __init__(self) -> None:
            self.left = [b"ab", b"cd"]

        def read(self, size):
            return self.left.pop(0) if self.left else b""

    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](Pipe())


def ask(folder, application, request="GET / HTTP/1.1"):
    """Return header, body, and whether the connection is kept."""
    with stepped(folder, application) as server:
        client = server.client()
        client.send(f"{request}\r\nHost: localhost\r\n\r\n".encode())
        server.serve()
        head, _, body = client.look().partition(b"\r\n\r\n")
        return head, body, client.is_served


@pytest.mark.parametrize(
    ("application", "request_line", "field", "expected"),
    [
        (answering(), "GET / HTTP/1.1", b"Content-Length: 3", (b"abc", True)),
        (answering(), "GET / HTTP/1.0", b"Connection: close", (b"abc", False)),
        (answering(), "GET / HTTP/1.0\r\nConnection: keep-alive", b"Connection: Keep-Alive", (b"abc", True)),
        (answering(), "GET / HTTP/1.1\r\nConnection: te, Close", b"Connection: close", (b"abc", False)),
        (answering(), "HEAD / HTTP/1.1", b"Content-Length: 3", (b"", True)),
        (answering(parts=Parts(b"ab", b"", b"c")), "GET / HTTP/1.1", CHUNKED,
         (b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", True)),
        (answering(parts=Parts(b"ab", b"c")), "GET / HTTP/1.0\r\nConnection: keep-alive",
         b"Connection: close", (b"abc", False)),
        (answering(parts=Parts(b"ab", b"c")), "HEAD / HTTP/1.1", CHUNKED, (b"", True)),
        (answering("204 No Content", [("Content-Length", "3")]), "GET / HTTP/1.1", b"Date: ", (b"", True)),
        (answering("304 Not Modified", parts=[]), "GET / HTTP/1.1", b"Date: ", (b"", True)),
        (answering(parts=[]), "GET / HTTP/1.1", CHUNKED, (b"0\r\n\r\n", True)),
        (answering(headers=[("Content-Length", "2")]), "GET / HTTP/1.1", b"Content-Length: 2", (b"ab", True)),
        (answering(headers=[("Date", "then")]), "GET / HTTP/1.1", b"Date: then", (b"abc", True)),
        (writing, "GET / HTTP/1.1", CHUNKED, (b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", True)),
        (correcting, "GET / HTTP/1.1", b"HTTP/1.1 418 Short\r\nX: y\r\nContent-Length: 2\r\n", (b"ab", True)),
        (reading_a_file, "GET / HTTP/1.1", b"Content-Length: 2", (b"ab", True)),
        (reading_a_file, "HEAD / HTTP/1.1", b"Content-Length: 2", (b"", True)),
        (reading_a_pipe, "GET / HTTP/1.1", CHUNKED, (b"2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", True)),
    ],
    ids=[
        "one part", "HTTP/1.0", "HTTP/1.0 kept", "close among others", "HEAD", "parts", "parts of HTTP/1.0",
        "HEAD of parts", "204", "304", "nothing", "too long", "a date", "write", "corrected", "a file",
        "HEAD of a file", "a pipe",
    ],
)  # fmt: skip
def test_an_answer_is_framed(tmp_path, application, request_line, field, expected):
    """Each answer has a length, chunks or the end of its connection, and no more than one of them."""
    head, *received = ask(tmp_path, application, request_line)
    assert field in head + b"\r\n"
    assert tuple(received) == expected
    assert head.count(b"Content-Length:") + head.count(b"Transfer-Encoding:") <= 1
    assert head.count(b"Date: ") == 1


@pytest.mark.parametrize(
    "application",
    [
        answering(headers=[("X", "a\r\nSet-Cookie: evil")]),
        answering(headers=[("X", "a\nSet-Cookie: evil")]),
        answering(headers=[("X", "a\rSet-Cookie: evil")]),
        answering(headers=[("X: a\r\nSet-Cookie", "evil")]),
        answering("200 OK\r\nSet-Cookie: evil"),
        answering(headers=[("X", "Set-Cookie: \N{SNOWMAN}")]),
        answering(headers=[("Transfer-Encoding", "chunked")]),
        answering(headers=[("connection", "keep-alive")]),
        answering(headers=[("Content-Length", "three")]),
        answering(parts=["Set-Cookie: text"]),
        starting_twice,
        silent,
    ],
    ids=[
        "CRLF", "LF", "CR", "a name", "a status", "no Latin-1", "a coding", "hop by hop", "no length", "text",
        "twice", "no start",
    ],
)  # fmt: skip
def test_an_answer_that_splits_or_lies_is_500(tmp_path, application):
    """An application cannot write a line of its own into the header, nor frame the answer itself."""
    head, body, is_kept = ask(tmp_path, application)
    assert head.startswith(b"HTTP/1.1 500 ")
    assert b"Set-Cookie" not in head + body
    assert not is_kept


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_what_was_iterated_is_closed(tmp_path, method):
    """The iterable of an application is closed after the answer."""
    parts = Parts(b"a", b"b")
    ask(tmp_path, answering(parts=parts), f"{method} / HTTP/1.1")
    assert parts.is_closed


def test_a_path_is_no_host(tmp_path):
    """Slashes at the beginning of the path are one, so that no redirect of an application leads away."""
    head, _, _ = ask(
        tmp_path,
        lambda environ, start: answering(headers=[("X", environ["PATH_INFO"])])(environ, start),
        "GET //evil/a HTTP/1.1",
    )
    assert b"X: /evil/a\r\n" in head + b"\r\n"
