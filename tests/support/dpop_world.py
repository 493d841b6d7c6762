"""A resource server that wants DPoP proofs, over real TLS in a thread, and sessions that prove to it."""

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import trustme

import macaroon_cbat.client.dpop_aiohttp as by_aiohttp
import macaroon_cbat.client.dpop_httpx as by_httpx
import macaroon_cbat.client.dpop_requests as by_requests
from macaroon_cbat.client.dpop_key import ProofKey
from macaroon_cbat.macaroon.dpop_nonces import DpopNonces
from macaroon_cbat.resource.wsgi import PRINCIPAL, Guard
from tests.support.sessions import Answer
from tests.support.tokens import KEYS

NONCES = DpopNonces(b"n" * 32)


@dataclass
class ProvingServer:
    """Two origins: a guarded one, and one that shows what reaches it."""

    ca: Path
    url: str
    other_url: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    """The headers of each request to either origin, refused ones included."""

    def guarded(self) -> Callable[..., Any]:
        """Return the guarded application."""
        guard = Guard(keys=KEYS, origin=self.url, require="dpop", dpop_nonces=NONCES)
        inner = guard.require("read")(self._application)

        def noting(environ: dict[str, Any], start_response: Any) -> Any:
            self.note(environ)
            return inner(environ, start_response)

        return noting

    def _application(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        target = {"/redirect": "/invoices", "/away": f"{self.other_url}/shown"}.get(environ["PATH_INFO"])
        if target is not None:
            start_response("302 Found", [("Location", target), ("Content-Length", "0")])
            return [b""]
        size = int(environ.get("CONTENT_LENGTH") or 0)
        said = {"client": environ[PRINCIPAL].client_id, "body": environ["wsgi.input"].read(size).decode()}
        return _answer(said, start_response)

    def shown(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        """Answer every client, without a guard."""
        self.note(environ)
        return _answer({"authorization": environ.get("HTTP_AUTHORIZATION")}, start_response)

    def note(self, environ: dict[str, Any]) -> None:
        """Keep what a request said of itself."""
        self.seen.append({name: environ.get(f"HTTP_{name}") for name in ("AUTHORIZATION", "DPOP")})


def _answer(said: dict[str, Any], start_response: Any) -> list[bytes]:
    body = json.dumps(said).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class Serving(NamedTuple):
    """A place that serves an application, once it is told which."""

    url: str
    run: Callable[[Any], None]


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Write no log."""


@contextmanager
def over_tls(folder: Path, count: int) -> Iterator[tuple[Path, list[Serving]]]:
    """Serve this many applications over TLS, each given once its URL is known; return the CA's file too."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    servers = [make_server("127.0.0.1", 0, lambda *_: [], _Server, _Silent) for _ in range(count)]
    for server in servers:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield (
        folder / "ca.pem",
        [Serving(f"https://localhost:{server.server_port}", server.set_app) for server in servers],
    )
    for server in servers:
        server.shutdown()
        server.server_close()


@contextmanager
def proving_server(folder: Path) -> Iterator[ProvingServer]:
    """Run both origins until the block ends."""
    with over_tls(folder, 2) as (ca, (guarded, other)):
        world = ProvingServer(ca, guarded.url, other.url)
        guarded.run(world.guarded())
        other.run(world.shown)
        yield world


@contextmanager
def proving_session(library: str, token: Any, key: ProofKey, ca: Path) -> Iterator[Callable[..., Any]]:
    """Open a session of the library that proves its requests and follows redirects."""
    if library == "requests":
        with by_requests.dpop_session(by_requests.DpopAuth(token, key), ca) as session:
            yield session.request
        return
    if library == "httpx":
        with by_httpx.dpop_client(by_httpx.DpopAuth(token, key), ca, follow_redirects=True) as client:
            yield client.request
        return
    with asyncio.Runner() as runner:
        if library == "aiohttp":
            aiohttp_session = runner.run(_opened(by_aiohttp.DpopAuth(token, key), ca))
            yield lambda *args, **options: runner.run(_answered(aiohttp_session, *args, **options))
            runner.run(aiohttp_session.close())
            return
        auth = by_httpx.DpopAuth(token, key)
        async_client = by_httpx.async_dpop_client(auth, ca, follow_redirects=True)
        yield lambda *args, **options: runner.run(async_client.request(*args, **options))
        runner.run(async_client.aclose())


async def _opened(auth: by_aiohttp.DpopAuth, ca: Path) -> Any:
    return by_aiohttp.dpop_session(auth, ca)


async def _answered(session: Any, *args: Any, **options: Any) -> Answer:
    async with session.request(*args, **options) as answer:
        return Answer(answer.status, str(answer.url), await answer.text())
