"""One request and its answer, through every adapter, as servers hand requests over (PEP 3333, ASGI)."""

import asyncio
import atexit
import base64
import io
import json
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_to_bytes
from wsgiref.validate import validator

from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from tests.support import adapter_applications as applications
from tests.support.guarded_app import CERTIFICATE
from tests.support.tokens import came_from

ADDRESS = "192.0.2.7"


@dataclass(frozen=True)
class Asked:
    """One request: the target as it stands in the request line, and the connection it comes over."""

    path: str = "/invoices"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    certificate: bytes | None = CERTIFICATE
    root: str = ""
    """The prefix below which the server mounts the application."""
    unix: bool = False
    address: str = ADDRESS
    shown: Mapping[str, Any] = field(default_factory=dict)
    """The keys that the server, or a middleware before the guard, has put into environment or scope."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the one value of a header, or None."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1
        return values[0] if values else None

    def json(self) -> Any:
        """Return the body, which must be JSON."""
        assert self.header("Content-Type") == "application/json"
        return json.loads(self.body)


def through_wsgi(app: Any, asked: Asked) -> Reply:
    """Send a request as waitress does, to an application that must keep to PEP 3333."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": asked.method,
        "SCRIPT_NAME": asked.root,
        "PATH_INFO": unquote_to_bytes(asked.path).decode("latin-1"),
        "QUERY_STRING": "",
        "SERVER_NAME": "api.example",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "waitress",
        **(came_from("localhost", None) if asked.unix else came_from(asked.address)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in asked.headers:
        key = "HTTP_" + name.upper().replace("-", "_")
        if "_" not in name:  # waitress drops these
            environ[key] = f"{environ[key]}, {value}" if key in environ else value
    environ[PEER_CERTIFICATE] = asked.certificate  # the embedded server, which is of waitress's kind
    environ |= asked.shown
    started: list[Any] = []
    parts = validator(app)(environ, lambda *given: started.append(given) or (lambda _: None))
    try:
        body = b"".join(parts)
    finally:
        parts.close()
    status, headers = started[-1][:2]
    return Reply(int(status[:3]), headers, body)


def scope_of(asked: Asked, kind: str = "http", **changes: Any) -> dict[str, Any]:
    """Return the scope of a request as uvicorn makes it, with ASGI's TLS extension."""
    scope = {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "https" if kind == "http" else "wss",
        "path": asked.root + unquote(asked.path),
        "raw_path": (asked.root + asked.path).encode(),
        "query_string": b"",
        "root_path": asked.root,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in asked.headers],
        "client": None if asked.unix else (asked.address, 40_000),
        "server": ("/run/app.sock", None) if asked.unix else ("192.0.2.1", 443),
        "extensions": {"tls": {"client_cert_chain": chain_of(asked.certificate), "client_cert_error": None}},
    }
    if kind == "http":
        scope["method"] = asked.method
    else:
        scope["subprotocols"] = []
    return {**scope, **asked.shown, **changes}


def chain_of(certificate: bytes | None) -> list[str]:
    """Return a certificate and that of its issuer in PEM."""
    if certificate is None:
        return []
    return [pem(certificate), pem(b"its issuer")]


def pem(der: bytes) -> str:
    lines = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"


def messages_of(app: Any, scope: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return whatever an ASGI application sends."""
    loop, sent = _loop(), list[dict[str, Any]]()
    try:
        loop.run_until_complete(exchange(app, scope, sent))
    finally:
        _end_what_is_left(loop)
    return sent


async def exchange(app: Any, scope: Mapping[str, Any], sent: list[dict[str, Any]]) -> None:
    """Send one request to an ASGI application, in the event loop that runs, and add what it sends."""
    waiting = [{"type": "websocket.connect" if scope["type"] == "websocket" else "http.request"}]

    async def receive() -> dict[str, Any]:
        if waiting:
            return waiting.pop()
        await asyncio.sleep(60)
        raise AssertionError("the application reads on after the end of the body")

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(dict(scope), receive, send)


def _end_what_is_left(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel the tasks that a request left behind, and raise the error of one that failed."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    for ended in loop.run_until_complete(asyncio.gather(*left, return_exceptions=True)) if left else ():
        if isinstance(ended, BaseException) and not isinstance(ended, asyncio.CancelledError):
            raise ended


_loops = threading.local()


def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of this thread, which serves one request after the other as a server's does.

    A forked child has one of its own.
    """
    if getattr(_loops, "process", None) != os.getpid():
        _loops.process, _loops.loop = os.getpid(), asyncio.new_event_loop()
        atexit.register(_loops.loop.close)
    loop: asyncio.AbstractEventLoop = _loops.loop
    return loop


def through_asgi(app: Any, asked: Asked, **changes: Any) -> Reply:
    """Send a request as uvicorn does."""
    start, *bodies = messages_of(app, scope_of(asked, **changes))
    assert start["type"] == "http.response.start"
    headers = [(name.decode(), value.decode("latin-1")) for name, value in start["headers"]]
    return Reply(start["status"], headers, b"".join(body.get("body", b"") for body in bodies))


@dataclass(frozen=True)
class Adapter:
    """One way to put the guard before an application."""

    make: Callable[..., Any]
    """Makes a guarded application; takes the settings of a guard."""
    send: Callable[..., Reply]

    def call(self, app: Any, text: str | None = None, **asked: Any) -> Reply:
        """Send one request, as over a connection that presented CERTIFICATE."""
        headers = tuple(asked.pop("headers", ()))
        if text is not None:
            headers += (("Authorization", f"Bearer {text}"),)
        return self.send(app, Asked(headers=(("Host", "api.example"), *headers), **asked))


ADAPTERS = {
    "Flask": Adapter(applications.flask_application, through_wsgi),
    "WSGI": Adapter(applications.wsgi_application, through_wsgi),
    "ASGI": Adapter(applications.asgi_application, through_asgi),
    "Starlette": Adapter(applications.starlette_application, through_asgi),
    "FastAPI": Adapter(applications.fastapi_application, through_asgi),
    "Django": Adapter(applications.django_wsgi_application, through_wsgi),
    "Django, async": Adapter(applications.django_asgi_application, through_asgi),
}


ASYNC = {name: one for name, one in ADAPTERS.items() if one.send is through_asgi}
"""Those that live in an event loop."""
