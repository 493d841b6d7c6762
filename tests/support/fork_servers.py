"""The fork servers of a run: one for each set of the variables that an interpreter reads when it starts.

A process of its own keeps them, so that all processes that run tests use the same: each takes two seconds of
processor time to start.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_LONGEST = 1 << 17


class ForkServers:
    """Starts fork servers, each when it is first needed."""

    def __init__(self) -> None:
        """Start the process that keeps them."""
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            command = [sys.executable, "-m", "tests.support.fork_servers"]
            self._process = subprocess.Popen(command, stdin=its, cwd=ROOT)

    def serve(self, environment: dict[str, str], its: socket.socket) -> None:
        """Have the server for this environment serve the other end of this socket."""
        socket.send_fds(self._socket, [json.dumps(environment, sort_keys=True).encode()], [its.fileno()])

    def end(self) -> None:
        """End the servers when the processes that used them have ended."""
        self._socket.close()
        self._process.wait()


def main() -> None:
    """Hand each socket that standard input brings to the server for its environment."""
    sock = socket.socket(fileno=os.dup(0))
    servers = dict[bytes, tuple[socket.socket, subprocess.Popen[bytes]]]()
    while True:
        environment, fds, _, _ = socket.recv_fds(sock, _LONGEST, 1)
        if not environment:
            break
        if environment not in servers:
            servers[environment] = _start(json.loads(environment))
        socket.send_fds(servers[environment][0], [b"serve"], fds)
        os.close(fds[0])
    sock.close()
    for control, _ in servers.values():
        control.close()
    for _, process in servers.values():
        process.wait()


def _start(environment: dict[str, str]) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    control, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        command = [sys.executable, "-m", "tests.support.fork_server"]
        its_environment = environment | {"PATH": os.environ["PATH"]}
        return control, subprocess.Popen(command, stdin=its, cwd=ROOT, env=its_environment)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
