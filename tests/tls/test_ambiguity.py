"""Requests that two servers could understand differently: refused, and nothing after them is a request."""

import re

import pytest

from tests.support.tls_servers import Server, read_to_end, speak

HOST = b"Host: localhost\r\n"
POST = b"POST /echo HTTP/1.1\r\n" + HOST
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def statuses(server: Server, sent: bytes) -> list[int]:
    """Return the status of every answer until the server closes, which these requests make it do."""
    with server.connect() as connection:
        connection.sendall(sent)
        received = read_to_end(connection)
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] ([0-9]{3}) ", received)]


FRAMINGS = {
    "1.0 with a transfer coding": (
        b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n" + CHUNKED + b"\r\n" + SMUGGLED
    ),
    "1.0 with both": (
        b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n"
        + CHUNKED
        + b"\r\n0\r\n\r\n"
        + SMUGGLED
    ),
    "length and chunked": POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "chunked and length": POST + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked twice": POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "chunked in a list": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked and identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "identity alone": POST + b"Transfer-Encoding: identity\r\n\r\n" + SMUGGLED,
    "gzip alone": POST + b"Transfer-Encoding: gzip\r\n\r\n" + SMUGGLED,
    "an empty coding": POST + b"Transfer-Encoding:\r\n\r\n" + SMUGGLED,
    "a leading comma": POST + b"Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a quoted coding": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n' + SMUGGLED,
    "a coding with a parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a coding after a form feed": POST + b"Transfer-Encoding: \x0cchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a coding with NBSP": POST + b"Transfer-Encoding: chunked\xa0\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an underscored coding": POST + b"Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an underscored length": POST + b"Content_Length: 5\r\n\r\n" + SMUGGLED,
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n" + SMUGGLED,
    "the same length twice": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nhello" + SMUGGLED,
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello" + SMUGGLED,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + SMUGGLED,
    "a hexadecimal length": POST + b"Content-Length: 0x5\r\n\r\nhello" + SMUGGLED,
    "a length with an underscore": POST + b"Content-Length: 0_5\r\n\r\nhello" + SMUGGLED,
    "an empty length": POST + b"Content-Length:\r\n\r\n" + SMUGGLED,
    "a fraction": POST + b"Content-Length: 5.0\r\n\r\nhello" + SMUGGLED,
    "Arabic digits": POST + "Content-Length: \u0665\r\n\r\nhello".encode() + SMUGGLED,
    "a superscript": POST + b"Content-Length: \xb2\r\n\r\nhe" + SMUGGLED,
    "a vast length": POST + b"Content-Length: 99999999999999999999\r\n\r\n" + SMUGGLED,
    "a space before the colon": POST + b"Content-Length : 5\r\n\r\nhello" + SMUGGLED,
    "a tab before the colon": POST + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "NUL in a name": POST + b"Content-Length\0: 5\r\n\r\nhello" + SMUGGLED,
    "NUL in a value": POST + b"A: b\0c\r\n\r\n" + SMUGGLED,
    "DEL in a value": POST + b"A: b\x7fc\r\n\r\n" + SMUGGLED,
    "a bare LF in a value": POST + b"A: b\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "a bare CR in a value": POST + b"A: b\rContent-Length: 5\r\n\r\nhello" + SMUGGLED,
    "a header that ends in LF": b"POST /echo HTTP/1.1\nHost: localhost\n\n" + SMUGGLED,
    "a folded line": POST + b"A: b\r\n c\r\n\r\n" + SMUGGLED,
    "a first line that is folded": b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n" + SMUGGLED,
    "no colon": POST + b"nonsense\r\n\r\n" + SMUGGLED,
    "no name": POST + b": b\r\n\r\n" + SMUGGLED,
}


@pytest.mark.parametrize("sent", FRAMINGS.values(), ids=FRAMINGS.keys())
def test_ambiguous_framing_is_refused(server: Server, sent: bytes) -> None:
    """A header that leaves open where its request ends is one 400, and the server closes (RFC 9112 6.1)."""
    assert statuses(server, sent) == [400]


CHUNKS = {
    "a sign": b"+5\r\nhello\r\n0\r\n\r\n",
    "a prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "an underscore": b"0_5\r\nhello\r\n0\r\n\r\n",
    "a leading space": b" 5\r\nhello\r\n0\r\n\r\n",
    "no size": b"\r\nhello\r\n0\r\n\r\n",
    "a semicolon alone": b";a\r\nhello\r\n0\r\n\r\n",
    "a comma": b"5,5\r\nhello\r\n0\r\n\r\n",
    "a size that ends in LF": b"5\nhello\r\n0\r\n\r\n",
    "a size that ends in CR": b"5\rXhello\r\n0\r\n\r\n",
    "a CR in an extension": b"5;a\rb\r\nhello\r\n0\r\n\r\n",
    "an LF in an extension": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "NUL in an extension": b"5;a\0\r\nhello\r\n0\r\n\r\n",
    "a long extension": b"5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n",
    "a chunk that is too short": b"6\r\nhello\r\n0\r\n\r\n",
    "a chunk that is too long": b"4\r\nhello\r\n0\r\n\r\n",
    "a chunk that ends in LF": b"5\r\nhello\n0\r\n\r\n",
    "seventeen digits": b"00000000000000005\r\nhello\r\n0\r\n\r\n",
    "a trailer without a colon": b"5\r\nhello\r\n0\r\nnonsense\r\n\r\n",
    "a trailer that is folded": b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n",
    "a trailer that ends in LF": b"5\r\nhello\r\n0\r\nA: b\n\r\n",
    "a trailer beyond its limit": b"0\r\n" + b"A: bbbbbbbb\r\n" * 1000 + b"\r\n",
}


@pytest.mark.parametrize("body", CHUNKS.values(), ids=CHUNKS.keys())
def test_ambiguous_chunks_are_refused(server: Server, body: bytes) -> None:
    """Chunks that another server could read differently are one 400, and the connection is closed."""
    assert statuses(server, POST + CHUNKED + b"\r\n" + body + SMUGGLED) == [400]


@pytest.mark.parametrize("size", [b"100001", b"FFFFFFFF", b"FFFFFFFFFFFFFFFF", b"7FFFFFFFFFFFFFFF"])
def test_a_huge_chunk_is_refused_at_once(server: Server, size: bytes) -> None:
    """A chunk beyond the limit of bodies is 413 as soon as its size is known."""
    assert statuses(server, POST + CHUNKED + b"\r\n" + size + b"\r\n" + SMUGGLED) == [413]


def test_chunks_of_one_byte_are_refused(server: Server) -> None:
    """A body that is mostly framing is 413: it is work without use."""
    assert statuses(server, POST + CHUNKED + b"\r\n" + b"1\r\na\r\n" * 30_000) == [413]


LINES = {
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/0.9 with a field": (b"GET /\r\n" + HOST + b"\r\n", 400),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 505),
    "HTTP/1.2 with a transfer coding": (
        b"POST /echo HTTP/1.2\r\n" + HOST + b"Connection: keep-alive\r\n" + CHUNKED + b"\r\n",
        505,
    ),
    "HTTP/0.9 by name": (b"GET / HTTP/0.9\r\n" + HOST + b"\r\n", 505),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/11": (b"GET / HTTP/11\r\n" + HOST + b"\r\n", 400),
    "HTTP/1.10": (b"GET / HTTP/1.10\r\n" + HOST + b"\r\n", 400),
    "http/1.1": (b"GET / http/1.1\r\n" + HOST + b"\r\n", 400),
    "Arabic version": ("GET / HTTP/1.\u0661\r\n".encode() + HOST + b"\r\n", 400),
    "two spaces": (b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a tab": (b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a leading space": (b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a trailing space": (b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "raw UTF-8 in the target": ("GET /é HTTP/1.1\r\n".encode() + HOST + b"\r\n", 400),
    "a fragment": (b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method in small letters": (b"get / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method in mixed letters": (b"Delete / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method with a list": (b"GET,DELETE / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method with a digit": (b"GET1 / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method with an underscore": (b"GET_ / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a method that begins with a hyphen": (b"-GET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a long method": (b"A" * 33 + b" / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "CONNECT": (b"CONNECT localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + HOST + b"\r\n", 501),
    "authority-form": (b"GET localhost:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an asterisk": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "another authority": (b"GET https://other/x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a user before the authority": (b"GET https://a@localhost/x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "plain http": (b"GET http://localhost/x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a query as authority": (b"GET https://localhost?a=b/health HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "a backslash in the authority": (b"GET https://localhost\\x/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "an authority that is no URL": (b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no leading slash": (b"GET x HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "two Hosts in HTTP/1.0": (b"GET / HTTP/1.0\r\n" + HOST + b"Host: other\r\n\r\n", 400),
    "a list of Hosts": (b"GET / HTTP/1.1\r\nHost: localhost, other\r\n\r\n", 400),
    "an empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
    "a Host with a path": (b"GET / HTTP/1.1\r\nHost: localhost/x\r\n\r\n", 400),
    "a Host with a user": (b"GET / HTTP/1.1\r\nHost: a@localhost\r\n\r\n", 400),
    "a Host with a space": (b"GET / HTTP/1.1\r\nHost: local host\r\n\r\n", 400),
    "a Host with a word as port": (b"GET / HTTP/1.1\r\nHost: localhost:https\r\n\r\n", 400),
    "a line of the PROXY protocol": (
        b"PROXY TCP4 10.0.0.7 10.0.0.8 1 2\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
        400,
    ),
    "many fields": (b"GET / HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 200 + b"\r\n", 431),
    "many blank lines": (b"\r\n" * 100, 400),
    "a blank line that ends in LF": (b"\r\n\nGET / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
}


@pytest.mark.parametrize(("sent", "status"), LINES.values(), ids=LINES.keys())
def test_a_request_in_another_form_is_refused(server: Server, sent: bytes, status: int) -> None:
    """A request that is no plain HTTP/1.1 or 1.0 for this server is one refusal, and the server closes."""
    assert statuses(server, sent + SMUGGLED) == [status]


def environ_of(server: Server, sent: bytes) -> dict[str, object]:
    with server.connect() as connection:
        found: dict[str, object] = speak(connection, sent).json()["environ"]
    return found


def test_an_absolute_target_is_read_as_its_path(server: Server) -> None:
    """A target in absolute-form that names this very host is the application's path and nothing else."""
    found = environ_of(server, b"GET HTTPS://LOCALHOST/a?b=c HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (found["PATH_INFO"], found["REQUEST_URI"], found["QUERY_STRING"]) == ("/a", "/a?b=c", "b=c")


def test_the_asterisk_belongs_to_options(server: Server) -> None:
    """OPTIONS * reaches the application as it is, a path that no route has."""
    assert environ_of(server, b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")["PATH_INFO"] == "*"


def test_trailers_are_no_header_fields(server: Server) -> None:
    """Fields after a chunked body never reach the application, and cannot name it a length."""
    body = b"5\r\nhello\r\n0\r\nClient-Cert: :evil:\r\nAuthorization: evil\r\nContent-Length: 1\r\n\r\n"
    found = environ_of(server, b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"\r\n" + body)
    assert "evil" not in str(found)
    assert (found["CONTENT_LENGTH"], "HTTP_TRANSFER_ENCODING" in found) == ("5", False)


@pytest.mark.parametrize(
    "field",
    [
        "Upgrade: h2c",
        "HTTP2-Settings: evil",
        "TE: trailers",
        "Trailer: Client-Cert",
        "Proxy: http://evil",
        "X-Forwarded-Prefix: /evil",
        "X-Script-Name: /evil",
        "X-Real-Ip: 10.0.0.7",
        "X-Original-URL: /evil",
        "X-Rewrite-URL: /evil",
        "X-HTTP-Method-Override: DELETE",
        "X-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "SCRIPT_NAME: /evil",
        "PATH_INFO: /evil",
    ],
)
def test_fields_that_change_the_request_never_arrive(server: Server, field: str) -> None:
    """No header moves the application, overrides the method, upgrades the connection or names a proxy."""
    found = environ_of(server, b"GET /a HTTP/1.1\r\n" + HOST + field.encode() + b"\r\n\r\n")
    assert field.partition(": ")[2] not in found.values()
    assert (found["SCRIPT_NAME"], found["PATH_INFO"], found["REQUEST_METHOD"]) == ("", "/a", "GET")
