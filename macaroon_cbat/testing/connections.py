"""Fake TLS connections, as the embedded server (WSGI) and ASGI's TLS extension describe real ones."""

import base64
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import suppress
from typing import Any

from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE

Mapping = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Mapping]]
Send = Callable[[Mapping], Awaitable[None]]
Application = Callable[[Mapping, Receive, Send], Awaitable[None]]

_SERVERS = frozenset({"uvicorn", "hypercorn", "granian", "_granian", "daphne", "gunicorn", "uvicorn_worker"})
"""Packages whose objects carry the answers of real requests."""


_DEEPEST = 20
"""Middlewares between a server and the application that are looked through."""


class _Channel:
    """The connection of waitress, which its environment shows by one of its methods."""

    def __init__(self, address: str) -> None:
        self.addr = (address, 50_000)

    def check_client_disconnected(self) -> bool:
        """Return False: the client waits for its answer."""
        return False


def wsgi_connection(certificate: DerCertificate | None, address: str) -> dict[str, Any]:
    """Return the entries of a WSGI environment that describe the connection."""
    return {
        PEER_CERTIFICATE: certificate,
        "REMOTE_ADDR": address,
        "waitress.client_disconnected": _Channel(address).check_client_disconnected,
    }


def asgi_extensions(certificate: DerCertificate | None) -> dict[str, Any]:
    """Return the `extensions` of an ASGI scope that describe the connection."""
    chain = [] if certificate is None else [_pem_of(certificate)]
    return {"tls": {"client_cert_chain": chain, "client_cert_error": None}}


class OverTls:
    """An ASGI application, reached over connections that present one certificate."""

    def __init__(self, app: Application, certificate: DerCertificate | None) -> None:
        """Show `certificate` to `app` with each request and WebSocket."""
        self._app = app
        self._extensions = asgi_extensions(certificate)

    async def __call__(self, scope: Mapping, receive: Receive, send: Send) -> None:
        """Call the application. Raises RuntimeError if the request came from a real server."""
        if scope["type"] != "lifespan":
            if not _SERVERS.isdisjoint(_packages_of(send)):
                raise RuntimeError(
                    "over_tls stands in an application that a server runs, where each client would count as "
                    "the fake holder: use it in tests alone"
                )
            scope = {**scope, "extensions": {**(scope.get("extensions") or {}), **self._extensions}}
        await self._app(scope, receive, send)


def shown_to(
    handler: Callable[[Mapping], Awaitable[Any]], certificate: DerCertificate | None
) -> Callable[[Mapping], Awaitable[Any]]:
    """Return the handler of a client of Django's, called with `certificate` in each scope."""

    async def called(scope: Mapping) -> Any:
        return await handler({**scope, "extensions": asgi_extensions(certificate)})

    return called


def _packages_of(send: Any) -> set[str]:
    """Return the packages that define a function, and what it is a part of or holds: middlewares wrap it."""
    packages, waiting, seen = set[str](), [(send, 0)], set[int]()
    while waiting:
        one, depth = waiting.pop()
        if id(one) in seen or depth > _DEEPEST:
            continue
        seen.add(id(one))
        modules = (getattr(one, "__module__", None), type(one).__module__)
        packages.update(str(module).partition(".")[0] for module in modules)
        waiting.extend((held, depth + 1) for held in _held_by(one))
    return packages


def _held_by(one: Any) -> Iterator[Any]:
    """Yield what a function, a method, a partial or a callable object calls in its turn."""
    yield from (getattr(one, name, None) for name in ("__self__", "__func__", "func", "__wrapped__"))
    for cell in getattr(one, "__closure__", None) or ():
        with suppress(ValueError):  # an empty cell
            if callable(cell.cell_contents):
                yield cell.cell_contents
    if callable(one) and not isinstance(one, type):
        yield from (value for value in getattr(one, "__dict__", {}).values() if callable(value))


def _pem_of(certificate: DerCertificate) -> str:
    lines = base64.encodebytes(certificate).decode()
    return f"-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n"
