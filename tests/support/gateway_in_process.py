"""The gateway's HTTP protocol in the process of the test, over a real transport."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macaroon_cbat.gateway.dispatcher import Dispatcher
from macaroon_cbat.gateway.http_connection import HttpConnection
from macaroon_cbat.gateway.policy_in_force import load_policy, put_in_force
from tests.support.gateway_process import RULES, replace_policy
from tests.support.tls_servers import SECONDS
from tests.support.tokens import API


@dataclass
class Opened:
    """One connection of a proxy to the gateway's protocol."""

    connection: HttpConnection
    transport: asyncio.Transport
    proxy: socket.socket

    def comes(self, data: bytes) -> float:
        """Let these bytes arrive; return a time that is not before their arrival."""
        self.connection.data_received(data)
        return asyncio.get_running_loop().time()

    async def answers(self) -> bytes:
        """Return all that the proxy gets until the connection ends."""
        received = b""
        while piece := await self.takes():
            received += piece
        return received

    async def takes(self) -> bytes:
        """Return what the proxy gets next, or nothing at the end."""
        receiving = asyncio.get_running_loop().sock_recv(self.proxy, 1 << 16)
        return await asyncio.wait_for(receiving, SECONDS)


Pair = tuple[socket.socket, socket.socket]


def over_tcp() -> Pair:
    """Return the two ends of a connection over loopback, where a reset takes the answer with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        return listener.accept()[0], theirs


@asynccontextmanager
async def opened(deciding: Dispatcher, pair: Callable[[], Pair] = socket.socketpair) -> AsyncIterator[Opened]:
    """Connect a proxy, over a Unix socket unless told otherwise."""
    ours, theirs = pair()
    theirs.setblocking(False)
    make = lambda: HttpConnection(deciding, {}, is_unix_socket=True, limit=10)  # noqa: E731
    transport, connection = await asyncio.get_running_loop().connect_accepted_socket(make, ours)
    with theirs:
        yield Opened(connection, transport, theirs)
        transport.abort()


def deciding_by(folder: Path, proxy: dict[str, Any] | None = None, **means: Any) -> Dispatcher:
    """Decide by a policy file in this folder; HAProxy asks unless another proxy is named."""
    fields = {"audience": API, "listen": {"http": "unix:x.sock"}, **means}
    proxy = proxy or {"kind": "haproxy", "trust": ["unix"]}
    return Dispatcher(put_in_force(load_policy(replace_policy(folder, RULES, **fields, proxy=proxy))))
