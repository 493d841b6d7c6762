"""Servers without a command of their own: `newcomer_servers NAME PORT CERTIFICATE`."""

import sys
from pathlib import Path

from tests.support.servers.newcomers import flask_app


def gevent(port: int, file: str) -> None:
    from gevent.pywsgi import WSGIServer

    WSGIServer(("127.0.0.1", port), flask_app, certfile=file, keyfile=file, log=None).serve_forever()


def cheroot(port: int, file: str) -> None:
    from cheroot.ssl.builtin import BuiltinSSLAdapter
    from cheroot.wsgi import Server

    server = Server(("127.0.0.1", port), flask_app)
    server.ssl_adapter = BuiltinSSLAdapter(file, file)
    server.start()


def embedded(port: int, file: str) -> None:
    from macaroon_cbat.tls import serve

    serve(lambda: flask_app, port=port, certificate=Path(file), key=Path(file))


if __name__ == "__main__":
    name, port, file = sys.argv[1:]
    globals()[name](int(port), file)
