"""Running services whose files a test replaces, and clients that call them."""

import json
import os
import signal
import ssl
from collections.abc import Callable
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support.certificates import Identity
from tests.support.command_line import Served
from tests.support.tls_servers import wait_until

FORM = {"grant_type": "client_credentials"}


def write(file: Path, *contents: bytes) -> Path:
    """Replace a file as careful tools do: by another one that takes its name."""
    draft = file.with_name(file.name + ".new")
    draft.write_bytes(b"".join(contents))
    draft.replace(file)
    return file


def hang_up(service: Served) -> None:
    os.kill(service.pid, signal.SIGHUP)


def log_of(service: Served) -> str:
    """Return what the service has logged."""
    return (service.data.parent / f"{service.data.name}.log").read_text()


def await_log(service: Served, text: str, count: int = 1) -> None:
    wait_until(lambda: log_of(service).count(text) >= count)


def port_of(service: Served) -> int:
    return int(service.issuer.rpartition(":")[2])


def context(service: Served, client: Path | None = None) -> ssl.SSLContext:
    """Return a client's context that trusts the development CA."""
    made = ssl.create_default_context(cafile=service.data / "ca.pem")
    if client is not None:
        made.load_cert_chain(client)
    return made


def connect(service: Served, client: Path | None = None, host: str = "localhost") -> HTTPSConnection:
    return HTTPSConnection(host, port_of(service), context=context(service, client), timeout=60)


def ask(connection: HTTPSConnection, headers: dict[str, str] | None = None, **form: str) -> tuple[int, Any]:
    """Ask for a token over this connection, which stays open."""
    fields = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
    connection.request("POST", "/oauth2/token", urlencode(FORM | form), fields)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def statuses(
    service: Served,
    client: Path | None,
    headers: dict[str, str] | None = None,
    *,
    workers: int = 2,
    **form: str,
) -> set[int]:
    """Return what new connections are answered: many, so that each of several workers is met."""
    found: set[int] = set()
    made = context(service, client)
    for _ in range(8 if workers > 1 else 2):
        with closing(HTTPSConnection("localhost", port_of(service), context=made, timeout=60)) as connection:
            found.add(ask(connection, headers, **form)[0])
    return found


def identity_file(folder: Path, name: str, identity: Identity, *chain: Identity) -> Path:
    """Write a certificate, its key and what stands above it to one file."""
    content = identity.pem + identity.key_pem + b"".join(one.pem for one in chain)
    return write(folder / f"{name}.pem", content)


def eventually(said: Callable[[], object], wanted: object) -> None:
    """Ask ten times a second until this is said: each time takes many connections."""
    wait_until(lambda: said() == wanted, pause=0.1)
