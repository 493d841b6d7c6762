"""The Unix sockets of servers, and the users that may connect to them, as the guide says it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.guide import FOLDER

APPLICATION = """
def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b""]


async def asgi(scope, receive, send):
    pass
"""
BIN = Path(sys.executable).parent
CHAPTER = " ".join((FOLDER / "behind-a-proxy.md").read_text().split())
FOR_ALL = {
    "uvicorn": "uvicorn --uds {socket} --lifespan off application:asgi",
    "gunicorn": "gunicorn --bind unix:{socket} application:wsgi",
    "daphne": "daphne -u {socket} application:asgi",
}
FOR_THE_OWNER = {
    "hypercorn": "hypercorn --bind unix:{socket} application:asgi",
    "granian": "granian --interface asgi --uds {socket} application:asgi",
    "waitress": "waitress-serve --unix-socket {socket} application:wsgi",
}


def is_open_to_all(command: str, folder: Path) -> bool:
    """Start a server; return True if every user may connect to its socket (write to it, in Linux)."""
    (folder / "application.py").write_text(APPLICATION)
    socket = folder / "server.sock"
    program, *words = command.format(socket=socket).split()
    environment = os.environ | {"PYTHONPATH": str(folder)}
    with subprocess.Popen([BIN / program, *words], cwd=folder, env=environment, umask=0o022) as server:
        try:
            while not socket.exists():
                assert server.poll() is None
                time.sleep(0.05)
            # Some widen the mode once they listen.
            time.sleep(1)
            return socket.stat().st_mode & 0o002 != 0
        finally:
            server.terminate()


@pytest.mark.parametrize(("name", "command"), FOR_ALL.items(), ids=FOR_ALL)
def test_a_socket_for_every_user(name: str, command: str, tmp_path: Path) -> None:
    """The guide warns of each server that lets every user of the host connect to its socket."""
    said, _, _ = CHAPTER.partition(" let every user of the host connect")
    assert name in said.rpartition("**")[2]
    assert is_open_to_all(command, tmp_path)


@pytest.mark.parametrize(("name", "command"), FOR_THE_OWNER.items(), ids=FOR_THE_OWNER)
def test_a_socket_for_its_owner(name: str, command: str, tmp_path: Path) -> None:
    """The guide names the servers whose sockets are for their owner alone."""
    _, _, said = CHAPTER.partition("Those of ")
    assert name in said.partition(" are for their owner")[0]
    assert not is_open_to_all(command, tmp_path)
