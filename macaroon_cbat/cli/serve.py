"""`macaroon-cbat serve`: the service on the embedded TLS server."""

import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from macaroon_cbat.cli.options import FILE, data_option, log_to_stderr, now
from macaroon_cbat.cli.server_certificate import server_certificate
from macaroon_cbat.files.watching import Followed
from macaroon_cbat.forwarded import Forwarded
from macaroon_cbat.journal import flush_refusals
from macaroon_cbat.journal.file import reopen_journal
from macaroon_cbat.metrics import CertificateExpiry, metrics_listener, serve_metrics
from macaroon_cbat.service import Settings, create_app, settings_from_environment
from macaroon_cbat.service.client_certificates import ClientTrust
from macaroon_cbat.service.key_age import KeyAge
from macaroon_cbat.service.proxy_secret import ProxiesWithSecretFile
from macaroon_cbat.service.settings import data_folder
from macaroon_cbat.stores import open_stores
from macaroon_cbat.tls import serve

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

_NEXT = """\
macaroon-cbat serves {issuer}
  data folder     {data}
  server trusted  {trust}

Next, in another terminal:
  {command} client add billing --scope "read write" --audience https://api.example{option}
  {command} token mint --issuer {issuer} --cacert {trust} \\
      --client-id billing --client-secret SECRET --resource https://api.example --scope read > token
  {command} token inspect < token
"""


@click.command("serve")
@data_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 is every IPv4 address, :: every IPv6 and IPv4 one.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8443, show_default=True)
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
    "--metrics-port",
    type=click.IntRange(1, 65535),
    help="Show metrics on this port, in the clear. [env: MACAROON_CBAT_METRICS_PORT]",
)
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Address of that port.")
def serve_command(
    data: Path | None,
    host: str,
    port: int,
    issuer: str | None,
    workers: int,
    threads: int,
    certificate: Path | None,
    key: Path | None,
    metrics_port: int | None,
    metrics_host: str,
) -> None:
    """Run the service over TLS; it asks for client certificates and accepts any."""
    settings = settings_from_environment(data=data, issuer=issuer)
    if settings.issuer is None:
        settings = replace(settings, issuer=f"https://localhost:{port}")
    folder = data or data_folder()
    log_to_stderr()
    files, renew = server_certificate(folder, host, settings, certificate, key)
    _prepare(settings)
    with metrics_listener(metrics_host, metrics_port or settings.metrics_port) as metrics:
        worker = _Worker(settings, metrics, feed_waiters=threads // 2)
        serve(
            worker.application,
            host=host,
            port=port,
            certificate=files.certificate,
            key=files.key,
            workers=workers,
            threads=threads,
            proxy_headers=settings.peer.headers if isinstance(settings.peer, Forwarded) else (),
            on_end=flush_refusals,
            on_ready=lambda _host, _port: _say_what_next(str(settings.issuer), folder, files.ca),
            renew=renew,
            followed=worker.followed(),
            on_hangup=reopen_journal,
            on_certificate=worker.expiry.note,
        )


class _Worker:
    """A process that serves: its application, which also shows the metrics of them all."""

    def __init__(self, settings: Settings, metrics: socket.socket | None, *, feed_waiters: int) -> None:
        self._settings, self._metrics, self._feed_waiters = settings, metrics, feed_waiters
        self._trust = ClientTrust(settings.client_ca)
        self.expiry = CertificateExpiry()

    def application(self) -> "WSGIApplication":
        """Return the application, made after the fork."""
        app = create_app(self._settings, trust=self._trust, feed_waiters=self._feed_waiters)
        if self._metrics is not None:
            age = KeyAge(app.extensions["macaroon_cbat"], time.time)
            serve_metrics(self._metrics, age, self.expiry)
        return app

    def followed(self) -> list[Followed[Any]]:
        """Return what all processes follow: a worker that takes another's place begins with what is valid."""
        peer = self._settings.peer
        proxies = peer.trust if isinstance(peer, Forwarded) else None
        secret = proxies.followed if isinstance(proxies, ProxiesWithSecretFile) else None
        return [one for one in (self._trust.followed, secret) if one is not None]


def _prepare(settings: Settings) -> None:
    """Open and upgrade the database before any worker is forked: mistakes show at once, in one line."""
    open_stores(settings.database_url, settings.wrapping_key, now()).database.close()


def _say_what_next(issuer: str, folder: Path, ca: Path) -> None:
    """Print commands that can be typed as they stand, in a terminal where nothing was exported."""
    option = "" if folder == data_folder(_without_data(os.environ)) else f" --data {quote(str(folder))}"
    trust = quote(str(ca))
    click.echo(
        _NEXT.format(command=_own_name(), issuer=issuer, data=folder, trust=trust, option=option), nl=False
    )
    sys.stdout.flush()


def _own_name() -> str:
    """Return how this command is typed here: by name where it is on the PATH, else by its path."""
    if shutil.which("macaroon-cbat"):
        return "macaroon-cbat"
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return f"{quote(sys.executable)} -m macaroon_cbat"
    return quote(str(script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script))


def _without_data(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name != "MACAROON_CBAT_DATA"}
