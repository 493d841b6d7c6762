"""`macaroon-cbat client ...`: register clients and resource servers."""

import secrets
from pathlib import Path
from typing import get_args

import click
import msgspec

from macaroon_cbat.cli.auditing import audit
from macaroon_cbat.cli.options import FILE, data_option, json_option, now, print_json, stores_in, write_secret
from macaroon_cbat.cli.thumbprint import thumbprint_in
from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.stores import Client
from macaroon_cbat.stores.clients import SECRET_METHODS, ClientAuthMethod, metadata_from

SECRET_BYTES = 32


@click.group()
def client() -> None:
    """Clients and resource servers."""


@client.command()
@click.argument("name")
@click.option("--scope", required=True, help='What it may ask for, such as "read write".')
@click.option(
    "--audience",
    "audiences",
    multiple=True,
    metavar="URL",
    help="A resource server it may call, or the one it is. May be repeated.",
)
@click.option(
    "--auth",
    "method",
    type=click.Choice(get_args(ClientAuthMethod)),
    default="client_secret_basic",
    show_default=True,
    help="How it authenticates.",
)
@click.option(
    "--certificate",
    "certificates",
    multiple=True,
    type=FILE,
    metavar="FILE",
    help="Its certificate, for self_signed_tls_client_auth. May be repeated.",
)
@click.option("--subject-dn", metavar="DN", help="Its certificate's subject (RFC 4514), for tls_client_auth.")
@click.option("--san-dns", metavar="NAME", help="Its certificate's DNS name, for tls_client_auth.")
@click.option("--san-uri", metavar="URI", help="Its certificate's URI, for tls_client_auth.")
@click.option(
    "--bound",
    is_flag=True,
    help="Mint its tokens already bound to the certificate of its "
    "connection (tls_client_certificate_bound_access_tokens).",
)
@click.option(
    "--understands-caveats", is_flag=True, help="As a resource server it judges every caveat itself."
)
@click.option("--secret-file", type=FILE, metavar="FILE", help="Write the secret to FILE with mode 0600.")
@data_option
@json_option
def add(
    name: str,
    scope: str,
    audiences: tuple[str, ...],
    method: str,
    certificates: tuple[Path, ...],
    subject_dn: str | None,
    san_dns: str | None,
    san_uri: str | None,
    secret_file: Path | None,
    data: Path | None,
    *,
    bound: bool,
    understands_caveats: bool,
    as_json: bool,
) -> None:
    """Register client NAME, which becomes its client_id. Its secret is shown once."""
    metadata = metadata_from(
        {
            "token_endpoint_auth_method": method,
            "scope": scope,
            "audiences": audiences,
            "tls_client_certificate_bound_access_tokens": bound or method == "none",
            "tls_client_auth_subject_dn": subject_dn,
            "tls_client_auth_san_dns": san_dns,
            "tls_client_auth_san_uri": san_uri,
            "certificates": tuple(thumbprint_in(file) for file in certificates),
            "understands_caveats": understands_caveats,
        }
    )
    secret = secrets.token_urlsafe(SECRET_BYTES) if method in SECRET_METHODS else None
    clients = stores_in(data)[1].clients
    added = clients.add(name, metadata, secret=secret, now=now())
    try:
        if secret is not None and secret_file is not None:
            write_secret(secret_file, secret.encode() + b"\n")
            secret = None
        audit("client.added", client_id=name, scope=scope, audience=" ".join(audiences) or None)
    except MacaroonError:
        clients.remove(name)  # nobody would ever know its secret, or that it was added
        raise
    _show_added(added, secret, as_json=as_json)


def _show_added(added: Client, secret: str | None, *, as_json: bool) -> None:
    if not added.metadata.audiences:
        click.echo(
            "note: without --audience, every introspecting resource server accepts its tokens", err=True
        )
    if as_json:
        shown = {} if secret is None else {"client_secret": secret}
        print_json({"client_id": added.client_id, **shown, **msgspec.to_builtins(added.metadata)})
        return
    click.echo(f"client_id:     {added.client_id}")
    if secret is not None:
        click.echo(f"client_secret: {secret}")
        click.echo("The secret is not shown again.", err=True)


@client.command("list")
@data_option
@json_option
def list_clients(data: Path | None, *, as_json: bool) -> None:
    """List the registered clients."""
    found = stores_in(data)[1].clients.all()
    if as_json:
        print_json([{"client_id": one.client_id, **msgspec.to_builtins(one.metadata)} for one in found])
        return
    for one in found:
        click.echo(_line(one))


@client.command()
@click.argument("name")
@data_option
def remove(name: str, data: Path | None) -> None:
    """Remove client NAME; services know within a second. Tokens it has live until they expire."""
    if not stores_in(data)[1].clients.remove(name):
        raise click.UsageError(f"no client {name!r}: see client list")
    audit("client.removed", client_id=name)
    click.echo(f"removed {name}")


def _line(one: Client) -> str:
    bound = "  bound" if one.metadata.tls_client_certificate_bound_access_tokens else ""
    return (
        f"{one.client_id}  {one.metadata.token_endpoint_auth_method}  "
        f'"{one.metadata.scope}"  {" ".join(one.metadata.audiences) or "-"}{bound}'
    )
