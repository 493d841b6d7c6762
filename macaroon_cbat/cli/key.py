"""`macaroon-cbat key ...`: root keys, and the keys of one audience for its resource server."""

from datetime import UTC, datetime
from pathlib import Path

import click

from macaroon_cbat.cli.options import FILE, data_option, json_option, now, print_json, stores_in, write_secret
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.keys import audience_keys, write_key_file
from macaroon_cbat.service.settings import DEFAULT_ISSUER
from macaroon_cbat.stores.clients import is_resource_uri


@click.group()
def key() -> None:
    """Root keys, and the keys of one audience."""


@key.command("list")
@data_option
@json_option
def list_keys(data: Path | None, *, as_json: bool) -> None:
    """List the root keys; new tokens are minted with the current one."""
    records = stores_in(data)[1].root_keys.records()
    if as_json:
        print_json(records)
        return
    for record in records:
        made = datetime.fromtimestamp(record.created_at, UTC)
        click.echo(f"{record.kid}  {made:%Y-%m-%d %H:%M:%SZ}  {'current' if record.is_current else 'old'}")


@key.command()
@data_option
@json_option
def rotate(data: Path | None, *, as_json: bool) -> None:
    """Make a new current root key. Tokens of the old ones verify until they expire.

    Resource servers that verify offline need the new key: export it for each of them.
    """
    record = stores_in(data)[1].root_keys.rotate(now())
    if as_json:
        print_json(record)
        return
    click.echo(f"{record.kid} is the current key; now run key export for each audience")


@key.command()
@click.option("--audience", required=True, metavar="URL", help="The resource server's audience.")
@click.option("--output", type=FILE, metavar="FILE", help="Write to FILE with mode 0600. [default: stdout]")
@data_option
def export(audience: str, output: Path | None, data: Path | None) -> None:
    """Print what the resource server of one audience needs to verify tokens offline.

    The keys verify, and could mint, tokens for this audience only. Keep them as secret as a password.
    """
    if not is_resource_uri(audience):
        raise SettingsError(f"audience {audience!r} must be an absolute URI without a fragment (RFC 8707 2)")
    settings, stores = stores_in(data)
    if not any(audience in client.metadata.audiences for client in stores.clients.all()):
        click.echo(f"note: no client is registered for audience {audience}", err=True)
    issuer = settings.issuer or stores.recorded_issuer() or DEFAULT_ISSUER
    content = write_key_file(audience_keys(issuer, audience, stores.root_keys.all()))
    if output is None:
        click.echo(content, nl=False)
    else:
        write_secret(output, content)
