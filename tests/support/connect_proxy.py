"""An HTTP proxy that opens tunnels (CONNECT) on loopback, and writes down the heads that it was sent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class ConnectProxy:
    """A running proxy."""

    port: int
    answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n"
    heads: list[str] = field(default_factory=list)
    passed: bytes = b""
    """The first bytes that clients sent through."""

    @property
    def url(self) -> str:
        """The value of HTTPS_PROXY, with a user and a password."""
        return f"http://me:pass%20word@127.0.0.1:{self.port}"


@contextmanager
def connect_proxy() -> Iterator[ConnectProxy]:
    """Run a proxy in threads until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = ConnectProxy(listener.getsockname()[1])
        threads = [threading.Thread(target=_accept, args=(proxy, listener), daemon=True)]
        threads[0].start()
        try:
            yield proxy
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            threads[0].join(60)


def _accept(proxy: ConnectProxy, listener: socket.socket) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(proxy, client), daemon=True).start()


def _serve(proxy: ConnectProxy, client: socket.socket) -> None:
    with client, suppress(OSError):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (letter := client.recv(1)):
                return  # gone before its head was whole
            head += letter
        proxy.heads.append(head.decode())
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            client.sendall(proxy.answer)
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            first = client.recv(65536)
            proxy.passed += first
            server.sendall(first)
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
