"""The two ways of administration: on the database, or through the HTTP interface of a service."""

import time
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click

from macaroon_cbat.audit.event import EventKind
from macaroon_cbat.cli.audit import write_change
from macaroon_cbat.cli.http_administration import HttpAdministration
from macaroon_cbat.cli.options import (
    FILE,
    client_certificate,
    database_options,
    passphrase_option,
    read_secret,
    say_changed,
    stores_in,
    wants_init,
)
from macaroon_cbat.client import TokenClient
from macaroon_cbat.client.service_calls import ServiceCalls
from macaroon_cbat.macaroon.issuers import plain_issuer
from macaroon_cbat.service.admin.administration import Administration
from macaroon_cbat.service.settings import DEFAULT_ISSUER

_OPTIONS = (
    click.option(
        "--issuer", metavar="URL", help="Administer the service at URL over HTTP, not the database."
    ),
    click.option(
        "--cacert", type=FILE, metavar="FILE", help="CA of its certificate. [default: the system's]"
    ),
    click.option("--cert", "certificate", type=FILE, metavar="FILE", help="Your client certificate, PEM."),
    click.option("--key", "key_file", type=FILE, metavar="FILE", help="Its key. [default: in the same file]"),
    passphrase_option,
    click.option("--client-id", metavar="ID", help="Your client, which has the scope admin."),
    click.option("--client-secret-file", type=FILE, metavar="FILE", help="File with its secret; - is stdin."),
)


Verbs = Administration | HttpAdministration
"""Administration on the database, or through the HTTP interface."""


def administration_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --data, and the options of the HTTP interface; the command takes `verbs` in their place."""

    @wraps(command)
    def chosen(
        *arguments: Any,
        data: Path | None,
        issuer: str | None,
        cacert: Path | None,
        certificate: Path | None,
        key_file: Path | None,
        passphrase_file: Path | None,
        client_id: str | None,
        client_secret_file: Path | None,
        **options: Any,
    ) -> None:
        there = (issuer, cacert, certificate, key_file, passphrase_file, client_id, client_secret_file)
        if any(one is not None for one in there):
            if data is not None:
                raise click.UsageError(
                    "--data is the database and --issuer the HTTP interface: use one of them"
                )
            if wants_init():
                raise click.UsageError("--init makes a database, and --issuer is the HTTP interface: use one")
            command(*arguments, verbs=_over_http(*there), **options)
        else:
            _on_database(data, partial(command, *arguments, **options))

    for option in reversed(_OPTIONS):
        chosen = option(chosen)
    return database_options(chosen)


def _on_database(data: Path | None, command: Callable[..., Any]) -> None:
    """Run the command on the database. Name the database afterwards if the command changed anything."""
    settings, stores = stores_in(data)
    issuer = settings.issuer or stores.recorded_issuer() or DEFAULT_ISSUER
    changes: list[str] = []

    def audit_change(kind: EventKind, /, **members: Any) -> None:
        changes.append(kind)
        write_change(kind, **members)

    command(verbs=Administration(stores, issuer, time.time, audit_change))
    if changes:
        say_changed(stores)


def _over_http(
    issuer: str | None,
    cacert: Path | None,
    certificate: Path | None,
    key_file: Path | None,
    passphrase_file: Path | None,
    client_id: str | None,
    client_secret_file: Path | None,
) -> Verbs:
    issuer = None if issuer is None else plain_issuer(issuer, "--issuer")
    presented = client_certificate(certificate, key_file, passphrase_file)
    if issuer is None or presented is None or client_id is None:
        raise click.UsageError("the HTTP interface needs --issuer, --cert and --client-id together")
    secret = None if client_secret_file is None else read_secret(client_secret_file)
    tokens = TokenClient(
        issuer=issuer,
        client_id=client_id,
        client_secret=secret,
        certificate=presented,
        ca=cacert,
        scope="admin",
        resource=issuer,
    )
    return HttpAdministration(ServiceCalls(tokens), client_id)
