"""The server behind a proxy that guards itself: a Flask application, which shows what arrived."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import waitress
from flask import Flask, Response, request
from waitress.wasyncore import close_all

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.resource import Guard, current_principal
from tests.support.proxies.clients import UPSTREAM_TYPE
from tests.support.tokens import KEYS

METHODS = ["GET", "POST"]


def guarded_app(certificate_format: str, secret: str) -> Flask:
    """Return an application that believes this format from a proxy on this machine with the secret."""
    trust = trusted_proxies(["127.0.0.1/32"], secret=secret)
    app = Flask("behind a proxy")
    guard = Guard(app, keys=KEYS, certificate_source=Forwarded(certificate_format, trust=trust))

    @app.route("/invoices", methods=["GET"], endpoint="read")
    @app.route("/invoices/7", methods=["GET"], endpoint="read")
    @guard.require("read")
    def read() -> Response:
        return _seen(current_principal.client_id)

    @app.route("/invoices", methods=["POST"], endpoint="write")
    @guard.require("write")
    def write() -> Response:
        return _seen(current_principal.client_id)

    @app.route("/health", methods=METHODS)
    def health() -> Response:
        return _seen("")

    return app


def _seen(client: str) -> Response:
    """Tell what arrived, as the other upstream does, and who it came from."""
    query = request.query_string.decode()
    seen = {
        "line": f"{request.method} {request.path}{f'?{query}' if query else ''}",
        "headers": list(request.headers),
        "body": request.get_data(as_text=True),
        "client": client,
    }
    return Response(json.dumps(seen), content_type=UPSTREAM_TYPE)


@contextmanager
def guarded_upstream(certificate_format: str, secret: str) -> Iterator[int]:
    """Run the guarded application on waitress; give its port."""
    with on_waitress(guarded_app(certificate_format, secret)) as port:
        yield port


@contextmanager
def on_waitress(app: Any) -> Iterator[int]:
    """Run a WSGI application on waitress until the block ends; give its port."""
    sockets: dict[int, Any] = {}
    server = waitress.create_server(app, map=sockets, host="127.0.0.1", port=0, threads=4)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        server.task_dispatcher.shutdown()
        # In its own thread, which else might just wait for a file that is closed: then it would fail.
        server.trigger.pull_trigger(lambda: close_all(sockets))
        thread.join()
