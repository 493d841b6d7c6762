"""The application of the tests: it tells what it saw, and misbehaves on request."""

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE, PEER_INTERMEDIATES
from macaroon_cbat.server.parking import park_of

Answer = tuple[str, bytes]
MADE_IN = os.getpid()
BIG = bytes(range(256)) * 20_000


def make_application(folder: Path) -> Callable[..., Iterable[bytes]]:
    """Return the application; `folder` is where /wait meets the test."""
    made_in = os.getpid()

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/stream":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return (b"part %d\n" % number for number in range(5))
        if path == "/broken":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return _breaking()
        if path in {"/short", "/nothing"}:
            start_response("200 OK", [("Content-Length", "100")])
            return [b"half of it"] if path == "/short" else []
        if path == "/huge":
            start_response("200 OK", [("Content-Length", str(len(BIG) * 8))])
            return (BIG for _ in range(8))
        if path == "/patient":
            return _wait_for_the_stop(folder, environ)
        if path == "/file":
            start_response("200 OK", [("Content-Length", str(len(BIG)))])
            (folder / "big").write_bytes(BIG)
            wrapper: Callable[..., Iterable[bytes]] = environ["wsgi.file_wrapper"]
            return wrapper((folder / "big").open("rb"))
        body = _answer(path, environ, folder, made_in)
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    return application


def _answer(path: str, environ: dict[str, Any], folder: Path, made_in: int) -> bytes:
    if path == "/big":
        return BIG
    if path == "/download":
        return BIG[: 1 << 19]
    if path == "/fail":
        raise OSError("the secret reason")
    if path == "/exit":
        raise SystemExit(3)
    if path == "/crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/wait":
        _wait(folder)
    if path == "/echo":
        body = environ["wsgi.input"].read()
        return json.dumps({"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}).encode()
    return json.dumps(
        {
            "certificate": _hex(environ[PEER_CERTIFICATE]),
            "intermediates": [one.hex() for one in environ[PEER_INTERMEDIATES]],
            "environ": {key: value for key, value in environ.items() if isinstance(value, str | bool | int)},
            "pid": os.getpid(),
            "made_in": made_in,
        }
    ).encode()


def _hex(certificate: bytes | None) -> str | None:
    return None if certificate is None else certificate.hex()


def _wait(folder: Path) -> None:
    """Tell the test that the request is being served, and wait until the test has opened the other pipe."""
    (folder / "entered").write_bytes(b"")
    with (folder / "gate").open("rb") as gate:
        gate.read()


def _wait_for_the_stop(folder: Path, environ: dict[str, Any]) -> Iterable[bytes]:
    """Tell the test that the request is being served, and wait until the server stops."""
    park = park_of(environ)
    assert park is not None
    parked = park(3600, lambda: parked.finish("200 OK", [], b"stopping"))
    assert parked is not None
    (folder / "entered").write_bytes(b"")
    return []


def _breaking() -> Iterable[bytes]:
    yield b"half of it"
    raise RuntimeError("the other half")
