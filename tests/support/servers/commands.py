"""The commands by which people start servers, with TLS and without, and what a guard then says to them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import fork_server
from tests.support.ports import free_port
from tests.support.servers.running import Server, answering

ROOT = Path(__file__).parents[3]
_APPS = "tests.support.servers.newcomers"
_FLASK = f"python -m flask --app {_APPS}:flask_app run --port PORT"
_UVICORN = f"python -m uvicorn {_APPS}:fastapi_app --port PORT"
_GUNICORN = "python -m gunicorn --no-control-socket --bind 127.0.0.1:PORT"
_HYPERCORN = f"python -m hypercorn {_APPS}:fastapi_app --workers 0 --bind 127.0.0.1:PORT"
_GRANIAN = "granian --host 127.0.0.1 --port PORT"
_FILES = "--certfile CERT --keyfile CERT"
_SCRIPT = "python -m tests.support.servers.newcomer_servers"


@dataclass(frozen=True)
class Command:
    """One way to start a server."""

    words: str
    """A command as a newcomer types it; PORT, CERT and CA stand for what a test fills in."""
    remedy: str = ""
    """Part of the one ERROR, where the server shows no client certificates."""
    is_tls: bool = True
    is_forked: bool = True
    """Whether a process may run it that has imported the frameworks; gevent must come before them."""


ASGI_REMEDY = "let a proxy terminate TLS"
HIDING = {
    "uvicorn": Command(f"{_UVICORN} --ssl-certfile CERT", "start uvicorn with --uds"),
    "uvicorn that asks": Command(
        f"{_UVICORN} --ssl-certfile CERT --ssl-cert-reqs 1 --ssl-ca-certs CA", "start uvicorn with --uds"
    ),
    "uvicorn with httptools": Command(f"{_UVICORN} --ssl-certfile CERT --http httptools", "--http h11"),
    "hypercorn": Command(f"{_HYPERCORN} {_FILES}", "start hypercorn with --bind unix:"),
    "granian": Command(
        f"{_GRANIAN} --interface asgi --ssl-certificate CERT --ssl-keyfile CERT {_APPS}:fastapi_app",
        "start granian with --uds",
    ),
    "daphne": Command(
        f"daphne -e ssl:PORT:interface=127.0.0.1:privateKey=CERT:certKey=CERT {_APPS}:fastapi_app",
        "start daphne with -u",
    ),
    "gunicorn for ASGI": Command(f"{_GUNICORN} -k asgi {_FILES} {_APPS}:fastapi_app", "a secret"),
    "gunicorn": Command(f"{_GUNICORN} {_FILES} {_APPS}:flask_app", "--cert-reqs 1 --ca-certs"),
    "gunicorn with threads": Command(
        f"{_GUNICORN} -k gthread {_FILES} {_APPS}:flask_app", "--cert-reqs 1 --ca-certs"
    ),
    "gunicorn with gevent": Command(
        f"{_GUNICORN} -k gevent {_FILES} {_APPS}:flask_app", "--cert-reqs 1 --ca-certs", is_forked=False
    ),
    "gunicorn with Django": Command(f"{_GUNICORN} {_FILES} {_APPS}:django_app", "--cert-reqs 1 --ca-certs"),
    "flask run": Command(f"{_FLASK} --cert CERT --key CERT", "flask run"),
    "hypercorn for WSGI": Command(
        f"{_HYPERCORN.replace(_APPS, 'wsgi:' + _APPS).replace('fastapi', 'flask')} {_FILES}", "tls.serve"
    ),
    "granian for WSGI": Command(
        f"{_GRANIAN} --interface wsgi --ssl-certificate CERT --ssl-keyfile CERT {_APPS}:flask_app",
        "tls.serve",
    ),
    "gevent": Command(f"{_SCRIPT} gevent PORT CERT", "tls.serve"),
    "cheroot": Command(f"{_SCRIPT} cheroot PORT CERT", "tls.serve"),
    "waitress that says https": Command(
        f"waitress-serve --listen 127.0.0.1:PORT --url-scheme https {_APPS}:flask_app",
        "macaroon_cbat.tls.serve",
        is_tls=False,
    ),
    "uvicorn without TLS": Command(_UVICORN, "start uvicorn with --uds", is_tls=False),
    "gunicorn without TLS": Command(f"{_GUNICORN} {_APPS}:flask_app", "plain HTTP", is_tls=False),
    "flask run without TLS": Command(_FLASK, "plain HTTP", is_tls=False),
}
"""Servers by which no client certificate reaches an application, whatever the client presents."""

SHOWING = {
    "gunicorn that asks": Command(f"{_GUNICORN} {_FILES} --cert-reqs 1 --ca-certs CA {_APPS}:flask_app"),
    "the embedded server": Command(f"{_SCRIPT} embedded PORT CERT"),
}
"""Servers that show the certificate of a client that has one."""


@contextmanager
def started(command: Command, folder: Path, certificate: Path, authority: Path) -> Iterator[Server]:
    """Run this command until the block ends; the log is what its terminal would show."""
    port = free_port()
    filled = {"PORT": port, "CERT": certificate, "CA": authority}
    text = command.words
    for name, value in filled.items():
        text = text.replace(name, str(value))
    server = Server(str(port), folder / "terminal", is_tls=command.is_tls)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    words, start = [sys.executable, "-m", *_module_of(text.split())], subprocess.Popen
    if command.is_forked:
        words[2:2] = ["tests.support.servers.command"]
        start = fork_server.Popen
    with server.log.open("wb") as log:
        process = start(words, stdout=log, stderr=log, env=environment, cwd=folder)
    with answering(server, process):
        yield server


def _module_of(words: list[str]) -> list[str]:
    """Return the words behind `python -m`, whose module a program of this environment runs as well."""
    if words[:2] == ["python", "-m"]:
        return words[2:]
    return [words[0].removesuffix("-serve"), *words[1:]]
