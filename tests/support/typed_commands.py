"""The command `macaroon-cbat` for shell scripts, forked from a process with the package imported already.

A folder for the front of PATH has a small program by the command's name. It hands its arguments, folder,
environment and standard files to this process, which forks the command, and ends with its exit status.
"""

import marshal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support import fork_server
from tests.support.service_process import ENVIRONMENT

_LONGEST = 1 << 17
_PROGRAM = """\
#!{python} -IS
import _socket, array, marshal, os, sys
sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
sock.connect({address!r})
message = marshal.dumps((sys.argv[1:], os.getcwd(), dict(os.environ)))
sock.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))])
sys.exit(int(sock.recv(16)))
"""


@contextmanager
def typed_commands() -> Iterator[Path]:
    """Give the folder for the front of PATH; its path is short, as that of a socket must be."""
    with TemporaryDirectory(prefix="typed-") as name, closing(_listener(f"{name}/socket")) as listener:
        command = Path(name, "macaroon-cbat")
        command.write_text(_PROGRAM.format(python=sys.executable, address=f"{name}/socket"))
        command.chmod(0o755)
        accepting = threading.Thread(target=_accept, args=(listener,))
        accepting.start()
        try:
            yield Path(name)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _listener(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    return listener


def _accept(listener: socket.socket) -> None:
    while True:
        try:
            typed, _ = listener.accept()
        except OSError:  # it is shut down
            return
        threading.Thread(target=_run, args=(typed,), daemon=True).start()


def _run(typed: socket.socket) -> None:
    with typed:
        message, files, _, _ = socket.recv_fds(typed, _LONGEST, 3)
        arguments, folder, environment = marshal.loads(message)  # our own program's
        try:
            process = _forked(arguments, folder, environment, files)
        finally:
            for file in files:
                socket.close(file)
        status = process.wait()
        typed.send(str(status if status >= 0 else 128 - status).encode())


def _forked(
    arguments: list[str], folder: str, environment: dict[str, str], files: list[int]
) -> "subprocess.Popen[bytes]":
    stdin, stdout, stderr = files
    command = [sys.executable, "-m", "macaroon_cbat", *arguments]
    # The interpreter is that of these tests, which makes every warning an error.
    kept = {name: value for name, value in environment.items() if not name.startswith("PYTHON")}
    kept |= {name: value for name, value in ENVIRONMENT.items() if name.startswith("PYTHON")}
    return fork_server.Popen(command, cwd=folder, env=kept, stdin=stdin, stdout=stdout, stderr=stderr)
