"""What each server makes of a request, as the hop reads it, and a guarded application behind a proxy."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from prometheus_client import generate_latest

from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.wsgi_hop import WsgiHop
from tests.resource.material import make_app

Start = Callable[[str, list[tuple[str, str]]], object]


def facts(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Answer what the hop says, and of each header named in the query its value or the error."""
    hop = WsgiHop(environ)
    body = {
        "server": environ.get("SERVER_SOFTWARE"),
        "remote": environ.get("REMOTE_ADDR"),
        "address": hop.address(),
        "is_unix": hop.is_unix_socket(),
        "headers": {name: _header(hop, name) for name in environ["QUERY_STRING"].split("&") if name},
        "keys": {key: value for key, value in environ.items() if key.startswith("HTTP_")},
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]


def _header(hop: WsgiHop, name: str) -> Any:
    try:
        return hop.header(name)
    except MacaroonError as error:
        return {"error": type(error).__name__}


def guarded() -> Flask:
    """Return an application behind the proxy that the environment names."""
    settings = json.loads(os.environ["PROXY"])
    trust = trusted_proxies(settings["trust"], secret=settings.get("secret"))
    app = make_app(peer=Forwarded(settings["format"], trust=trust, header=settings.get("header")))
    app.add_url_rule("/metrics", "metrics", lambda: generate_latest().decode())
    return app


def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Be the guarded application where a proxy is named, else tell the facts."""
    if "PROXY" not in os.environ:
        return facts(environ, start_response)
    if "guarded" not in _made:
        _made["guarded"] = guarded()
    answer: Iterable[bytes] = _made["guarded"](environ, start_response)
    return answer


_made: dict[str, Flask] = {}
