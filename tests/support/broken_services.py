"""Services of every ill temper: a real TLS server in a thread, whose path says how it answers."""

import gzip
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

from macaroon_cbat.tls.development_ca import development_certificates

STALL_SECONDS = 1.0


def _active(form: dict[str, str]) -> dict[str, object]:
    return {"active": True, "jti": form["jti"]}


def _plain(answer: object, status: int = 200) -> Callable[["_Handler", dict[str, str]], None]:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    return lambda handler, _form: handler.answer(status, body)


def _stall(handler: "_Handler", form: dict[str, str]) -> None:
    time.sleep(STALL_SECONDS)
    handler.answer(200, json.dumps(_active(form)).encode())


def _stall_in_body(handler: "_Handler", form: dict[str, str]) -> None:
    body = json.dumps(_active(form)).encode()
    handler.answer(200, body[:5], length=len(body))
    time.sleep(STALL_SECONDS)


def _cut(handler: "_Handler", form: dict[str, str]) -> None:
    body = json.dumps(_active(form)).encode()
    handler.answer(200, body[:-1], length=len(body))


def _huge(handler: "_Handler", form: dict[str, str]) -> None:
    handler.answer(200, json.dumps({**_active(form), "padding": "x" * 70_000}).encode())


def _huge_white(handler: "_Handler", form: dict[str, str]) -> None:
    handler.answer(200, json.dumps(_active(form)).encode() + b" " * 70_000)


def _moved(handler: "_Handler", _form: dict[str, str]) -> None:
    handler.answer(307, b"", headers={"Location": "/good"})


def _gzip(handler: "_Handler", form: dict[str, str]) -> None:
    """Compress, although no coding was asked for."""
    body = gzip.compress(json.dumps(_active(form)).encode())
    handler.answer(200, body, headers={"Content-Encoding": "gzip"})


def _bomb(handler: "_Handler", _form: dict[str, str]) -> None:
    handler.answer(200, gzip.compress(bytes(10_000_000)), headers={"Content-Encoding": "gzip"})


TEMPERS: dict[str, Callable[["_Handler", dict[str, str]], None]] = {
    "good": lambda handler, form: handler.answer(200, json.dumps(_active(form)).encode()),
    "rubbish": _plain(b"<html>log in</html>"),
    "empty": _plain(b""),
    "not-utf8": _plain(b'{"active":true,"jti":"\xff"}'),
    "nested": _plain(b'{"x":' + b"[" * 30_000 + b"]" * 30_000 + b',"active":false}'),
    "null": _plain(None),
    "array": _plain([True]),
    "no-member": _plain({}),
    "text-for-true": _plain({"active": "true", "jti": "x"}),
    "one-for-true": _plain({"active": 1, "jti": "x"}),
    "no-jti": _plain({"active": True}),
    "another-jti": _plain({"active": True, "jti": "BBBBBBBBBBBBBBBBBBBBBB"}),
    "bad-request": _plain({"error": "invalid_request"}, 400),
    "unauthorized": _plain({"error": "invalid_client"}, 401),
    "forbidden": _plain({"active": True}, 403),
    "not-found": _plain({"active": False}, 404),
    "failing": _plain({"active": False}, 500),
    "unavailable": _plain({"error": "temporarily_unavailable"}, 503),
    "created": lambda handler, form: handler.answer(201, json.dumps(_active(form)).encode()),
    "moved": _moved,
    "stalling": _stall,
    "stalling-in-the-body": _stall_in_body,
    "cut": _cut,
    "huge": _huge,
    "huge-with-spaces": _huge_white,
    "gzip": _gzip,
    "gzip-bomb": _bomb,
    "closing": lambda handler, _form: handler.connection.close(),
}


class _Handler(BaseHTTPRequestHandler):
    """Answers POST as the path says."""

    def do_POST(self) -> None:
        """Read the form, answer as told."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        temper = self.path.strip("/")
        self.close_connection = True
        TEMPERS[temper](self, {**form, "jti": self.server.jti})  # type: ignore[attr-defined]

    def answer(
        self, status: int, body: bytes, *, length: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        """Send one response."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # as http.server names it
        """Say nothing."""


@contextmanager
def broken_services(folder: Path, jti: str) -> Iterator[str]:
    """Run the server until the block ends; give its URL."""
    files = development_certificates(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.jti = jti  # type: ignore[attr-defined]
        server.handle_error = lambda *_: None  # type: ignore[method-assign] # who breaks off is no error here
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()
        thread.join()
