"""Serve a WSGI application over TLS; it sees the client certificate of each connection."""

import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from macaroon_cbat.certificate.formats import CERTIFICATE_HEADERS
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.server.address import UNIX
from macaroon_cbat.server.limits import Limits, limits_that_fit
from macaroon_cbat.server.listener import listening
from macaroon_cbat.server.prefork import Prefork
from macaroon_cbat.server.service_manager import tell_ready, tell_stopping
from macaroon_cbat.server.signals import calling_on_signals, hearing_hangups
from macaroon_cbat.tls.loop import Loop
from macaroon_cbat.tls.renewal import Duties, Following, FollowingLoop, Hangups
from macaroon_cbat.tls.server_certificate import ServerCertificate
from macaroon_cbat.tls.site import Site, removed_keys

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def serve(  # noqa: PLR0913  # one keyword a setting
    make_app: "Callable[[], WSGIApplication]",
    *,
    host: str | Sequence[str] = "127.0.0.1",
    port: int = 8443,
    listeners: Sequence[socket.socket] | None = None,
    certificate: Path,
    key: Path,
    passphrase_file: Path | None = None,
    workers: int = 1,
    threads: int = 8,
    on_ready: Callable[[str, int], None] | None = None,
    on_end: Callable[[], None] | None = None,
    on_stop: Callable[[], None] | None = None,
    proxy_headers: Iterable[str] = CERTIFICATE_HEADERS,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    followed: Sequence[Followed[Any]] = (),
    renew: Callable[[], object] | None = None,
    before_hangup: Callable[[], object] | None = None,
    on_hangup: Callable[[], object] | None = None,
    on_certificate: Callable[[int], object] | None = None,
    on_loop: Callable[[Loop], object] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, finish the requests under way and return. Raises SettingsError.

    The application finds the client certificate in its environ under PEER_CERTIFICATE. Nothing was checked
    but that the client holds its key. Each worker calls `make_app` once, after the fork. `on_ready` gets the
    host and the real port once requests are answered; `on_end` is called in each worker after its last one,
    for a worker runs no `atexit`. `on_stop` is called there when a stop signal comes, by its handler: it may
    set a flag and no more. The application sees `proxy_headers` alone of the UNTRUSTED_HEADERS: it
    must judge their sender, as `Forwarded` does.

    `host` is one address or several; `unix:PATH` is a Unix socket for owner and group, over which a proxy
    speaks plain HTTP. `listeners` are sockets that listen already, in place of host and port. `on_loop` gets,
    in each worker, its loop, which says whether it goes on, and takes other limits. A service manager that
    set NOTIFY_SOCKET (systemd's `Type=notify`) is told when the server is ready, reloads and stops.

    `certificate`, `key` and the `passphrase_file` of an encrypted key are followed: new connections get the
    last valid pair, within seconds, or at once after SIGHUP, which ends nothing. SIGHUP also calls
    `before_hangup` in the process that was started, and then `on_hangup` in each worker, in a thread: reopen
    logs there. `renew` is called once an hour and after
    SIGHUP, in one process: it may replace the files. `on_certificate` is told in each worker at which
    second the certificate in force expires. `followed` are values that all processes follow alike, so that
    a new worker begins with the last valid ones.
    """
    if workers < 1 or threads < 1:
        raise SettingsError("at least one worker and one thread are needed")
    with ExitStack() as stack:
        stack.enter_context(hearing_hangups((hangups := Hangups()).hear))
        pair, limits = ServerCertificate(certificate, key, passphrase_file), limits_that_fit(limits)
        removed, is_alone = removed_keys(proxy_headers), workers == 1
        duties = Duties(
            others=followed,
            before_hangup=before_hangup or _do_nothing,
            on_hangup=on_hangup or _do_nothing,
            renew=renew or _do_nothing,
            on_certificate=on_certificate or _do_nothing,
        )
        hosts = [host] if isinstance(host, str) else host
        listening_at = stack.enter_context(listening(hosts, port) if listeners is None else _lent(listeners))
        name, real_port = _named(listening_at, hosts)

        def make_loop() -> FollowingLoop:
            site = Site(make_app(), name, real_port, not is_alone, removed)
            loop = Loop(listening_at, pair, site, limits, threads, on_end=on_end or _do_nothing)
            (on_loop or _do_nothing)(loop)
            own = replace(duties, is_quiet=not is_alone, is_alive=loop.goes_on)
            return FollowingLoop(loop, Following(pair, hangups, own), on_stop or _do_nothing)

        announce = partial(on_ready or _do_nothing, name, real_port)
        if is_alone:
            _run_here(make_loop, announce)
        else:
            prefork = Prefork(listening_at, workers, limits.request_seconds)
            prefork.tick = Following(pair, hangups, _of_parent(duties, prefork)).tick
            prefork.run(make_loop, announce)


def _of_parent(duties: Duties, prefork: Prefork) -> Duties:
    """Return the duties of the process that warns, renews, and passes SIGHUP on to the workers."""
    hand_on = partial(prefork.signal_workers, signal.SIGHUP)
    return replace(duties, on_hangup=hand_on, on_certificate=_do_nothing)


@contextmanager
def _lent(listeners: Sequence[socket.socket]) -> Iterator[Sequence[socket.socket]]:
    """Close the sockets at the end. Raises SettingsError if there are none."""
    if not listeners:
        raise SettingsError("there is no listening socket: pass one, or host and port")
    with ExitStack() as stack:
        yield [stack.enter_context(closing(sock)) for sock in listeners]


def _named(listeners: Sequence[socket.socket], hosts: Sequence[str]) -> tuple[str, int]:
    """Return the first host and its port, as the application sees them; port 443 for Unix sockets alone."""
    ports = [sock.getsockname()[1] for sock in listeners if sock.family != socket.AF_UNIX]
    names = [one for one in hosts if not one.startswith(UNIX)]
    return (names[0] if names else "localhost"), (ports[0] if ports else 443)


def _run_here(make_loop: Callable[[], FollowingLoop], announce: Callable[[], None]) -> None:
    loop = make_loop()

    def stop() -> None:
        tell_stopping()
        loop.stop()

    with calling_on_signals(stop):
        announce()
        tell_ready("serving")
        loop.run()


def _do_nothing(*_: object) -> None:
    pass
