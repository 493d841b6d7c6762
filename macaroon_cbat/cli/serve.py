"""`macaroon-cbat serve`: the service on the embedded TLS server."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from macaroon_cbat.cli.greeting import Greeting
from macaroon_cbat.cli.limits import limit_options, with_limits, without_limits
from macaroon_cbat.cli.listening import listening_options, opened
from macaroon_cbat.cli.logs import log_to_stderr
from macaroon_cbat.cli.options import FILE, data_option, now
from macaroon_cbat.cli.server_certificate import server_certificate
from macaroon_cbat.cli.service_process import serve_service
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.issuers import plain_issuer
from macaroon_cbat.server.limits import limits_that_fit
from macaroon_cbat.service import Settings, settings_from_environment
from macaroon_cbat.service.data_places import data_folder
from macaroon_cbat.service.reloading import SettingsInForce
from macaroon_cbat.service.settings_file import with_file
from macaroon_cbat.stores import open_stores


@click.command("serve", short_help="Run the service over TLS.")
@data_option
@click.option(
    "--init", is_flag=True, help="Make the database, or bring it to this version, record --issuer, and end."
)
@listening_options
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
    "--management-port",
    type=click.IntRange(1, 65535),
    help="Show /livez, /readyz and /metrics on this port, in the clear. [env: MACAROON_CBAT_MANAGEMENT_PORT]",
)
@click.option(
    "--management-host",
    help="Address of that port. [env: MACAROON_CBAT_MANAGEMENT_HOST; default: 127.0.0.1]",
)
@limit_options
def serve_command(
    data: Path | None,
    issuer: str | None,
    workers: int,
    threads: int,
    certificate: Path | None,
    key: Path | None,
    passphrase_file: Path | None,
    management_port: int | None,
    management_host: str | None,
    *,
    init: bool,
    **others: Any,
) -> None:
    """Run the service over TLS; it asks for client certificates and accepts any."""
    log_to_stderr(environment := with_file())
    issuer = None if issuer is None else plain_issuer(issuer, "--issuer")
    at, limits = without_limits(others)
    read = partial(_read, data=data, issuer=issuer, limits=limits)
    settings = read(environment)
    if init:
        click.echo(f"the database in {_prepare(settings, is_init=True)} is ready")
        return
    _check_passphrase(passphrase_file, key)
    folder = data or data_folder(environment)
    with opened(**at) as places:
        places.check(settings)
        settings = _named(settings, places.port)
        files, renew = server_certificate(folder, places.hosts, settings, certificate, key)
        _prepare(settings)
        greeting = Greeting(
            issuer=str(settings.issuer),
            places=places.shown,
            workers=workers,
            threads=threads,
            data=folder,
            certificate=files.certificate,
            ca=files.ca if certificate is None else None,
        )
        management = _management(settings, management_host, management_port)
        in_force = SettingsInForce(settings, environment, partial(_read_again, read))
        pair = {"key": files.key, "passphrase_file": passphrase_file, "renew": renew}
        serve_service(in_force, greeting, places, management, **pair)


def _management(settings: Settings, host: str | None, port: int | None) -> tuple[str, int | None]:
    """Return the address of the management page; an option comes before a variable."""
    operation = settings.operation
    return host or operation.management_host, port or operation.management_port


def _read(
    environment: Mapping[str, str],
    *,
    data: Path | None,
    issuer: str | None,
    limits: Mapping[str, int | None],
    creates: bool = True,
) -> Settings:
    """Return the settings of these variables and options."""
    settings = settings_from_environment(environment, data=data, issuer=issuer, creates=creates)
    return with_limits(settings, limits)


def _read_again(read: Callable[..., Settings], environment: Mapping[str, str]) -> Settings:
    """Return the settings for a reload. Raises SettingsError for limits with which no worker starts."""
    settings = read(environment, creates=False)
    limits_that_fit(settings.limits.of_server())
    return settings


def _check_passphrase(file: Path | None, key: Path | None) -> None:
    if file is not None and key is None:
        raise SettingsError(
            "--key-passphrase-file goes with --key: name the key, or leave the passphrase out"
        )


def _named(settings: Settings, port: int | None) -> Settings:
    """Return the settings with an issuer: that of this machine if none was given."""
    return settings if settings.issuer else replace(settings, issuer=f"https://localhost:{port}")


def _prepare(settings: Settings, *, is_init: bool = False) -> str:
    """Open and upgrade the database before any worker is forked, so that mistakes show at once, in one line.

    Commands before the first start, such as key export, use the recorded issuer.
    """
    upgrades = bool(settings.database_upgrade) or is_init
    stores = open_stores(settings.database_url, settings.wrapping_key, now(), upgrades=upgrades)
    try:
        if is_init and settings.issuer is not None:
            stores.record_issuer(settings.issuer)
    finally:
        stores.database.close()
    return stores.database.place
