"""`macaroon-cbat trust ...`: trust issuers of JWTs, whose users and workloads get macaroons."""

from pathlib import Path
from typing import Any, get_args

import click

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.client_lines import REPEATED, usage_of_unknown_names
from macaroon_cbat.cli.groups import Group
from macaroon_cbat.cli.options import FILE, json_option, print_json, say
from macaroon_cbat.cli.trust_check import check
from macaroon_cbat.cli.trust_lines import claims_in, key_set_in, line_of, members_of, text_in
from macaroon_cbat.stores.trust import ForeignTokenType, TrustedAlgorithm, TrustUse


@click.group(cls=Group)
def trust() -> None:
    """Issuers of JWTs whose users and workloads get macaroons."""


trust.add_command(check)


@trust.command(short_help="Trust the JWTs of ISSUER, under NAME.")
@click.argument("name")
@click.argument("jwt_issuer", metavar="ISSUER")
@click.option("--jwks", type=FILE, metavar="FILE", help="Its public keys, a JWK Set. [default: discovered]")
@click.option("--jwks-uri", metavar="URL", help="URL of its public keys, if its metadata do not name it.")
@click.option("--issuer-ca", type=FILE, metavar="FILE", help="CA of that server. [default: the system's]")
@click.option("--private-addresses", is_flag=True, help="Reach its host at private addresses, too.")
@click.option(
    "--audience",
    "audiences",
    multiple=True,
    required=True,
    metavar="TEXT",
    help=f"A value of the claim aud that means this service. {REPEATED}",
)
@click.option(
    "--claim",
    "claims",
    multiple=True,
    metavar="NAME=VALUE",
    help="A claim that the JWT must have; * in VALUE stands for letters, digits and . _ ~ + -, and /A/B in "
    f"place of NAME for B inside A. {REPEATED}",
)
@click.option("--client", metavar="ID", help="The client whose JWT it is: it needs no other credential.")
@click.option("--subject", metavar="CLAIM", help="The claim that names the subject, for a client that asks.")
@click.option("--scope", help="The scopes that are granted at most.")
@click.option(
    "--resource", "resources", multiple=True, metavar="URL", help=f"A resource server of tokens. {REPEATED}"
)
@click.option(
    "--for",
    "uses",
    multiple=True,
    type=click.Choice(get_args(TrustUse)),
    help=f"A use of the JWT. {REPEATED} [default: jwt-bearer, token-exchange]",
)
@click.option(
    "--token-type",
    "token_types",
    multiple=True,
    type=click.Choice(get_args(ForeignTokenType)),
    help=f"Its type in a token exchange. {REPEATED} [default: jwt]",
)
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    type=click.Choice(get_args(TrustedAlgorithm)),
    help=f"A signature algorithm. {REPEATED} [default: each of them]",
)
@click.option("--reusable", is_flag=True, help="Accept the same JWT again until it expires.")
@administration_options
@json_option
def add(
    name: str,
    jwt_issuer: str,
    jwks: Path | None,
    issuer_ca: Path | None,
    claims: tuple[str, ...],
    *,
    verbs: Verbs,
    as_json: bool,
    **options: Any,
) -> None:
    """Trust the JWTs of ISSUER, under NAME: as a client's credential, or for the subjects that they name.

    ISSUER is their claim iss, letter by letter, or spiffe://TRUST-DOMAIN. Subjects are named NAME:VALUE. A
    JWT that must be that of one workload needs the claims that only its own have.
    """
    given = {member: value for member, value in options.items() if value not in (None, (), False)}
    members: dict[str, object] = {
        "name": name,
        "issuer": jwt_issuer,
        "claims": claims_in(claims),
        "jwks": None if jwks is None else key_set_in(jwks),
        "issuer_ca": None if issuer_ca is None else text_in(issuer_ca),
        **given,
    }
    added = verbs.trust.add(members)
    if as_json:
        print_json(members_of(added))
        return
    say(line_of(added))


@trust.command("list")
@administration_options
@json_option
def list_trust(*, verbs: Verbs, as_json: bool) -> None:
    """List the trusted issuers."""
    found = verbs.trust.all()
    if as_json:
        print_json([members_of(one) for one in found])
        return
    for one in found:
        say(line_of(one))


@trust.command()
@click.argument("name")
@administration_options
@json_option
def show(name: str, *, verbs: Verbs, as_json: bool) -> None:
    """Show the trusted issuer NAME."""
    with usage_of_unknown_names():
        one = verbs.trust.one(name)
    if as_json:
        print_json(members_of(one))
        return
    say(line_of(one))
    for claim, value in one.claims.items():
        say(f"  claim {claim} is {value}")


@trust.command(short_help="Trust the issuer NAME no more.")
@click.argument("name")
@administration_options
def remove(name: str, *, verbs: Verbs) -> None:
    """Trust the issuer NAME no more. Every service knows within a second."""
    with usage_of_unknown_names():
        verbs.trust.remove(name)
    click.echo(f"removed {name}")
    click.echo("note: tokens that were minted through it live until they expire: see revoke", err=True)
