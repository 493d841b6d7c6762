"""The ASGI server that runs this process, known by the modules that it loads: a scope does not name it."""

import sys
from functools import cache

from macaroon_cbat.certificate.asgi_connection import AsgiServer

_MERGE_TRAILERS = ("uvicorn.protocols.http.httptools_impl",)
"""Loaded by a server that shows trailers among the headers (measured).

uvicorn loads this one when it is to use httptools: by `--http httptools`, or by itself where httptools is
installed. Not uvicorn's h11 and zttp, hypercorn, granian, daphne, gunicorn's ASGI worker (measured, over
HTTP/2 as well), nor WebSockets of any.
"""

_OVER_UNIX = 'trust "unix"'
_SERVERS = {
    "uvicorn.protocols.http.httptools_impl": (
        "uvicorn", f"start uvicorn with --uds FILE --http h11 and {_OVER_UNIX}", True,
    ),
    "uvicorn.protocols.http.h11_impl": ("uvicorn", f"start uvicorn with --uds FILE and {_OVER_UNIX}", True),
    "uvicorn.protocols.http.zttp_impl": ("uvicorn", f"start uvicorn with --uds FILE and {_OVER_UNIX}", True),
    "hypercorn.protocol.http_stream": (
        "hypercorn", f"start hypercorn with --bind unix:FILE and {_OVER_UNIX}", True,
    ),
    "granian.asgi": ("granian", f"start granian with --uds FILE and {_OVER_UNIX}", True),
    "daphne.http_protocol": ("daphne", f"start daphne with -u FILE and {_OVER_UNIX}", True),
    "gunicorn.asgi.protocol": ("gunicorn's ASGI worker", "trust it by a secret", False),
}  # fmt: skip
"""By a module that the server loads: its name, how to put it behind a proxy, and whether it describes a Unix
socket as AsgiConnection reads it (measured).

gunicorn's ASGI worker describes it by the first two letters of its name: there only the secret helps.
"""


def running_server() -> AsgiServer:
    """Return what is known of the server, by the modules that this process has loaded."""
    loaded = sys.modules.keys()
    found = next((module for module in _SERVERS if module in loaded), None)
    return _described(found, merges_trailers=not loaded.isdisjoint(_MERGE_TRAILERS))


@cache
def _described(module: str | None, *, merges_trailers: bool) -> AsgiServer:
    if module is None:
        return AsgiServer(merges_trailers=merges_trailers)
    name, behind_a_proxy, shows_unix_socket = _SERVERS[module]
    return AsgiServer(
        name=name,
        behind_a_proxy=behind_a_proxy,
        shows_unix_socket=shows_unix_socket,
        merges_trailers=merges_trailers,
    )
