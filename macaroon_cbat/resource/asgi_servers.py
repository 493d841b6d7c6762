"""The ASGI server of this process, recognized by the modules that it loads: a scope does not name it."""

import sys
from functools import cache

from macaroon_cbat.certificate.asgi_connection import AsgiServer

_MERGE_TRAILERS = ("uvicorn.protocols.http.httptools_impl",)
"""Modules of servers that show trailers among the headers (measured).

uvicorn loads this one to use httptools: by `--http httptools`, or by default where httptools is installed.
uvicorn's h11 and zttp, hypercorn, granian, daphne and gunicorn's ASGI worker show no trailers (measured, over
HTTP/2 as well), and no server does for WebSockets.
"""

_OVER_UNIX = 'trust "unix", with FILE in a folder that only the proxy can enter'
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
"""The server of each module: its name, how to start it behind a proxy, and whether it describes a Unix socket
as AsgiConnection reads it (measured).

gunicorn's ASGI worker describes a Unix socket by the first two letters of its name: there only the secret
helps.
"""


def running_server() -> AsgiServer:
    """Return the measured behaviour of the server whose modules this process has loaded."""
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
