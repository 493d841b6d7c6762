"""Clients that stall, in a process of their own: `python -m tests.support.stallers PORT CA N KIND...`.

Says as JSON, once N of each kind were connected, how many were let stay, and at the end how long each lasted.
Input on stdin or SECONDS end it.
"""

import asyncio
import json
import resource
import socket
import ssl
import sys
import time
from contextlib import suppress

SECONDS = 40
EARLY = 3
"""Seconds before which no deadline of the server ends a client; some may have come while the last connect."""
AT_ONCE = 100
HEADER = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
DOWNLOAD = b"GET /download HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Staller(asyncio.Protocol):
    """One client; it notes when it was cut off."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.began = time.monotonic()
        self.lasted: float | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Stall in the way of this kind."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.began = time.monotonic()
        if self.kind == "half a hello":
            transport.write(HELLO[: len(HELLO) // 2])
        elif self.kind == "hello":
            transport.write(HELLO)
        elif self.kind == "slow header":
            transport.write(HEADER)
        elif self.kind == "slow body":
            transport.write(BODY)
        elif self.kind == "slow reader":
            transport.write(DOWNLOAD)
            transport.pause_reading()

    def connection_lost(self, _error: Exception | None) -> None:
        """Note the time."""
        if self.lasted is None:
            self.lasted = time.monotonic() - self.began

    def was_let_stay(self) -> bool:
        """Return True if it is connected, or was until a deadline of the server."""
        return self.lasted is None or self.lasted >= EARLY

    def trickle(self) -> None:
        """Send one byte, if that is this one's way; look whether the socket of a reader is still good."""
        if self.lasted is not None or self.transport is None:
            return
        if self.kind in {"slow header", "slow body"}:
            self.transport.write(b"a")
        elif self.kind == "slow reader":
            sock = self.transport.get_extra_info("socket")
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self.connection_lost(None)


def hello(context: ssl.SSLContext) -> bytes:
    """Return a whole ClientHello."""
    outgoing = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost").do_handshake()
    return outgoing.read()


async def connect(port: int, kind: str, context: ssl.SSLContext, gate: asyncio.Semaphore) -> Staller:
    """Return a new staller."""
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    if kind == "slow reader":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    found = Staller(kind)
    secured = {"ssl": context, "server_hostname": "localhost"} if kind.startswith("slow") else {}
    try:
        async with gate:
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.create_connection(lambda: found, sock=sock, **secured)  # type: ignore[call-overload]  # keywords as a value
    except OSError:
        # A full house drops a client that is slow to shake hands.
        sock.close()
        found.lasted = 0
    return found


async def main(port: int, context: ssl.SSLContext, count: int, kinds: list[str]) -> None:
    """Stall until all are cut off."""
    gate = asyncio.Semaphore(AT_ONCE)
    # Those that need a handshake first: it takes the longest.
    stallers: list[Staller] = []
    for kind in sorted(kinds, key=lambda kind: not kind.startswith("slow")):
        stallers += await asyncio.gather(*(connect(port, kind, context, gate) for _ in range(count)))
    standing = {kind: sum(s.kind == kind and s.was_let_stay() for s in stallers) for kind in kinds}
    say({"standing": standing})
    began = time.monotonic()
    while time.monotonic() < began + SECONDS and any(staller.lasted is None for staller in stallers):
        for staller in stallers:
            staller.trickle()
        await asyncio.sleep(1)
    say(
        {
            kind: {
                "still there": sum(s.kind == kind and s.lasted is None for s in stallers),
                "lasted": round(max(s.lasted or SECONDS for s in stallers if s.kind == kind), 1),
            }
            for kind in kinds
        }
    )


def say(what: object) -> None:
    """Tell the test."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    trusting = ssl.create_default_context(cafile=sys.argv[2])
    HELLO = hello(trusting)
    asyncio.run(main(int(sys.argv[1]), trusting, int(sys.argv[3]), sys.argv[4:]))
