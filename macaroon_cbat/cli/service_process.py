"""The processes of `serve`: the application of each, its management page, and the files that all follow."""

import logging
import os
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from macaroon_cbat import __version__
from macaroon_cbat.audit import flush_refusals
from macaroon_cbat.audit.file import reopen_logs
from macaroon_cbat.certificate.forwarded import Forwarded
from macaroon_cbat.cli.greeting import Greeting
from macaroon_cbat.cli.listening import Places, shown_place
from macaroon_cbat.cli.logs import set_log
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.server.limits import limits_that_fit
from macaroon_cbat.server.management import management_listener, serve_management
from macaroon_cbat.server.process_metrics import BuildInfo, ProcessMetrics
from macaroon_cbat.server.readiness import Readiness
from macaroon_cbat.server.shared_counters import take_counters
from macaroon_cbat.service import Settings, create_app
from macaroon_cbat.service.adjusting import adjust
from macaroon_cbat.service.metrics import (
    certificate_expiry,
    key_age,
    look_age,
    publish_connections,
    publish_followers,
)
from macaroon_cbat.service.oauth2.client_certificates import client_trust
from macaroon_cbat.service.proxies import ProxiesWithSecretFile
from macaroon_cbat.service.readiness import service_checks
from macaroon_cbat.service.reloading import SettingsInForce
from macaroon_cbat.service.resource_feeds import FEEDS, ResourceFeeds
from macaroon_cbat.service.tracing import TRACING, Tracing
from macaroon_cbat.stores import Stores
from macaroon_cbat.tls import serve
from macaroon_cbat.tls.loop import Loop

log = logging.getLogger("macaroon_cbat.service")

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def serve_service(
    in_force: SettingsInForce,
    greeting: Greeting,
    places: Places,
    address: tuple[str, int | None],
    **pair: Any,
) -> None:
    """Serve at these places until a signal ends it; probes and metrics are at the address.

    `pair` are the key of the server certificate and what belongs to it.
    """
    settings, workers = in_force.settings, greeting.workers
    source = settings.certificate_source
    with management_listener(
        *address, processes=workers, spare=greeting.data, handed=places.management
    ) as management:
        shown = None if management is None else f"http://{shown_place(management)}"
        process = _Process(in_force, management, feed_waiters=greeting.threads // 2, is_worker=workers > 1)
        serve(
            process.application,
            certificate=greeting.certificate,
            workers=workers,
            threads=greeting.threads,
            proxy_headers=source.headers if isinstance(source, Forwarded) else (),
            on_end=process.end,
            listeners=places.sockets,
            on_ready=lambda *_: greeting.say(shown),
            on_loop=process.watch,
            on_stop=process.stop,
            limits=settings.limits.of_server(),
            followed=process.followed(),
            before_hangup=process.reload,
            on_hangup=process.follow,
            on_certificate=process.note_expiry,
            **pair,
        )


class _Process:
    """A process that serves: its application, and the metrics of all processes."""

    def __init__(
        self,
        in_force: SettingsInForce,
        management: socket.socket | None,
        *,
        feed_waiters: int,
        is_worker: bool,
    ) -> None:
        self._in_force, self._management, self._feed_waiters = in_force, management, feed_waiters
        self._is_worker = is_worker
        self._trust = client_trust(in_force.settings)
        self._readiness = Readiness({})
        self._loop: Loop | None = None
        self._tracing: Tracing | None = None
        self._adjust: Callable[[Settings], None] = lambda _settings: None
        self._adjusted = in_force.settings
        self._expires: int | None = None

    def application(self) -> "WSGIApplication":
        """Return the application, made after the fork."""
        if self._management is not None:
            take_counters()
        self._adjusted = settings = self._in_force.settings
        app = create_app(settings, trust=self._trust, feed_waiters=self._feed_waiters)
        self._adjust, self._tracing = adjust(app), app.extensions[TRACING]
        if self._management is not None:
            self._show(self._management, app.extensions["macaroon_cbat"], app.extensions[FEEDS])
        return app

    def _show(self, management: socket.socket, stores: Stores, feeds: ResourceFeeds) -> None:
        """Answer probes and scrapes."""
        self._readiness = Readiness(service_checks(stores, self._expiry, time.time))
        main = os.getppid() if self._is_worker else os.getpid()  # the one that the operator started
        collectors = (
            key_age(stores, time.time),
            certificate_expiry(self._expiry),
            look_age(feeds),
            ProcessMetrics(main),
            BuildInfo(__version__),
        )

        def publish() -> None:
            publish_connections(stores)
            publish_followers(feeds)

        serve_management(management, self._readiness, collectors, publish=publish)

    def note_expiry(self, seconds: int) -> None:
        """Note when the server certificate in force expires."""
        self._expires = seconds

    def _expiry(self) -> int | None:
        return self._expires

    def watch(self, loop: Loop) -> None:
        """Let probes learn whether the loop of this process goes on, and give it the limits of now."""
        self._loop, self._readiness.is_alive = loop, loop.goes_on
        loop.allow(limits_that_fit(self._adjusted.limits.of_server()))

    def reload(self) -> None:
        """Read the settings again, in the process that was started; the log says what came of it."""
        if self._in_force.reload():
            operation = self._in_force.settings.operation
            set_log(operation.log_format, operation.log_level)

    def follow(self) -> None:
        """Reopen logs, and put the settings of now in force in a process that serves."""
        reopen_logs()
        self._in_force.reload(is_quiet=True)
        new, old = self._in_force.settings, self._adjusted
        if new is old or self._loop is None:
            return
        try:
            self._adjust(new)
        except SettingsError as error:
            log.error("keeping the settings in force: %s", error)  # noqa: TRY400 # no defect of ours
            return
        self._adjusted = new
        set_log(new.operation.log_format, new.operation.log_level)
        self._loop.allow(limits_that_fit(new.limits.of_server()))

    def end(self) -> None:
        """Write and send what waits: a worker runs no exit handlers."""
        flush_refusals()
        if self._tracing is not None:
            self._tracing.stop()

    def stop(self) -> None:
        """Say to probes that the process is stopping; called by a signal handler."""
        self._readiness.stop()

    def followed(self) -> list[Followed[Any]]:
        """Return the files that all processes follow: a replacing worker begins with the valid ones."""
        certificate_source = self._in_force.settings.certificate_source
        proxies = certificate_source.trust if isinstance(certificate_source, Forwarded) else None
        secret = proxies.followed if isinstance(proxies, ProxiesWithSecretFile) else None
        return [*self._trust.followed, *([] if secret is None else [secret])]
