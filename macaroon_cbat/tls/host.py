"""The loop as its connections and its acceptor see it: so they are written and read without it."""

import asyncio
import socket
from typing import Protocol

from macaroon_cbat.server.limits import Limits
from macaroon_cbat.tls.exchange import Exchange
from macaroon_cbat.tls.held_requests import Holdings
from macaroon_cbat.tls.overload import Turns, Warnings
from macaroon_cbat.tls.request import Request
from macaroon_cbat.tls.rooms import Client, Rooms
from macaroon_cbat.tls.server_certificate import ServerCertificate
from macaroon_cbat.tls.site import Site


class Host(Protocol):
    """The loop of one process, with all that its connections share."""

    certificate: ServerCertificate
    connections: dict[Client, None]
    events: asyncio.AbstractEventLoop
    holdings: Holdings
    limits: Limits
    read_buffer: memoryview
    """The buffer that all sockets are read into."""
    rooms: Rooms
    site: Site
    turns: Turns
    warnings: Warnings

    def now(self) -> float:
        """Return the seconds of its clock."""

    def welcome(self, sock: socket.socket, address: tuple[str, int] | str | bytes, /) -> object:
        """Serve this connection."""

    def new_request(self) -> Request:
        """Return an empty request within the limits."""

    def submit(self, exchange: Exchange, /) -> None:
        """Have a thread serve this request."""

    def withdraw(self, exchange: Exchange, /) -> bool:
        """Have no thread take this request; return False if one has."""

    def post(self, client: Client, /) -> None:
        """Have the loop look at the response of this client in its next turn; any thread may call it."""

    def forget(self, client: Client, /) -> None:
        """Leave out a client that is gone."""
