"""Attacks through what is neither a header nor a path: upgrades, tunnels, trailers."""

from collections.abc import Iterable

from macaroon_cbat.certificate.formats import FORMATS
from tests.support.proxies.arrivals import EVIL, arrivals, assert_harmless, at_once
from tests.support.proxies.clients import Headers
from tests.support.proxies.deployment import Stand
from tests.support.proxies.judgements import PRINCIPAL
from tests.support.proxies.wire import LAST, Raw

HEAD = "GET /health HTTP/1.1\r\nHost: localhost\r\n"
WEBSOCKET = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
H2C = "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
UPGRADES = (
    f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n{H2C}",
    f"Connection: Upgrade\r\nUpgrade: h2c\r\n{H2C}",
    f"Connection: Upgrade\r\nUpgrade: websocket\r\n{WEBSOCKET}",
    f"connection: uPGRADE\r\nUPGRADE: WebSocket\r\n{WEBSOCKET}",
    "Connection: Upgrade\r\nUpgrade: foo/1.0\r\n",
    f"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n{WEBSOCKET}{H2C}",
    f"Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n{WEBSOCKET}{H2C}",
    f"Connection: Upgrade\r\nUpgrade: foo\r\nUpgrade: websocket\r\n{WEBSOCKET}",
    f"Connection: keep-alive\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n{H2C}",
    f"Upgrade: h2c\r\n{H2C}",
    "Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n",
    "Connection: close, Upgrade\r\nUpgrade:\tfoo\r\n",
)
H2_REQUEST: Headers = (
    (":method", "GET"),
    (":scheme", "https"),
    (":authority", "localhost"),
    (":path", "/health"),
)
H2_POST: Headers = ((":method", "POST"), *H2_REQUEST[1:])


def upgrade(stand: Stand) -> list[str]:
    """Ask for every kind of upgrade on a public path, then go on in the tunnel."""
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(f"{HEAD}{each}\r\n".encode()), UPGRADES)
        replies += at_once(lambda each: stand.say_h2((*H2_REQUEST, each)), H2_UPGRADES)
    assert_harmless(stand, seen)
    return [each.outcome for each in replies]


H2_UPGRADES = (("upgrade", "h2c"), ("upgrade", "websocket"), ("http2-settings", "AAMAAABk"))
PROTOCOLS = (("websocket",), ("WebSocket",), ("h2c",), ("connect-udp",), ("foo", "websocket"))


def extended_connect(stand: Stand) -> list[str]:
    """Ask for a tunnel through HTTP/2 (RFC 8441), and go on in it."""
    with arrivals(stand) as seen:
        replies = at_once(lambda each: _extended(stand, each, "CONNECT", tunnel=LAST), PROTOCOLS)
        replies += at_once(lambda each: _extended(stand, each, "GET"), PROTOCOLS)
    assert_harmless(stand, seen)
    return [each.outcome for each in replies]


def _extended(stand: Stand, protocols: Iterable[str], method: str, tunnel: bytes = b"") -> Raw:
    pseudo = ((":method", method), *((":protocol", each) for each in protocols), *H2_REQUEST[1:])
    return stand.say_h2((*pseudo, ("sec-websocket-version", "13")), tunnel=tunnel)


FORBIDDEN = (
    *dict.fromkeys(name for form in FORMATS.values() for name in (form.header, *form.companions)),
    *PRINCIPAL,
    *("Proxysecret", "Authorization", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto"),
    *("X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host", "Script-Name", "X-Other"),
)
"""The names of the trailers: headers of ours, and one that no server reads."""


def trailers(stand: Stand) -> list[str]:
    """Send each header of ours as a trailer, declared and not, under its name and its aliases."""
    plain = tuple((name, EVIL) for name in FORBIDDEN)
    aliases = tuple((name.replace("-", "_"), EVIL) for name in (*FORBIDDEN, "Principal-client"))
    framing = (("Host", EVIL), ("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("Upgrade", "h2c"))
    with arrivals(stand) as seen:
        sets = (plain, aliases, framing)
        replies = at_once(lambda each: _chunked(stand, each), sets)
        replies += at_once(lambda each: _chunked(stand, each, declare=True), sets)
        replies += at_once(lambda each: _chunked(stand, each, length="Content-Length: 5\r\n"), sets)
        replies += at_once(lambda each: _h2(stand, each), sets)
        replies += at_once(lambda each: _h2(stand, each, (("content-length", "5"),)), sets)
        replies += at_once(lambda each: _h2(stand, each, body=b""), sets)
    assert_harmless(stand, seen)
    return [each.outcome for each in replies]


def _chunked(stand: Stand, fields: Headers, *, declare: bool = False, length: str = "") -> Raw:
    declared = f"TE: trailers\r\nTrailer: {', '.join(n for n, _ in fields)}\r\n" if declare else ""
    after = "".join(f"{name}: {value}\r\n" for name, value in fields)
    head = f"POST /health HTTP/1.1\r\nHost: localhost\r\n{length}Transfer-Encoding: chunked\r\n{declared}\r\n"
    return stand.say(f"{head}5\r\nhello\r\n0\r\n{after}\r\n".encode())


def _h2(stand: Stand, fields: Headers, more: Headers = (), body: bytes = b"hello") -> Raw:
    lower = tuple((name.lower(), value) for name, value in fields)
    return stand.say_h2((*H2_POST, *more), body=body, trailers=lower)


def body_of_unknown_length(stand: Stand) -> list[str]:
    """Send an honest body without its length; it arrives whole, or is refused where it is long."""
    head = "POST /health HTTP/1.1\r\nHost: localhost\r\n"
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n"
    long = "x" * 40_000  # more than one buffer of a proxy
    texts = [
        f"{chunked}5\r\nhello\r\n0\r\n\r\n",
        f"{head}Content-Length: {len(long)}\r\n\r\n{long}",
        f"{chunked}{len(long):x};a=b\r\n{long}\r\n0\r\n\r\n",
    ]
    with arrivals(stand) as seen:
        replies = [stand.say_h2(H2_POST, body=b"hello")]
        replies += [stand.say(text.encode()) for text in texts]
    assert_harmless(stand, seen)
    bodies = [each["body"] for each in seen if each["line"].startswith("POST")]
    assert bodies == ["hello", "hello", long, long][: len(bodies)], [len(body) for body in bodies]
    assert len(bodies) == sum(reply.outcome == "200" for reply in replies)
    return [each.outcome for each in replies]
