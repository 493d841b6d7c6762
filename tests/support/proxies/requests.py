"""Attacks by the request line, by the framing and by headers that servers and frameworks believe."""

from tests.support.proxies.arrivals import EVIL, Arrival, arrivals, arrived, assert_harmless, at_once
from tests.support.proxies.believed import CREDENTIALS, FAMILIES, HONEST, ODD, PARTS
from tests.support.proxies.channels import H2_REQUEST, HEAD
from tests.support.proxies.clients import Headers
from tests.support.proxies.deployment import Stand
from tests.support.tls_servers import Client

TARGETS = (
    "http://localhost?a=b/health",
    "https://localhost?a=b/health",
    "http://localhost#/health",
    "http://localhost\\/health",
    "http://localhost\\@other/health",
    "http://evil@localhost/health",
    "http://localhost@other.example/health",
    "http://other.example/health",
    "http://localhost/health",
    "HTTP://LOCALHOST/health",
    "http://localhost",
    "http:/health",
    "http:health",
    "http:///health",
    "ftp://localhost/health",
    "//localhost/health",
    "localhost:443",
    "health",
    "?a=b/health",
    "*",
    "\\health",
    "/\\health",
    "/health#/invoices",
    "/health\\..\\invoices",
    "/health\x7f",
    "/health\xe9",
    "/health ?x",
)
H2_TARGETS = (*TARGETS, "/health?a HTTP/1.0", "/health?a b", "/health?\t", "/health?a\r\nX-Other: spoofed")
METHODS = (
    *(
        "delete",
        "Get",
        "gET",
        "hEAD",
        "connect",
        "trace",
        "GET,POST",
        "GET\tPOST",
        "GET POST",
        " GET",
        "\tGET",
    ),
    *("G@T", "GET:", "GET/", "GET_X", "GET1", "-GET", "", "GÉT", "GET\x00", "GET\x0b", '"GET"', "A" * 5000),
)
TUNNELS = (
    "CONNECT localhost:443 HTTP/1.1\r\nHost: localhost:443\r\n\r\n",
    "CONNECT /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "CONNECT http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TRACE /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TRACE * HTTP/1.1\r\nHost: localhost\r\n\r\n",
)
HOSTS = (
    "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: spoofed\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
    "GET /health HTTP/1.1\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "GET /health HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET /health\r\n\r\n",
    "GET /health\r\n",
)
NESTED = "POST /invoices HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
_CHUNKS = f"0\r\n\r\n{NESTED}"
FRAMINGS = tuple(
    f"POST /health HTTP/{version}\r\nHost: localhost\r\n{fields}\r\n{body}"
    for version, fields, body in (
        ("1.0", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", _CHUNKS),
        ("1.0", f"Transfer-Encoding: chunked\r\nContent-Length: {len(_CHUNKS)}\r\n", _CHUNKS),
        ("1.2", "Transfer-Encoding: chunked\r\n", _CHUNKS),
        ("2.0", "Transfer-Encoding: chunked\r\n", _CHUNKS),
        ("0.9", "Transfer-Encoding: chunked\r\n", _CHUNKS),
        ("1.1", f"Content-Length: {len(_CHUNKS)}\r\nTransfer-Encoding: chunked\r\n", _CHUNKS),
        ("1.1", f"Transfer-Encoding: chunked\r\nContent-Length: {len(_CHUNKS)}\r\n", _CHUNKS),
        ("1.1", f"Content-Length: {len(_CHUNKS)}\r\nTransfer-Encoding : chunked\r\n", _CHUNKS),
        ("1.1", f"Content-Length: {len(_CHUNKS)}\r\nTransfer-Encoding: xchunked\r\n", _CHUNKS),
        ("1.1", f"Content-Length: {len(_CHUNKS)}\r\nTransfer-Encoding: chunked, identity\r\n", _CHUNKS),
        ("1.1", f"Content-Length: {len(_CHUNKS)}\r\nTransfer-Encoding: identity, chunked\r\n", _CHUNKS),
        ("1.1", f"Content-Length: {len(_CHUNKS)}\r\nTransfer-Encoding:\x0bchunked\r\n", _CHUNKS),
        ("1.1", f"Content-Length: {len(_CHUNKS)}\r\nTransfer_Encoding: chunked\r\n", _CHUNKS),
        ("1.1", f"Content-Length: {len(_CHUNKS)}\r\nTransfer-Encoding:\r\n chunked\r\n", _CHUNKS),
        ("1.1", f"Content-Length: 0\r\nContent-Length: {len(NESTED)}\r\n", NESTED),
        ("1.1", f"Content-Length: {len(NESTED)}\r\nContent-Length: 0\r\n", NESTED),
        ("1.1", f"Content-Length: 0, {len(NESTED)}\r\n", NESTED),
        ("1.1", "Content-Length: +0\r\n", NESTED),
        ("1.1", "Content-Length: -1\r\n", NESTED),
        ("1.1", f"Content-Length: 0x{len(NESTED):x}\r\n", NESTED),
        ("1.1", f"Content_Length: {len(NESTED)}\r\nContent-Length: 0\r\n", NESTED),
    )
)
ADDRESS = "203.0.113.66"
PROXY_LINES = (
    f"PROXY TCP4 {ADDRESS} 127.0.0.1 1 2\r\n".encode(),
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x42\x7f\x00\x00\x01\x00\x01\x00\x02",
)


def targets(stand: Stand, client: Client | None = None) -> list[str]:
    """Write each odd request target: it is judged as the server behind reads it, or refused."""
    head = "HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(f"GET {each} {head}".encode("latin-1"), client), TARGETS)
        replies += at_once(lambda each: stand.say_h2((*H2_REQUEST[:3], (":path", each)), client), H2_TARGETS)
    assert_harmless(stand, seen)
    return [each.outcome for each in replies]


def methods(stand: Stand, client: Client | None = None) -> list[str]:
    """Write methods in other letters, lists, blanks and long ones; no server behind sees one."""
    head = "/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(f"{each} {head}".encode(), client), METHODS)
        replies += at_once(lambda each: stand.say_h2(((":method", each), *H2_REQUEST[1:]), client), METHODS)
    assert_nothing(seen)
    return [each.outcome for each in replies]


def of_an_expired_certificate(stand: Stand) -> list[str]:
    """Write odd methods and targets over a connection whose certificate nginx takes by another way."""
    expired = stand.world.holders["expired"]
    return [*targets(stand, expired), *methods(stand, expired)]


def connect_and_trace(stand: Stand) -> list[str]:
    """Ask for a tunnel, and for an echo of what the proxy adds."""
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(each.encode()), TUNNELS)
        replies += at_once(
            stand.say_h2,
            (
                ((":method", "CONNECT"), (":authority", "localhost:443")),
                ((":method", "CONNECT"), *H2_REQUEST[1:]),
                ((":method", "TRACE"), *H2_REQUEST[1:]),
            ),
        )
    assert_nothing(seen)
    return [each.outcome for each in replies]


def assert_nothing(seen: list[Arrival]) -> None:
    """Fail where anything arrived but the request that ends a conversation."""
    others = [each["line"] for each in seen if each["line"] != "GET /health?last HTTP/1.1"]
    assert others == [], f"reached the server: {others}"


def hosts(stand: Stand) -> list[str]:
    """Name two hosts, none, and over HTTP/2 two that differ."""
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(each.encode()), HOSTS)
        replies += at_once(
            lambda each: stand.say_h2((*H2_REQUEST, *each)),
            ((("host", EVIL),), (("host", "localhost"), ("host", EVIL)), ((":authority", EVIL),)),
        )
    assert_harmless(stand, seen)
    return [each.outcome for each in replies]


def framings(stand: Stand) -> list[str]:
    """Hide a request in a body, by every pair of lengths and by versions that know no chunks."""
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(each.encode()), FRAMINGS)
        replies += at_once(
            lambda each: stand.say_h2(((":method", "POST"), *H2_REQUEST[1:], *each), body=_CHUNKS.encode()),
            ((("transfer-encoding", "chunked"),), (("content-length", "0"),), (("content_length", "0"),)),
        )
    assert_harmless(stand, seen)
    return [each.outcome for each in replies]


def addresses(stand: Stand) -> list[str]:
    """Claim a trusted proxy's address by PROXY protocol, before TLS and in it, and by X-Forwarded-For."""
    names = ("X-Forwarded-For", "x-forwarded-FOR", "X_Forwarded_For", "X.Forwarded.For", "X-Real-Ip")
    claims = (*names, f"X-Forwarded-For: 127.0.0.1\r\n{names[0]}", "Forwarded: for")
    inside = [each + f"{HEAD}\r\n".encode() for each in PROXY_LINES]
    inside += [f"{HEAD}{name}: {ADDRESS}\r\n\r\n".encode() for name in claims]
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(b"", before=each), PROXY_LINES)
        replies += at_once(stand.say, inside)
        replies.append(stand.say_h2((*H2_REQUEST, ("x-forwarded-for", ADDRESS))))
    assert_harmless(stand, seen)
    assert ADDRESS not in str(seen), seen
    return [each.outcome for each in replies]


def headers(stand: Stand) -> list[str]:
    """Write every header that a server or framework believes, on a public path, in every spelling."""
    spellings = [
        tuple((rename(name), EVIL) for name in part)
        for rename in (str, str.upper, lambda n: n.replace("-", "_"), lambda n: n.replace("-", "."))
        for part in PARTS
    ]
    spellings += [((name, EVIL),) for name in (*ODD, *FAMILIES.get(stand.row.proxy, ()))]
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(_with(each)), spellings)
        assert {reply.outcome for reply in replies[: 2 * len(PARTS)]} == {"200"}, "refused, and so not tried"
        replies += at_once(lambda each: stand.say_h2((*H2_REQUEST, *_lower(each))), spellings)
    assert_harmless(stand, seen)
    return [each.outcome for each in replies]


def honest_headers(stand: Stand) -> list[str]:
    """Write what a server must hear from its clients: each header arrives as it was sent.

    Those with credentials arrive where the server judges them, and stay with the gateway otherwise.
    """
    fields = tuple((name, "honest") for name in (*HONEST, *CREDENTIALS))
    arriving = [["honest"]] * len(HONEST) + [["honest"] if stand.row.is_guarded else []] * len(CREDENTIALS)
    with arrivals(stand) as seen:
        replies = [stand.say(_with(fields)), stand.say_h2((*H2_REQUEST, *_lower(fields)))]
    heard = [each for each in seen if "last" not in each["line"]]
    assert [[arrived(each, name) for name, _ in fields] for each in heard] == [arriving] * 2
    return [each.outcome for each in replies]


def _with(fields: Headers) -> bytes:
    return f"{HEAD}{''.join(f'{name}: {value}' + chr(13) + chr(10) for name, value in fields)}\r\n".encode()


def _lower(fields: Headers) -> Headers:
    return tuple((name.lower(), value) for name, value in fields)
