"""WebSockets on the one path that is named for them, and what would use that path for another tunnel."""

import asyncio

from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.proxies.arrivals import Arrival, arrivals, arrived, at_once
from tests.support.proxies.channels import H2_REQUEST, H2C, WEBSOCKET
from tests.support.proxies.clients import tls_context
from tests.support.proxies.deployment import Stand
from tests.support.proxies.judgements import bearer
from tests.support.proxies.wire import LAST
from tests.support.tls_servers import Client

ATTACKS = tuple(
    f"{line}\r\nHost: localhost\r\nAuthorization: Bearer TOKEN\r\nConnection: Upgrade\r\n{fields}\r\n"
    for line, fields in (
        ("GET /socket HTTP/1.1", f"Upgrade: h2c\r\n{H2C}"),
        ("GET /socket HTTP/1.1", f"Upgrade: h2c\r\n{H2C}{WEBSOCKET}"),
        ("GET /socket HTTP/1.1", f"Upgrade: websocket, h2c\r\n{H2C}{WEBSOCKET}"),
        ("GET /socket HTTP/1.1", f"Upgrade: h2c, websocket\r\n{H2C}{WEBSOCKET}"),
        ("GET /socket HTTP/1.1", f"Upgrade: h2c\r\nUpgrade: websocket\r\n{H2C}{WEBSOCKET}"),
        ("GET /socket HTTP/1.1", f"Upgrade: websocket\r\nUpgrade: h2c\r\n{H2C}{WEBSOCKET}"),
        ("GET /socket HTTP/1.1", f"Upgrade: websocket/13\r\n{WEBSOCKET}"),
        ("GET /socket HTTP/1.1", "Upgrade: foo\r\n"),
        ("POST /socket HTTP/1.1", f"Content-Length: 0\r\nUpgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /socket HTTP/1.0", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /health HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /invoices HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /socket/ HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /socket/7 HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /SOCKET HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /socket/../health HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /health/../socket HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /health?/socket HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET //socket HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
        ("GET /%73ocket%2f HTTP/1.1", f"Upgrade: websocket\r\n{WEBSOCKET}"),
    )
)


HONEST = "GET /socket HTTP/1.1\r\nHost: localhost\r\nAuthorization: "


def websocket(stand: Stand) -> list[str]:
    """Open a WebSocket as the holder, and hear what was said; then as a thief, and without a certificate."""
    holder = _opened(stand, stand.world.holders["self-signed"], stand.world.bound())
    others = [
        _opened(stand, stand.world.holders["thief"], stand.world.bound()),
        _opened(stand, None, stand.world.bound()),
        _opened(stand, None, ""),
    ]
    assert holder == "hello"
    _assert_plain(stand)
    if not stand.row.is_guarded:  # no gateway: the server behind judges, which here shows what arrives
        assert others == ["401", "401", "401"]
    return ["200"]


def _assert_plain(stand: Stand) -> None:
    """Fail where the path of WebSockets, with an upgrade and without one, does not arrive as it was sent."""
    ask, client = f"{HONEST}{bearer(stand.world.bound())[0][1]}\r\n", stand.world.holders["self-signed"]
    with arrivals(stand) as seen:
        stand.say(f"{ask}\r\n".encode(), client)
        stand.say(f"{ask}Connection: Upgrade\r\nUpgrade: websocket\r\n{WEBSOCKET}\r\n".encode(), client)
    lines = [each["line"] for each in seen if "last" not in each["line"]]
    assert lines == ["GET /socket HTTP/1.1"] * 2


def _opened(stand: Stand, client: Client | None, token: str) -> str:
    """Return what a WebSocket answered, or the status in its place."""
    return asyncio.run(_open(stand, client, token))


async def _open(stand: Stand, client: Client | None, token: str) -> str:
    """Do so in one thread: two threads in one TLS connection, as `websockets.sync` has, hang now and then."""
    try:
        async with connect(
            f"wss://localhost:{stand.ports.tls}/socket",
            ssl=tls_context(stand.world.ca, client),
            additional_headers=dict(bearer(token)) if token else {},
            compression=None,
            proxy=None,
        ) as session:
            await session.send("hello")
            return str(await session.recv())
    except InvalidStatus as error:
        return str(error.response.status_code)


def other_tunnels(stand: Stand) -> list[str]:
    """Ask, as a holder, for anything but a WebSocket on its path, and for one elsewhere."""
    token, client = stand.world.bound(), stand.world.holders["self-signed"]
    pseudo = ((":method", "CONNECT"), (":protocol", "websocket"), *H2_REQUEST[1:3], (":path", "/socket"))
    headers = (("sec-websocket-version", "13"), *((n.lower(), v) for n, v in bearer(token)))
    with arrivals(stand) as seen:
        replies = at_once(lambda each: stand.say(each.replace("TOKEN", token).encode(), client), ATTACKS)
        replies.append(stand.say_h2((*pseudo, *headers), client, tunnel=LAST))
    upgrades = [each for each in seen if arrived(each, "Upgrade") or arrived(each, "HTTP2-Settings")]
    for each in upgrades:
        assert _is_plain(each), f"this is no WebSocket on its path: {each}"
    tunnelled = [each for each in seen if each["is_tunnel"]]
    assert len(tunnelled) <= len(upgrades), tunnelled
    return [each.outcome for each in replies]


def _is_plain(each: Arrival) -> bool:
    """Tell whether this asks for a WebSocket and for nothing else, on the path that is named for it."""
    asks = arrived(each, "Upgrade") == ["websocket"] and arrived(each, "HTTP2-Settings") == []
    return asks and each["line"] == "GET /socket HTTP/1.1"
