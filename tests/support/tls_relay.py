"""A relay before several service processes: it passes TLS on, as it is, to the one that it is set to."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Gate:
    """Listens on a port of its own; `target` is the port that new connections are led to."""

    def __init__(self) -> None:
        """Listen; no connection is passed on yet."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port: int = self._listener.getsockname()[1]
        self.target = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=_connect, args=(client, self.target), daemon=True).start()


def _connect(client: socket.socket, target: int) -> None:
    """Pass on in both directions until one of them ends; a service that is away is a closed connection."""
    with client, suppress(OSError), socket.create_connection(("127.0.0.1", target), 5) as service:
        service.settimeout(None)
        back = threading.Thread(target=_pass_on, args=(service, client), daemon=True)
        back.start()
        _pass_on(client, service)
        back.join()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends, which then ends the other direction too."""
    with suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    for one in (source, sink):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


@contextmanager
def gate() -> Iterator[Gate]:
    """Open a gate until the block ends."""
    one = Gate()
    try:
        yield one
    finally:
        one.close()
