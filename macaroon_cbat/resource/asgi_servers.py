"""The ASGI server that runs this process, known by the modules that it loads: a scope does not name it."""

import sys

from macaroon_cbat.asgi_hop import AsgiServer

_MERGE_TRAILERS = ("uvicorn.protocols.http.httptools_impl",)
"""Loaded by a server that shows trailers among the headers (measured).

uvicorn loads this one when it is to use httptools: by `--http httptools`, or by itself where httptools is
installed. Not uvicorn's h11 and zttp, hypercorn, granian, daphne, gunicorn's ASGI worker (measured, over
HTTP/2 as well), nor WebSockets of any.
"""

_SHOW_UNIX_SOCKETS = (
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn.protocols.http.h11_impl",
    "uvicorn.protocols.http.zttp_impl",
    "hypercorn.protocol.http_stream",
    "granian.asgi",
    "daphne.http_protocol",
)
"""Loaded by servers that describe a Unix socket as AsgiHop reads it (measured).

gunicorn's ASGI worker describes it by the first two letters of its name: there only the secret helps.
"""


_FOUND = {
    (shows, merges): AsgiServer(shows_unix_socket=shows, merges_trailers=merges)
    for shows in (False, True)
    for merges in (False, True)
}


def running_server() -> AsgiServer:
    """Return what is known of the server, by the modules that this process has loaded."""
    loaded = sys.modules.keys()
    return _FOUND[not loaded.isdisjoint(_SHOW_UNIX_SOCKETS), not loaded.isdisjoint(_MERGE_TRAILERS)]
