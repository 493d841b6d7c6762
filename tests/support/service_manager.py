"""A service manager as systemd is one: it hears what a service says, and hands sockets to it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.support import fork_server
from tests.support.service_process import ENVIRONMENT, ROOT
from tests.support.tls_servers import SECONDS, end

_HANDING = """
import os, sys
count, names, *command = sys.argv[1:]
far = [os.dup(int(one)) for one in os.environ.pop("SOCKETS").split()]
above = 3 + len(far)
far = [one if one >= above else os.dup(one) for one in far]
for number, one in enumerate(far):
    os.dup2(one, 3 + number)
os.environ.update(LISTEN_FDS=count, LISTEN_FDNAMES=names, LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""


class Manager:
    """The end of NOTIFY_SOCKET at which a service manager listens."""

    def __init__(self, folder: Path) -> None:
        """Listen in this folder."""
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(os.fspath(self.path))
        self._socket.settimeout(SECONDS)

    def hear(self) -> dict[str, str]:
        """Return the next message, by its names."""
        lines = self._socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def hear_until(self, name: str) -> list[dict[str, str]]:
        """Return the messages up to the first that has this name."""
        heard = [self.hear()]
        while name not in heard[-1]:
            heard.append(self.hear())
        return heard

    def close(self) -> None:
        """End."""
        self._socket.close()


@contextmanager
def managed(
    command: Sequence[str],
    folder: Path,
    *,
    sockets: Mapping[str, socket.socket] | None = None,
    **variables: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m` with these words as a service manager does, with these sockets from descriptor 3 on."""
    words = [sys.executable, "-m", *command]
    passed: list[int] = []
    around = {**ENVIRONMENT, **variables}
    if sockets is not None:
        passed = [sock.fileno() for sock in sockets.values()]
        around["SOCKETS"] = " ".join(map(str, passed))
        words = [sys.executable, "-c", _HANDING, str(len(passed)), ":".join(sockets), *words]
    # One that is handed sockets begins with `exec`, which a forked interpreter cannot do for it.
    start = partial(subprocess.Popen, pass_fds=passed) if passed else fork_server.Popen
    with (folder / "log").open("ab") as log:
        process = start(words, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=around)
    try:
        yield process
    finally:
        end(process)
