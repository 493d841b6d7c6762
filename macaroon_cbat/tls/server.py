"""Serve a WSGI application over TLS; it sees the client certificate of each connection."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.tls.context import tls_context
from macaroon_cbat.tls.limits import Limits, descriptor_bound
from macaroon_cbat.tls.listening import listening_socket
from macaroon_cbat.tls.loop import Loop
from macaroon_cbat.tls.prefork import Prefork
from macaroon_cbat.tls.signals import stopping_on_signals
from macaroon_cbat.tls.wsgi import Site, adjustments

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Limits", "serve"]


def serve(  # noqa: PLR0913  # one keyword a setting
    make_app: "Callable[[], WSGIApplication]",
    *,
    host: str = "127.0.0.1",
    port: int = 8443,
    certificate: Path,
    key: Path,
    workers: int = 1,
    threads: int = 8,
    on_ready: Callable[[str, int], None] | None = None,
    limits: Limits = Limits(),  # noqa: B008  # frozen
) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests under way and return; or raise SettingsError.

    The application finds the client certificate under `macaroon_cbat.peer.PEER_CERTIFICATE`.
    `make_app` is called once in each worker process, after the fork. `on_ready` is called with the
    host and the real port once requests are answered. Nothing about a client certificate is checked
    but that the client holds its key.
    """
    if workers < 1 or threads < 1:
        raise SettingsError("at least one worker and one thread are needed")
    context = tls_context(certificate, key)
    limits = replace(limits, connections=min(limits.connections, descriptor_bound()))
    with closing(listening_socket(host, port)) as listener:
        real_port: int = listener.getsockname()[1]

        def announce() -> None:
            if on_ready is not None:
                on_ready(host, real_port)

        def make_loop() -> Loop:
            site = Site(make_app(), adjustments(limits), host, real_port, is_multiprocess=workers > 1)
            return Loop(listener, context, site, limits, threads)

        if workers == 1:
            loop = make_loop()
            with stopping_on_signals(loop.stop):
                announce()
                loop.run()
        else:
            Prefork(listener, make_loop, workers, limits.request_seconds).run(announce)
