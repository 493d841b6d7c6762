"""Services that accept and never answer, or answer a byte at a time: real TLS, in a thread."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from macaroon_cbat.client.line import Secured
from macaroon_cbat.tls.development_ca import development_certificates

Temper = Callable[["Silent", ssl.SSLSocket], None]
Result = TypeVar("Result")


@dataclass
class Silent:
    """One service: where it is, and what was asked of it."""

    port: int
    ca: Path
    asked: list[bytes] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)
    accepted: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The URL of the service."""
        return f"https://localhost:{self.port}"

    def break_off(self) -> None:
        """Break every connection, by what is no TLS: what was asked is answered no more, not even in part."""
        for one in list(self.accepted):
            with suppress(OSError):
                one.sendall(b"this is no TLS record")
            _end(one)

    def read(self, connection: ssl.SSLSocket) -> bytes:
        """Read one request, head and all; return its body."""
        return self.read_whole(connection).partition(b"\r\n\r\n")[2]

    def read_whole(self, connection: ssl.SSLSocket) -> bytes:
        """Read one request and return it: another connection may have added to `asked` meanwhile."""
        data = b""
        while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [
            int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        ]
        while len(body) < sum(lengths) and (piece := connection.recv(65536)):
            body += piece
        whole = head + b"\r\n\r\n" + body
        self.asked.append(whole)
        return whole


def never(service: Silent, connection: ssl.SSLSocket) -> None:
    """Read the request, and say nothing."""
    service.read(connection)
    service.is_over.wait()


def drop_by_drop(service: Silent, connection: ssl.SSLSocket) -> None:
    """Answer one byte after the other, slowly, for ever."""
    service.read(connection)
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
        while not service.is_over.wait(0.1):
            connection.sendall(b" ")


def drop_by_drop_in_the_head(service: Silent, connection: ssl.SSLSocket) -> None:
    """Do not even end the header."""
    service.read(connection)
    with suppress(OSError):
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not service.is_over.wait(0.1):
            connection.sendall(b"x")


@contextmanager
def silent_service(folder: Path, temper: Temper) -> Iterator[Silent]:
    """Run it until the block ends; each connection is served by this temper in a thread of its own."""
    files = development_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.sslsocket_class = Secured  # a client may reset its connection first
    with socket.create_server(("127.0.0.1", 0)) as listener:
        service = Silent(listener.getsockname()[1], folder / "ca.pem")
        threads = [threading.Thread(target=_accept, args=(service, listener, context, temper))]
        threads[0].start()
        try:
            yield service
        finally:
            service.is_over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for one in service.accepted:
                _end(one)
            threads[0].join()


def _accept(service: Silent, listener: socket.socket, context: ssl.SSLContext, temper: Temper) -> None:
    serving = []
    with suppress(OSError):
        while not service.is_over.is_set():
            raw, _ = listener.accept()
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what was sent is there
            serving.append(threading.Thread(target=_serve, args=(service, raw, context, temper)))
            serving[-1].start()
    for thread in serving:
        thread.join()


def _serve(service: Silent, raw: socket.socket, context: ssl.SSLContext, temper: Temper) -> None:
    raw.settimeout(20)
    twin = raw.dup()  # by which the connection can be ended from outside
    service.accepted.append(twin)
    try:
        with suppress(OSError), context.wrap_socket(raw, server_side=True) as connection:
            temper(service, connection)
    finally:
        _end(twin)
        twin.close()


def _end(twin: socket.socket) -> None:
    with suppress(OSError):
        twin.shutdown(socket.SHUT_RDWR)


TEMPERS: tuple[Temper, ...] = (never, drop_by_drop, drop_by_drop_in_the_head)


def at_each_temper(folder: Path, do: Callable[[Path, Temper], Result]) -> list[Result]:
    """Do this for each temper at the same time, each with a folder of its own; return the results."""

    def do_one(temper: Temper) -> Result:
        (own := folder / temper.__name__).mkdir()
        return do(own, temper)

    with ThreadPoolExecutor(len(TEMPERS)) as pool:
        return list(pool.map(do_one, TEMPERS))
