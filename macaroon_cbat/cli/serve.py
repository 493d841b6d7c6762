"""`macaroon-cbat serve`: the service on the embedded TLS server."""

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from macaroon_cbat.audit import flush_refusals
from macaroon_cbat.audit.file import reopen_logs
from macaroon_cbat.certificate.forwarded import Forwarded
from macaroon_cbat.cli.greeting import Greeting
from macaroon_cbat.cli.limits import limit_options, with_limits
from macaroon_cbat.cli.options import FILE, data_option, log_to_stderr, now
from macaroon_cbat.cli.server_certificate import server_certificate
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.macaroon.issuers import plain_issuer
from macaroon_cbat.server.certificate_expiry import CertificateExpiry
from macaroon_cbat.server.listener import free_port
from macaroon_cbat.server.metrics_page import metrics_listener, serve_metrics
from macaroon_cbat.server.shared_counters import take_counters
from macaroon_cbat.service import Settings, create_app, settings_from_environment
from macaroon_cbat.service.data_places import data_folder
from macaroon_cbat.service.metrics import follower_gauges, key_age
from macaroon_cbat.service.oauth2.client_certificates import client_trust
from macaroon_cbat.service.proxies import ProxiesWithSecretFile
from macaroon_cbat.service.resource_feeds import FEEDS
from macaroon_cbat.stores import open_stores
from macaroon_cbat.tls import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


@click.command("serve", short_help="Run the service over TLS.")
@data_option
@click.option(
    "--init", is_flag=True, help="Make the database, or bring it to this version, record --issuer, and end."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 is every IPv4 address, :: every IPv6 and IPv4 one.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8443,
    show_default=True,
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--issuer", metavar="URL", help="Public URL. [env: MACAROON_CBAT_ISSUER; default: https://localhost:PORT]"
)
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
@click.option(
    "--threads", type=click.IntRange(1, 256), default=8, show_default=True, help="Threads a process."
)
@click.option(
    "--cert",
    "certificate",
    type=FILE,
    metavar="FILE",
    help="Server certificate chain, PEM, followed when renewed. [default: one from the development CA]",
)
@click.option("--key", type=FILE, metavar="FILE", help="Its private key, PEM.")
@click.option(
    "--key-passphrase-file",
    "passphrase_file",
    type=FILE,
    metavar="FILE",
    help="File with the passphrase of an encrypted key.",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    help="Show metrics on this port, in the clear. [env: MACAROON_CBAT_METRICS_PORT]",
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of that port.")
@limit_options
def serve_command(
    data: Path | None,
    host: str,
    port: int,
    issuer: str | None,
    workers: int,
    threads: int,
    certificate: Path | None,
    key: Path | None,
    passphrase_file: Path | None,
    metrics_port: int | None,
    metrics_host: str,
    *,
    init: bool,
    **limits: int | None,
) -> None:
    """Run the service over TLS; it asks for client certificates and accepts any."""
    log_to_stderr()
    issuer = None if issuer is None else plain_issuer(issuer, "--issuer")
    settings = with_limits(settings_from_environment(data=data, issuer=issuer), limits)
    if init:
        click.echo(f"the database in {_prepare(settings, recorded=settings.issuer)} is ready")
        return
    port = port or free_port(host)
    settings = _named(settings, port)
    if passphrase_file is not None and key is None:
        raise SettingsError(
            "--key-passphrase-file goes with --key: name the key, or leave the passphrase out"
        )
    folder = data or data_folder()
    files, renew = server_certificate(folder, host, settings, certificate, key)
    _prepare(settings)
    greeting = Greeting(
        issuer=str(settings.issuer),
        workers=workers,
        threads=threads,
        metrics=(metrics_host, metrics_port or settings.metrics_port),
        data=folder,
        certificate=files.certificate,
        ca=files.ca if certificate is None else None,
    )
    _serve(
        settings, greeting, host=host, port=port, key=files.key, passphrase_file=passphrase_file, renew=renew
    )


def _named(settings: Settings, port: int) -> Settings:
    """Return the settings with an issuer: that of this machine if none was given."""
    return settings if settings.issuer else replace(settings, issuer=f"https://localhost:{port}")


def _serve(settings: Settings, greeting: Greeting, **listening: Any) -> None:
    """Serve until a signal ends it; `listening` is what remains of the command's options."""
    source = settings.certificate_source
    with metrics_listener(*greeting.metrics, processes=greeting.workers, spare=greeting.data) as metrics:
        worker = _Worker(settings, metrics, feed_waiters=greeting.threads // 2)
        serve(
            worker.application,
            certificate=greeting.certificate,
            workers=greeting.workers,
            threads=greeting.threads,
            proxy_headers=source.headers if isinstance(source, Forwarded) else (),
            on_end=flush_refusals,
            on_ready=greeting.say,
            limits=settings.limits.of_server(),
            followed=worker.followed(),
            on_hangup=reopen_logs,
            on_certificate=worker.expiry.show,
            **listening,
        )


class _Worker:
    """A process that serves: its application, and the metrics of all processes."""

    def __init__(self, settings: Settings, metrics: socket.socket | None, *, feed_waiters: int) -> None:
        self._settings, self._metrics, self._feed_waiters = settings, metrics, feed_waiters
        self._trust = client_trust(settings)
        self.expiry = CertificateExpiry()

    def application(self) -> "WSGIApplication":
        """Return the application, made after the fork."""
        if self._metrics is not None:
            take_counters()
        app = create_app(self._settings, trust=self._trust, feed_waiters=self._feed_waiters)
        if self._metrics is not None:
            age = key_age(app.extensions["macaroon_cbat"], time.time)
            waiting = follower_gauges(app.extensions[FEEDS])
            serve_metrics(self._metrics, age, self.expiry.gauge, *waiting)
        return app

    def followed(self) -> list[Followed[Any]]:
        """Return the files that all processes follow: a replacing worker begins with the valid ones."""
        certificate_source = self._settings.certificate_source
        proxies = certificate_source.trust if isinstance(certificate_source, Forwarded) else None
        secret = proxies.followed if isinstance(proxies, ProxiesWithSecretFile) else None
        return [*self._trust.followed, *([] if secret is None else [secret])]


def _prepare(settings: Settings, *, recorded: str | None = None) -> str:
    """Open and upgrade the database before any worker is forked, so that mistakes show at once, in one line.

    Commands before the first start, such as key export, use the recorded issuer.
    """
    stores = open_stores(settings.database_url, settings.wrapping_key, now())
    try:
        if recorded is not None:
            stores.record_issuer(recorded)
    finally:
        stores.database.close()
    return stores.database.place
