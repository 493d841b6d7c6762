"""`macaroon-cbat client ...`: register clients and resource servers."""

from pathlib import Path
from typing import get_args

import click
import msgspec

from macaroon_cbat.cli.administering import Verbs, administration_options
from macaroon_cbat.cli.options import FILE, json_option, print_json, write_secret
from macaroon_cbat.cli.thumbprint import thumbprint_in
from macaroon_cbat.errors import NotFound, SettingsError
from macaroon_cbat.service.administration import ClientRecord, NewClient
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.clients import ClientAuthMethod


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
@click.option(
    "--checks-certificates",
    is_flag=True,
    help="As a resource server it compares cnf with the certificate of each connection (RFC 8705 3).",
)
@click.option("--secret-file", type=FILE, metavar="FILE", help="Write the secret to FILE with mode 0600.")
@administration_options
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
    *,
    verbs: Verbs,
    bound: bool,
    understands_caveats: bool,
    checks_certificates: bool,
    as_json: bool,
) -> None:
    """Register client NAME, which becomes its client_id. Its secret is shown once."""
    members: dict[str, object] = {
        "client_id": name,
        "token_endpoint_auth_method": method,
        "scope": scope,
        "audiences": audiences,
        "tls_client_certificate_bound_access_tokens": bound or method == "none",
        "tls_client_auth_subject_dn": subject_dn,
        "tls_client_auth_san_dns": san_dns,
        "tls_client_auth_san_uri": san_uri,
        "certificates": tuple(thumbprint_in(file) for file in certificates),
        "understands_caveats": understands_caveats,
        "checks_certificates": checks_certificates,
    }
    added = verbs.add_client(members)
    secret = added.client_secret
    if secret is not None and secret_file is not None:
        try:
            write_secret(secret_file, secret.encode() + b"\n")
        except SettingsError:
            verbs.remove_client(name)  # nobody would ever know its secret
            raise
        secret = None
    _show_added(added, secret, as_json=as_json)


def _show_added(added: NewClient, secret: str | None, *, as_json: bool) -> None:
    if not added.audiences:
        click.echo(
            "note: without --audience, every introspecting resource server accepts its tokens", err=True
        )
    if as_json:
        shown = {} if secret is None else {"client_secret": secret}
        print_json({"client_id": added.client_id, **shown, **_metadata(added)})
        return
    click.echo(f"client_id:     {added.client_id}")
    if secret is not None:
        click.echo(f"client_secret: {secret}")
        click.echo("The secret is not shown again.", err=True)


def _metadata(one: ClientRecord) -> dict[str, object]:
    members: dict[str, object] = msgspec.to_builtins(one)
    return {name: value for name, value in members.items() if name in ClientMetadata.__struct_fields__}


@client.command("list")
@administration_options
@json_option
def list_clients(*, verbs: Verbs, as_json: bool) -> None:
    """List the registered clients."""
    found = verbs.clients()
    if as_json:
        print_json([{"client_id": one.client_id, **_metadata(one)} for one in found])
        return
    for one in found:
        click.echo(_line(one))


@client.command()
@click.argument("name")
@administration_options
def remove(name: str, *, verbs: Verbs) -> None:
    """Remove client NAME; services know within a second. Tokens it has live until they expire."""
    try:
        verbs.remove_client(name)
    except NotFound as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"removed {name}")


def _line(one: ClientRecord) -> str:
    bound = "  bound" if one.tls_client_certificate_bound_access_tokens else ""
    return (
        f"{one.client_id}  {one.token_endpoint_auth_method}  "
        f'"{one.scope}"  {" ".join(one.audiences) or "-"}{bound}'
    )
