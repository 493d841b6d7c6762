"""A guarded application over TLS: `python -m tests.support.guarded_process '{"folder": ..., "keys": ...}'`.

Settings: `keys`, a key file, or `introspection`, the arguments of Introspection, or `following`, those of
ServiceConnection with `audience`, `snapshot`, `max_staleness` and whether to follow `revocations`;
`require_certificate`; `workers`; `audience` is that of the keys. Every path answers whom the guard let in.
"""

import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from flask import Flask, jsonify, request

from macaroon_cbat.resource import (
    Guard,
    Introspection,
    KeyFeed,
    RevocationFeed,
    ServiceConnection,
    current_principal,
)
from macaroon_cbat.tls.development_ca import development_certificates
from macaroon_cbat.tls.server import serve

METHODS = ["GET", "POST"]


def make_app(port: int, settings: dict[str, Any]) -> Flask:
    """Return the application; `htu` caveats name the port it is reached at."""
    guarding: dict[str, Any] = {"origin": f"https://localhost:{port}"}
    if "introspection" in settings:
        guarding["verifier"] = Introspection(**settings["introspection"])
    elif "following" in settings:
        guarding |= following(**settings["following"])
    else:
        guarding["keys"] = settings["keys"]
    guarding |= {name: settings[name] for name in ("require_certificate", "require") if name in settings}
    app = Flask("resource")
    guard = Guard(app, **guarding)

    def view(rest: str = "") -> Any:
        principal = {name: getattr(current_principal, name) for name in ("client_id", "subject", "token_id")}
        scope = sorted(current_principal.scope)
        seen = {
            "path": request.path,
            "rest": rest,
            "pid": os.getpid(),
            "port": request.environ["REMOTE_PORT"],
        }
        return jsonify(scope=scope, certificate=current_principal.certificate, **principal, **seen)

    app.add_url_rule("/invoices", "invoices", guard.require("read")(view), methods=METHODS)
    app.add_url_rule("/invoices/<path:rest>", "invoice", guard.require("read")(view), methods=METHODS)
    app.add_url_rule("/admin", "admin", guard.require("admin")(view), methods=METHODS)
    return app


def following(
    *,
    audience: str,
    snapshot: str | None,
    revocations: bool = True,
    max_staleness: float = 60,
    **connecting: Any,
) -> dict[str, Any]:
    """Return what a guard takes to follow the service."""
    connection = ServiceConnection(**connecting)
    feeds: dict[str, Any] = {"keys": KeyFeed(connection, audience, snapshot=snapshot)}
    return feeds | (
        {"revocations": RevocationFeed(connection, max_staleness=max_staleness)} if revocations else {}
    )


def main() -> None:
    """Serve until SIGTERM; say the port."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    files = development_certificates(Path(settings["folder"]))
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    serve(
        lambda: make_app(settings["port"], settings),
        port=settings["port"],
        certificate=files.certificate,
        key=files.key,
        workers=settings.get("workers", 1),
        on_ready=lambda _, port: print(f"ready {port}", flush=True),  # noqa: T201
    )


if __name__ == "__main__":
    main()
