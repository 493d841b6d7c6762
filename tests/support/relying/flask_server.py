"""Authlib's IntrospectTokenValidator over TLS: `python -m tests.support.relying.flask_server '{…}'`.

Settings: `folder`, `port`, `endpoint` of introspection, `ca`, `client_id`, `client_secret`; with
`names_certificate` it tells the service which certificate the connection has.
"""

import json
import sys
from pathlib import Path
from typing import Any

import requests
from authlib.integrations.flask_oauth2 import ResourceProtector
from authlib.oauth2.rfc7662 import IntrospectTokenValidator
from flask import Flask, request

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.tls.development_ca import development_certificates
from macaroon_cbat.tls.server import serve


class Validator(IntrospectTokenValidator):  # type: ignore[misc] # Authlib is untyped
    """Asks the service, as Authlib's documentation shows it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self._settings = settings

    def introspect_token(self, token_string: str) -> Any:
        """Return what the service says of a token."""
        settings = self._settings
        form = {"token": token_string, "token_type_hint": "access_token"}
        der = request.environ.get(PEER_CERTIFICATE)
        if settings.get("names_certificate") and der is not None:
            form["client_certificate"] = thumbprint_of(DerCertificate(der))
        credentials = (settings["client_id"], settings["client_secret"])
        answer = requests.post(
            settings["endpoint"], data=form, auth=credentials, verify=settings["ca"], timeout=60
        )
        answer.raise_for_status()
        return answer.json()


def make_app(settings: dict[str, Any]) -> Flask:
    """Return the application."""
    protector = ResourceProtector()
    protector.register_token_validator(Validator(settings))
    app = Flask("relying")

    @app.get("/invoices")
    @protector("read")
    def invoices() -> str:
        return "let in"

    return app


def main() -> None:
    """Serve until SIGTERM; say the port."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    files = development_certificates(Path(settings["folder"]))
    serve(
        lambda: make_app(settings),
        port=settings["port"],
        certificate=files.certificate,
        key=files.key,
        on_ready=lambda _, port: print(f"ready {port}", flush=True),  # noqa: T201
    )


if __name__ == "__main__":
    main()
