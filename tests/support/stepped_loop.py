"""A server's loop that the test steps through: its clock stands still until the test moves it."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from macaroon_cbat.server.limits import Limits
from macaroon_cbat.server.listener import listening_socket
from macaroon_cbat.tls.connection import Connection
from macaroon_cbat.tls.development_ca import development_certificates
from macaroon_cbat.tls.loop import Loop
from macaroon_cbat.tls.server_certificate import ServerCertificate
from macaroon_cbat.tls.site import Site, removed_keys
from tests.support.tls_application import make_application


class Stepped:
    """A loop without threads: requests stay in its queue until `serve` runs one."""

    def __init__(self, folder: Path, limits: Limits, application: Any = None) -> None:
        files = self.files = development_certificates(folder)
        self.listener = listening_socket("127.0.0.1", 0)
        self._events: Any = asyncio.SelectorEventLoop()
        self._seconds = 0.0
        site = Site(application or make_application(folder), "localhost", 1, False, removed_keys(()))
        self.loop = Loop(
            [self.listener],
            ServerCertificate(files.certificate, files.key),
            site,
            limits,
            1,
            on_end=lambda: None,
            events=self._events,
            now=lambda: self._seconds,
        )
        self.clients: list[SteppedClient] = []

    def at(self, seconds: float) -> None:
        """Let it be that late, and do what is due."""
        self._seconds = seconds
        self.loop.on_tick()
        self.turn()

    def turn(self) -> None:
        """Handle what the sockets are ready for until nothing is left."""
        while self._events._ready or self._events._selector.select(0):
            self._events.call_soon(self._events.stop)
            self._events.run_forever()

    def serve(self) -> None:
        """Run one request as a thread would."""
        assert len(self.loop._requests)
        exchange = self.loop._requests.take()
        assert exchange is not None
        exchange.run()
        self.turn()

    def client(self, certificate: Path | None = None) -> "SteppedClient":
        """Return a client that has shaken hands, with this certificate."""
        client = self.caller(certificate)
        client.shake_hands()
        return client

    def caller(self, certificate: Path | None = None) -> "SteppedClient":
        """Return a client that has said nothing yet."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        connection = self.loop.welcome(ours, ("192.0.2.7", 1))
        self.turn()
        trust = ssl.create_default_context(cafile=self.files.ca)
        if certificate is not None:
            trust.load_cert_chain(certificate)
        client = SteppedClient(self, connection, theirs, trust)
        self.clients.append(client)
        return client

    def close(self) -> None:
        """Close every socket."""
        self.loop._end()
        self.listener.close()
        for client in self.clients:
            client.sock.close()


class SteppedClient:
    """The other end of a connection."""

    def __init__(
        self, stepped: Stepped, connection: Connection, sock: socket.socket, trust: ssl.SSLContext
    ) -> None:
        self.stepped, self.connection, self.sock = stepped, connection, sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: Any = trust.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self.received = b""

    def shake_hands(self) -> None:
        """Complete the handshake."""
        for _ in range(4):
            self.step()
            self._exchange()

    def step(self) -> None:
        """Go on with the handshake; what there is to say stays unsent."""
        with suppress(ssl.SSLError):
            self._tls.do_handshake()

    def write(self, plaintext: bytes) -> None:
        """Encrypt this; it stays unsent."""
        self._tls.write(plaintext)

    def unsent(self) -> bytes:
        """Remove and return the records that were not sent."""
        found: bytes = self._outgoing.read()
        return found

    def send_records(self, records: bytes) -> None:
        """Send these bytes as they are."""
        self.sock.sendall(records)
        self.stepped.turn()
        self.look()

    def send(self, plaintext: bytes) -> None:
        """Send as much as the socket takes; the server does what it can with it."""
        for start in range(0, len(plaintext), 16384):
            self._tls.write(plaintext[start : start + 16384])
            self._exchange()

    def _exchange(self) -> None:
        with suppress(OSError):
            self.sock.sendall(self._outgoing.read())
        self.stepped.turn()
        self.look()

    def look(self) -> bytes:
        """Return all that the server has sent."""
        with suppress(OSError):
            while piece := self.sock.recv(65536):
                self._incoming.write(piece)
        with suppress(ssl.SSLError):
            while piece := self._tls.read(65536):
                self.received += piece
        return self.received

    @property
    def is_served(self) -> bool:
        """Tell whether the server still has this connection and means to keep it."""
        return not self.connection.link.is_closing()


@contextmanager
def stepped(folder: Path, application: Any = None, **limits: Any) -> Iterator[Stepped]:
    """Give a loop to step through, which serves the usual application or this one."""
    found = Stepped(folder, Limits(**limits), application)
    try:
        yield found
    finally:
        found.close()
