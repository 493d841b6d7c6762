"""Options of a proxy that introspects tokens itself: Apache with mod_oauth2."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from macaroon_cbat.cli.options import FILE, read_secret
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.issuers import plain_issuer
from macaroon_cbat.proxy_config import ProxyIntrospection

_OPTIONS = (
    click.option(
        "--issuer",
        metavar="URL",
        help="Apache: the service at which mod_oauth2 introspects each token, in place of a gateway.",
    ),
    click.option(
        "--client-id", metavar="NAME", help="Apache's own client, registered with --checks-certificates."
    ),
    click.option("--client-secret-file", type=FILE, metavar="FILE", help="The secret of that client."),
    click.option("--scope", metavar="SCOPES", help="The scopes that a token must have."),
    click.option(
        "--cache-seconds",
        type=int,
        metavar="SECONDS",
        help="Seconds for which an answer is remembered, and a revocation goes unnoticed. [default: 0]",
    ),
)


def introspecting_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options. The command takes `introspecting` in their place, None without --issuer."""

    @wraps(command)
    def with_settings(**options: Any) -> None:
        names = ("issuer", "client_id", "client_secret_file", "scope", "cache_seconds")
        command(introspecting=_introspecting(**{name: options.pop(name) for name in names}), **options)

    for option in reversed(_OPTIONS):
        with_settings = option(with_settings)
    return with_settings


def _introspecting(
    issuer: str | None,
    client_id: str | None,
    client_secret_file: Path | None,
    scope: str | None,
    cache_seconds: int | None,
) -> ProxyIntrospection | None:
    """Return the settings that the options name. Raises SettingsError if some are missing."""
    given = (client_id, client_secret_file, scope, cache_seconds)
    if issuer is None and all(option is None for option in given):
        return None
    if issuer is None or client_id is None or client_secret_file is None or scope is None:
        raise SettingsError(
            "--issuer, --client-id, --client-secret-file and --scope go together: give all four"
        )
    secret = read_secret(client_secret_file)
    return ProxyIntrospection(
        issuer=plain_issuer(issuer, "--issuer"),
        client_id=client_id,
        client_secret=secret,
        scope=scope,
        cache_seconds=cache_seconds or 0,
    )
