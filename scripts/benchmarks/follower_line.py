"""One TLS connection in asyncio, which knows when the kernel received what it has read.

A process of thousands of followers reads their answers one after the other; each of them came earlier.
"""

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
_SO_TIMESTAMPNS = 35  # Linux: the kernel's time of what is read, CLOCK_REALTIME
_TIMESPEC = struct.Struct("ll")


class Gone(Exception):
    """The service has ended a connection."""


class Line:
    """A connection to the service."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext) -> None:
        self._raw = raw
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.came_at = 0.0
        """The second since the epoch in which the newest bytes came, as `time.time` counts."""

    async def shake_hands(self) -> None:
        """Begin TLS."""
        await self._done(self._tls.do_handshake)

    async def send(self, data: bytes) -> None:
        """Send a request."""
        await self._done(lambda: self._tls.write(data))

    async def receive(self) -> bytes:
        """Return the next bytes of an answer, or raise Gone."""
        data = await self._done(lambda: self._tls.read(65536))
        if not data:
            raise Gone("it has ended the connection")
        return data

    def close(self) -> None:
        """Close the connection."""
        self._raw.close()

    async def _done(self, act: Callable[[], Result]) -> Result:
        """Return what the act gives, once enough bytes have come for it."""
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await asyncio.get_running_loop().sock_sendall(self._raw, data)

    async def _fill(self) -> None:
        await _readable(self._raw)
        data, told, _, _ = self._raw.recvmsg(65536, 64)
        if not data:
            raise Gone("it has ended the connection")
        self.came_at = time.time()
        for level, kind, value in told:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                self.came_at = seconds + nanoseconds / 1e9
        self._incoming.write(data)


async def connected(port: int, context: ssl.SSLContext) -> Line:
    """Return a new connection, its handshake done."""
    raw = socket.socket()
    raw.setblocking(False)
    try:
        raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = Line(raw, context)
        await line.shake_hands()
    except BaseException:
        raw.close()
        raise
    return line


async def _readable(raw: socket.socket) -> None:
    loop, number = asyncio.get_running_loop(), raw.fileno()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(number, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(number)
