"""A guarded application in a real server: `python -m tests.support.adapter_server '{"server": ...}'`."""

import json
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

import uvicorn
import waitress

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.macaroon.keys import audience_keys
from macaroon_cbat.tls import development_certificates, serve
from tests.support import adapter_applications as applications
from tests.support.tokens import ISSUER, ROOT


def main() -> None:
    """Serve until the process ends; say `ready PORT` once clients may connect."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    guarding: dict[str, Any] = {}
    if "trust" in settings:
        guarding["certificate_source"] = Forwarded(
            settings["format"], trust=trusted_proxies(settings["trust"], secret=settings.get("secret"))
        )
    if "audience" in settings:
        guarding["keys"] = audience_keys(ISSUER, settings["audience"], [ROOT])
    app = getattr(applications, settings["application"])(**guarding)
    logging.basicConfig(level=logging.INFO)
    if settings["server"] == "embedded":
        files = development_certificates(Path(settings["folder"]))
        serve(lambda: app, port=0, certificate=files.certificate, key=files.key, on_ready=ready)
        return
    listening = listen(settings.get("unix"))
    ready(0, 0 if "unix" in settings else listening.getsockname()[1])
    if settings["server"] == "waitress":
        waitress.serve(app, sockets=[listening], _quiet=True)
    else:
        config = uvicorn.Config(app, lifespan="off", log_level="warning", **settings.get("options", {}))
        uvicorn.Server(config).run(sockets=[listening])


def listen(path: str | None) -> socket.socket:
    """Return a socket that listens, on loopback or under this name."""
    listening = socket.socket(socket.AF_INET if path is None else socket.AF_UNIX)
    listening.bind(("127.0.0.1", 0) if path is None else path)
    listening.listen(64)
    return listening


def ready(_: object, port: int) -> None:
    """Tell the test."""
    os.write(1, f"ready {port}\n".encode())


if __name__ == "__main__":
    main()
