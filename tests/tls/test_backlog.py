"""The responses that a process keeps for slow readers have one bound, however fast threads make them."""

import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

from tests.support.tls_application import BIG
from tests.support.tls_servers import SECONDS, Server, read_to_end, running

UNREAD = 20_000_000
READERS = 100
THREADS = 4


def slow_reader(server: Server, path: str) -> ssl.SSLSocket:
    """Ask for this, over a connection that takes little before it is read."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    raw.settimeout(SECONDS)
    raw.connect(("127.0.0.1", server.port))
    connection = server.context().wrap_socket(raw, server_hostname="localhost")
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    return connection


def most_bytes(server: Server) -> int:
    """Return the most memory that the server has taken up so far."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text().splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


def test_a_rush_of_slow_readers_is_bounded(tmp_path: Path) -> None:
    """Of half a gigabyte that slow readers ask for at once a tenth is kept, and others are served."""
    with running(tmp_path, threads=THREADS, limits={"unread_bytes": UNREAD}) as server, ExitStack() as stack:
        assert server.ask("/big").body == BIG
        before = most_bytes(server)
        for _ in range(READERS):
            stack.enter_context(slow_reader(server, "/big"))
        assert server.ask("/big").body == BIG
        # Each thread has one response in its hands, and another copy of it on its way to the queue.
        assert most_bytes(server) - before < UNREAD * 5 // 4 + 2 * THREADS * len(BIG) + 30_000_000


def test_a_file_takes_up_nothing(tmp_path: Path) -> None:
    """The slow reader of a file that is longer than what may be left unread is not dropped for its length."""
    limits = {"unread_bytes": 300_000}
    with running(tmp_path, limits=limits) as server, slow_reader(server, "/file") as connection:
        begun = connection.recv(1 << 12)
        time.sleep(1)  # several times as often as slow readers are looked for
        assert (begun + read_to_end(connection)).endswith(BIG)
