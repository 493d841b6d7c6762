"""`macaroon-cbat client update`: give a registered client a right, or take one away."""

from pathlib import Path

import click

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.client_grants import grants_options
from macaroon_cbat.cli.client_lines import (
    AUDIENCE,
    REPEATED,
    SERVES,
    certificates_option,
    groups_option,
    judges_option,
    line_of,
    metadata_of,
    usage_of_unknown_names,
)
from macaroon_cbat.cli.options import json_option, print_json, say
from macaroon_cbat.cli.registration import strong_thumbprint_in

_KNOWN_KEYS = (
    "note: the client still has the keys of audiences that it no longer serves: if it is not trusted, run "
    "key rotate twice, then key retire for the old keys"
)


@click.command()
@click.argument("name")
@click.option("--scope", help="Scopes that it may ask for from now on.")
@click.option("--audience", "audiences", multiple=True, metavar="URL", help=f"{AUDIENCE} {REPEATED}")
@click.option("--no-audience", is_flag=True, help="It may get tokens for no resource server in particular.")
@click.option("--serves", multiple=True, metavar="URL", help=f"{SERVES} {REPEATED}")
@click.option("--serves-nothing", is_flag=True, help="It is no longer a resource server.")
@certificates_option
@groups_option
@click.option("--no-group", is_flag=True, help="It is a member of no group any more.")
@click.option("--bound/--unbound", default=None, help="Whether its tokens are bound when they are minted.")
@click.option(
    "--understands-caveats/--ignores-caveats",
    default=None,
    help="Whether it judges every caveat itself, as a resource server.",
)
@click.option(
    "--checks-certificates/--ignores-certificates",
    default=None,
    help="Whether it compares cnf with each connection, as a resource server (RFC 8705 3).",
)
@grants_options
@judges_option
@administration_options
@json_option
def update(
    name: str,
    scope: str | None,
    audiences: tuple[str, ...],
    serves: tuple[str, ...],
    certificates: tuple[Path, ...],
    groups: tuple[str, ...],
    judges: tuple[str, ...],
    *,
    verbs: Verbs,
    granted: dict[str, object],
    no_audience: bool,
    serves_nothing: bool,
    no_group: bool,
    bound: bool | None,
    understands_caveats: bool | None,
    checks_certificates: bool | None,
    as_json: bool,
) -> None:
    """Change what client NAME may do. Its secret stays, and so does what no option names.

    Give each list whole: --serves A removes every other audience that the client served. A client that loses
    a right loses the tokens that it has.
    """
    given = {
        "scope": scope,
        "audiences": audiences or (() if no_audience else None),
        "serves": serves or (() if serves_nothing else None),
        "certificates": tuple(strong_thumbprint_in(file) for file in certificates) or None,
        "groups": groups or (() if no_group else None),
        "tls_client_certificate_bound_access_tokens": bound,
        "understands_caveats": understands_caveats,
        "checks_certificates": checks_certificates,
        "judged_caveats": judges or None,
    }
    members: dict[str, object] = {member: value for member, value in given.items() if value is not None}
    members |= granted
    twice = (audiences and no_audience) or (serves and serves_nothing) or (groups and no_group)
    if twice or not members:
        raise click.UsageError("no change is named, or one in two ways: give each option once")
    with usage_of_unknown_names():
        changed = verbs.change_client(name, members)
    if as_json:
        print_json(
            {"client_id": changed.client_id, **metadata_of(changed), "tokens_revoked": changed.tokens_revoked}
        )
        return
    say(line_of(changed))
    if changed.tokens_revoked:
        click.echo("note: the client lost a right, so its tokens are revoked", err=True)
    if serves or serves_nothing:
        click.echo(_KNOWN_KEYS, err=True)
