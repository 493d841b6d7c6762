"""Applications that show a request as its server shows it, and a guarded one behind a proxy."""

# Each comes twice: for WSGI, and for ASGI.

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask
from prometheus_client import generate_latest
from werkzeug.middleware.proxy_fix import ProxyFix

from macaroon_cbat.certificate.asgi_connection import AsgiConnection
from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.source import RequestConnection
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.resource.asgi_servers import running_server
from macaroon_cbat.service import create_app, settings_from_environment
from tests.support import adapter_applications as applications
from tests.support.adapter_applications import asgi_application
from tests.support.guarded_app import make_app

Start = Callable[[str, list[tuple[str, str]]], object]


def facts(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Answer what the connection says, and of each header named in the query its value or the error."""
    if environ["REQUEST_METHOD"] == "POST":
        environ["wsgi.input"].read()
    connection = WsgiConnection(environ)
    body = {
        "server": environ.get("SERVER_SOFTWARE"),
        "remote": environ.get("REMOTE_ADDR"),
        "keys": {key: value for key, value in environ.items() if key.startswith("HTTP_")},
        **_told(connection, environ["QUERY_STRING"]),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(body).encode()]


def _told(connection: RequestConnection, query: str) -> dict[str, Any]:
    return {
        "shows_address": connection.shows_address(),
        "address": connection.address(),
        "is_unix": connection.is_unix_socket(),
        "merges_trailers": connection.merges_trailers(),
        "headers": {name: _header(connection, name) for name in query.split("&") if name},
    }


async def facts_of_scope(scope: Any, receive: Any, send: Any) -> None:
    """Answer what the connection of an ASGI request says, once the whole body has come."""
    while scope["method"] == "POST" and (await receive()).get("more_body"):
        pass
    connection = AsgiConnection(scope, running_server)
    body = {
        "client": scope.get("client"),
        "keys": {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]},
        **_told(connection, scope["query_string"].decode()),
    }
    await send({"type": "http.response.start", "status": 200, "headers": [_JSON]})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def _header(connection: RequestConnection, name: str) -> Any:
    try:
        return connection.header(name)
    except MacaroonError as error:
        return {"error": type(error).__name__}


def guarded() -> Flask:
    """Return an application behind the proxy that the environment names."""
    app = make_app(**_settings())
    app.add_url_rule("/metrics", "metrics", lambda: generate_latest().decode())
    return app


def _settings() -> dict[str, Any]:
    """Return the guard's settings that the environment names."""
    settings = json.loads(os.environ["PROXY"])
    found = {} if "root_path" not in settings else {"root_path": settings["root_path"]}
    if "trust" in settings:
        trust = trusted_proxies(settings["trust"], secret=settings.get("secret"))
        found["certificate_source"] = Forwarded(
            settings["format"], trust=trust, header=settings.get("header")
        )
    else:
        found["require_certificate"] = False
    return found


def _made_once(make: Callable[[], Any]) -> Any:
    """Return what this makes, the first time."""
    if make not in _made:
        _made[make] = make()
    return _made[make]


async def application_of_scope(scope: Any, receive: Any, send: Any) -> None:
    """Be the guarded ASGI application where a proxy is named, else tell the facts."""
    if scope["type"] == "lifespan":
        return
    app = _made_once(_asgi_guarded) if "PROXY" in os.environ else facts_of_scope
    await app(scope, receive, send)


def _asgi_guarded() -> Any:
    return asgi_application(**_settings())


def service(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Be the service that the environment describes."""
    answer: Iterable[bytes] = _made_once(_service)(environ, start_response)
    return answer


def _service() -> Any:
    return create_app(settings_from_environment())


def application(environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
    """Be the guarded application where a proxy is named, else tell the facts."""
    if "PROXY" not in os.environ:
        return facts(environ, start_response)
    answer: Iterable[bytes] = _made_once(_flask_guarded)(environ, start_response)
    return answer


def _flask_guarded() -> Any:
    """Return the guarded application, in whichever framework the environment names."""
    framework = os.environ.get("FRAMEWORK", "flask")
    if framework == "flask":
        app: Any = guarded()
    else:
        app = getattr(applications, f"{framework}_application")(**_settings())
    return ProxyFix(app, x_for=0, x_prefix=1) if "PROXY_FIX" in os.environ else app


_JSON = (b"content-type", b"application/json")
_made: dict[Any, Any] = {}
