"""A guarded application of the core's honest issuer, and how these tests call it."""

import threading
from collections.abc import Mapping
from typing import Any

from flask import Flask, jsonify
from werkzeug.test import TestResponse

from macaroon_cbat.resource import Guard, current_principal
from macaroon_cbat.testing import FakeHolder
from tests.support.tokens import BOUND, KEYS, NOW, token

CERTIFICATE = b"the holder's certificate"
THIEF = b"the thief's certificate"
_MAKING = threading.Lock()
"""Flask compiles routes by `ast`, and CPython 3.11 fails if two threads do so at once (cpython#106905)."""
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def make_app(**settings: Any) -> Flask:
    """Return an application whose views tell whom they let in; `settings` are those of its guard."""
    guard = Guard(**{"clock": lambda: NOW, **({} if "verifier" in settings else {"keys": KEYS}), **settings})
    with _MAKING:
        app = Flask("resource")
        add_views(app, guard)
        guard.init_app(app)
        return app


def add_views(app: Flask, guard: Guard) -> None:
    def view(rest: str = "") -> Any:
        return jsonify(client=current_principal.client_id, scope=sorted(current_principal.scope), rest=rest)

    for path, scope in (("/open", ""), ("/invoices", "read"), ("/both", "read write"), ("/root", "root")):
        app.add_url_rule(path, path, guard.require(scope)(view), methods=METHODS)
    app.add_url_rule("/files/<path:rest>", "files", guard.require("read")(view), methods=METHODS)
    app.add_url_rule("/public", "public", lambda: "for everybody")


def call(
    app: Flask,
    text: str | None = None,
    *,
    path: str = "/invoices",
    method: str = "GET",
    certificate: bytes | None = CERTIFICATE,
    environ: Mapping[str, object] | None = None,
    **options: Any,
) -> TestResponse:
    """Send one request, as over a connection that presented this certificate."""
    headers = list(options.pop("headers", ()))
    if text is not None:
        headers.append(("Authorization", f"Bearer {text}"))
    holder = FakeHolder(
        KEYS, certificate=certificate, with_certificate=certificate is not None, address="192.0.2.7"
    )
    overrides = {**holder.wsgi(token=None), **(environ or {})}
    return app.test_client().open(
        path, method=method, headers=headers, environ_overrides=overrides, **options
    )


def bound(*caveats: Any, **changes: Any) -> str:
    """Return an honest token, bound to CERTIFICATE."""
    return token(BOUND, *caveats, **changes)


def parameters(response: TestResponse) -> dict[str, str]:
    """Return the parameters of the one Bearer challenge of a response."""
    assert len(response.headers.getlist("WWW-Authenticate")) == 1
    challenge = response.www_authenticate
    assert challenge.type == "bearer"
    return {name: value or "" for name, value in challenge.parameters.items()}


WELL_KNOWN = "/.well-known/oauth-protected-resource"


def document(app: Flask, path: str = WELL_KNOWN, **options: Any) -> dict[str, Any]:
    """Return the metadata document."""
    response = call(app, path=path, **options)
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert response.json is not None
    return dict(response.json)
