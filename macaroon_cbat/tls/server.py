"""Serve a WSGI application over TLS; it sees the client certificate of each connection."""

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from macaroon_cbat.certificate_formats import CERTIFICATE_HEADERS
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.tls.context import tls_context
from macaroon_cbat.tls.limits import Limits, limits_that_fit
from macaroon_cbat.tls.listening import listening_socket
from macaroon_cbat.tls.loop import Loop
from macaroon_cbat.tls.prefork import Prefork
from macaroon_cbat.tls.signals import stopping_on_signals
from macaroon_cbat.tls.wsgi import Site, adjustments, removed_keys

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
    on_end: Callable[[], None] | None = None,
    proxy_headers: Iterable[str] = CERTIFICATE_HEADERS,
    limits: Limits = Limits(),  # noqa: B008  # frozen
) -> None:
    """Serve until SIGTERM or SIGINT, finish the requests under way and return; or raise SettingsError.

    The application finds the client certificate under `wsgi_hop.PEER_CERTIFICATE`; only that the
    client holds its key was checked. Each worker calls `make_app` once, after the fork. `on_ready` gets
    the host and the real port once requests are answered; `on_end` is called in each worker after its
    last one, for a worker runs no `atexit`. Of the UNTRUSTED_HEADERS the application sees `proxy_headers`
    alone: it must judge who sent them, as `Forwarded` does.
    """
    if workers < 1 or threads < 1:
        raise SettingsError("at least one worker and one thread are needed")
    context, limits = tls_context(certificate, key), limits_that_fit(limits)
    removed = removed_keys(proxy_headers)
    with closing(listening_socket(host, port)) as listener:
        real_port: int = listener.getsockname()[1]

        def make_loop() -> Loop:
            site = Site(make_app(), adjustments(), host, real_port, workers > 1, removed)
            return Loop(listener, context, site, limits, threads, on_end=on_end or _do_nothing)

        run = _run_here if workers == 1 else Prefork([listener], workers, limits.request_seconds).run
        run(make_loop, partial(on_ready or _say_nothing, host, real_port))


def _run_here(make_loop: Callable[[], Loop], announce: Callable[[], None]) -> None:
    loop = make_loop()
    with stopping_on_signals(loop.stop):
        announce()
        loop.run()


def _say_nothing(_host: str, _port: int) -> None:
    pass


def _do_nothing() -> None:
    pass
