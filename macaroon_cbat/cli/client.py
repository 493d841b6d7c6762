"""`macaroon-cbat client ...`: register clients and resource servers."""

from pathlib import Path
from typing import get_args

import click

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.client_apply import apply_file
from macaroon_cbat.cli.client_grants import grants_options
from macaroon_cbat.cli.client_import import import_clients
from macaroon_cbat.cli.client_invite import invite
from macaroon_cbat.cli.client_lines import (
    AUDIENCE,
    REPEATED,
    certificates_option,
    groups_option,
    judges_option,
    line_of,
    metadata_of,
    secret_facts_of,
    usage_of_unknown_names,
)
from macaroon_cbat.cli.client_secret import rotate_secret
from macaroon_cbat.cli.client_update import update
from macaroon_cbat.cli.clock import moment
from macaroon_cbat.cli.groups import Group
from macaroon_cbat.cli.options import FILE, force_option, is_standard_output, json_option, print_json, say
from macaroon_cbat.cli.registration import SecretOutput, register, strong_thumbprint_in
from macaroon_cbat.stores.clients import ClientAuthMethod


@click.group(cls=Group)
def client() -> None:
    """Clients and resource servers."""


client.add_command(update)
client.add_command(invite)
client.add_command(rotate_secret)
client.add_command(import_clients)
client.add_command(apply_file)


@client.command()
@click.argument("name")
@click.option(
    "--scope", help='Scopes that it may ask for, such as "read write". [default: none, with --serves]'
)
@click.option(
    "--audience",
    "audiences",
    multiple=True,
    metavar="URL",
    help=f"{AUDIENCE} {REPEATED}",
)
@click.option(
    "--serves",
    multiple=True,
    metavar="URL",
    help="An audience that it serves as its resource server: it gets the keys and revocations, and "
    "introspects the tokens of every client for it. May be repeated.",
)
@click.option(
    "--auth",
    "method",
    type=click.Choice(get_args(ClientAuthMethod)),
    default="client_secret_basic",
    show_default=True,
    help="Method by which it authenticates.",
)
@certificates_option
@groups_option
@click.option("--subject-dn", metavar="DN", help="Its certificate's subject (RFC 4514), for tls_client_auth.")
@click.option("--san-dns", metavar="NAME", help="Its certificate's DNS name, for tls_client_auth.")
@click.option("--san-uri", metavar="URI", help="Its certificate's URI, for tls_client_auth.")
@click.option("--san-ip", metavar="IP", help="Its certificate's IP address, for tls_client_auth.")
@click.option("--san-email", metavar="EMAIL", help="Its certificate's e-mail address, for tls_client_auth.")
@click.option(
    "--spiffe-id",
    metavar="ID",
    help="SPIFFE ID of its workload, or a pattern that ends with /*, for tls_client_auth.",
)
@click.option(
    "--bound",
    is_flag=True,
    help="Mint its tokens already bound to the certificate of its connection (RFC 8705 3.4).",
)
@click.option(
    "--understands-caveats", is_flag=True, help="As a resource server it judges every caveat itself."
)
@click.option(
    "--checks-certificates",
    is_flag=True,
    help="As a resource server it compares cnf with the certificate of each connection (RFC 8705 3).",
)
@judges_option
@click.option(
    "--secret-file",
    type=FILE,
    metavar="FILE",
    help="Write the secret to a new FILE with mode 0600; - is stdout, with nothing but the secret.",
)
@grants_options
@force_option
@administration_options
@json_option
def add(
    name: str,
    scope: str | None,
    audiences: tuple[str, ...],
    serves: tuple[str, ...],
    method: str,
    certificates: tuple[Path, ...],
    groups: tuple[str, ...],
    subject_dn: str | None,
    san_dns: str | None,
    san_uri: str | None,
    san_ip: str | None,
    san_email: str | None,
    spiffe_id: str | None,
    secret_file: Path | None,
    judges: tuple[str, ...],
    *,
    verbs: Verbs,
    granted: dict[str, object],
    force: bool,
    bound: bool,
    understands_caveats: bool,
    checks_certificates: bool,
    as_json: bool,
) -> None:
    """Register client NAME, which is its client_id. The secret is shown once."""
    if as_json and secret_file is not None and is_standard_output(secret_file):
        raise click.UsageError("--json shows the secret already: leave out --secret-file -")
    if scope is None and not serves:
        raise click.UsageError(
            "the client has no right: give its scopes (--scope), or the audiences that it serves (--serves)"
        )
    members: dict[str, object] = {
        "client_id": name,
        "token_endpoint_auth_method": method,
        "scope": scope,
        "audiences": audiences,
        "serves": serves,
        "tls_client_certificate_bound_access_tokens": bound
        or (method == "none" and not granted.get("dpop_bound_access_tokens")),
        "tls_client_auth_subject_dn": subject_dn,
        "tls_client_auth_san_dns": san_dns,
        "tls_client_auth_san_uri": san_uri,
        "tls_client_auth_san_ip": san_ip,
        "tls_client_auth_san_email": san_email,
        "tls_client_auth_spiffe_id": spiffe_id,
        "certificates": tuple(strong_thumbprint_in(file) for file in certificates),
        "groups": groups,
        "understands_caveats": understands_caveats,
        "checks_certificates": checks_certificates,
        **granted,
        "judged_caveats": judges,
    }
    register(verbs, members, SecretOutput(secret_file, force=force, as_json=as_json))


@client.command("list")
@administration_options
@json_option
def list_clients(*, verbs: Verbs, as_json: bool) -> None:
    """List the registered clients."""
    found = verbs.clients()
    if as_json:
        print_json([{"client_id": one.client_id, **metadata_of(one)} for one in found])
        return
    for one in found:
        say(line_of(one))


@client.command()
@click.argument("name")
@administration_options
@json_option
def show(name: str, *, verbs: Verbs, as_json: bool) -> None:
    """Show what client NAME is registered for."""
    with usage_of_unknown_names():
        one = verbs.client(name)
    if as_json:
        print_json({"client_id": one.client_id, **metadata_of(one), **secret_facts_of(one)})
        return
    say(line_of(one))
    if one.old_secret_until is not None:
        say(f"its old secret is valid until {moment(one.old_secret_until)}")


@client.command(short_help="Remove client NAME, and revoke its tokens.")
@click.argument("name")
@administration_options
def remove(name: str, *, verbs: Verbs) -> None:
    """Remove client NAME, and revoke its tokens. Every service knows within a second."""
    with usage_of_unknown_names():
        verbs.remove_client(name)
    click.echo(f"removed {name}")
