"""A guarded resource server: python -m demonstration.resource_server KEYS PORT CERTIFICATE KEY."""

import sys
from pathlib import Path

from flask import Flask

from macaroon_cbat.resource import Guard, current_principal
from macaroon_cbat.tls import serve

keys, port, certificate, key = sys.argv[1:]
app = Flask(__name__)
guard = Guard(app, keys=keys)


@app.get("/invoices")
@guard.require("read")
def invoices() -> dict[str, str | None]:
    """Tell the caller who it is."""
    return {"client": current_principal.client_id, "certificate": current_principal.certificate}


@app.post("/invoices")
@guard.require("write")
def add_invoice() -> dict[str, str]:
    """Be something that a reader may not do."""
    return {"added": "one"}


serve(
    lambda: app,
    port=int(port),
    certificate=Path(certificate),
    key=Path(key),
    on_ready=lambda _host, _port: print("ready", flush=True),
)
