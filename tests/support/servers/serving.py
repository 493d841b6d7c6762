"""A server process: `python -m tests.support.servers.serving NAME unix:PATH|PORT [OPTIONS]`."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.servers.application import application, application_of_scope, service

logging.basicConfig(level=logging.WARNING)


def a2wsgi() -> Any:
    from a2wsgi import WSGIMiddleware

    return WSGIMiddleware(application)


def starlette() -> Any:
    from starlette.middleware.wsgi import WSGIMiddleware

    return WSGIMiddleware(application)


def proxy_fix() -> Any:
    from hypercorn.middleware import ProxyFixMiddleware

    return ProxyFixMiddleware(application_of_scope)


APPLICATIONS = {
    "wsgi": lambda: application,
    "asgi": lambda: application_of_scope,
    "service": lambda: service,
    "a2wsgi": a2wsgi,
    "starlette": starlette,
    "proxy_fix": proxy_fix,
}


def serve_uvicorn(bind: str, *, serves: str = "asgi", **options: Any) -> None:
    import uvicorn

    where = {"uds": bind[5:]} if bind.startswith("unix:") else {"port": int(bind)}
    uvicorn.run(APPLICATIONS[serves](), lifespan="off", log_level="warning", **where, **options)


def serve_hypercorn(bind: str, *, serves: str = "asgi", **options: Any) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [bind if bind.startswith("unix:") else f"127.0.0.1:{bind}"]
    for name, value in options.items():
        setattr(config, name, value)
    asyncio.run(serve(APPLICATIONS[serves](), config))


def serve_waitress(bind: str, **options: Any) -> None:
    from waitress import serve

    where = {"unix_socket": bind[5:]} if bind.startswith("unix:") else {"listen": f"127.0.0.1:{bind}"}
    serve(application, **where, **options)


def serve_werkzeug(bind: str) -> None:
    from werkzeug.serving import run_simple

    is_unix = bind.startswith("unix:")
    run_simple("unix://" + bind[5:] if is_unix else "127.0.0.1", 0 if is_unix else int(bind), application)


def serve_gevent(bind: str) -> None:
    from gevent.pywsgi import WSGIServer
    from gevent.socket import AF_UNIX, SOCK_STREAM, socket

    listener: Any = ("127.0.0.1", 0 if bind.startswith("unix:") else int(bind))
    if bind.startswith("unix:"):
        listener = socket(AF_UNIX, SOCK_STREAM)
        listener.bind(bind[5:])
        listener.listen()
    WSGIServer(listener, application, log=None).serve_forever()


def serve_embedded(bind: str) -> None:
    from macaroon_cbat.certificate.formats import CERTIFICATE_HEADERS
    from macaroon_cbat.tls import development_certificates, serve

    named = CERTIFICATE_HEADERS
    with TemporaryDirectory() as folder:
        files = development_certificates(Path(folder))
        shown = {"certificate": files.certificate, "key": files.key}
        serve(lambda: application, port=int(bind), proxy_headers=named, **shown)


def serve_wsgiref(bind: str) -> None:
    from wsgiref.simple_server import make_server

    make_server("127.0.0.1", int(bind), application).serve_forever()


def serve_cheroot(bind: str) -> None:
    from cheroot.wsgi import Server

    Server(bind[5:] if bind.startswith("unix:") else ("127.0.0.1", int(bind)), application).start()


def serve_gunicorn(bind: str, *, serves: str = "wsgi", **options: Any) -> None:
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):
        def load_config(self) -> None:
            self.cfg.set("bind", bind if bind.startswith("unix:") else f"127.0.0.1:{bind}")
            self.cfg.set("control_socket_disable", True)
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            return APPLICATIONS[serves]()

    Application().run()


if __name__ == "__main__":
    name, bind, *more = sys.argv[1:]
    globals()[f"serve_{name}"](bind, **(json.loads(more[0]) if more else {}))
