"""The commands `macaroon-cbat revoke` and `macaroon-cbat revocation list`."""

from collections.abc import Iterator
from pathlib import Path

import click

from macaroon_cbat.certificate.thumbprint import parse_thumbprint
from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.clock import moment
from macaroon_cbat.cli.groups import Group
from macaroon_cbat.cli.hyphens import ARGUMENT_MAY_BEGIN_WITH_A_HYPHEN, HyphenCommand
from macaroon_cbat.cli.options import json_option, print_json, say
from macaroon_cbat.cli.thumbprint import thumbprint_in
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.claims import NEVER
from macaroon_cbat.macaroon.revocation import KINDS, Revocation, RevocationKind
from macaroon_cbat.service.admin.shapes import RevocationRequest
from macaroon_cbat.service.cursors import BEGINNING


@click.group(cls=Group)
def revocation() -> None:
    """Show what is revoked now."""


@revocation.command("list", short_help="List what is revoked now, oldest decision first.")
@click.option("--kind", type=click.Choice(list(KINDS)), help="Only this kind. [default: all]")
@administration_options
@json_option
def list_revocations(kind: RevocationKind | None, *, verbs: Verbs, as_json: bool) -> None:
    """List what is revoked now, oldest decision first, until no token is left that it concerns."""
    found = _every_page(verbs, kind)
    if as_json:
        print_json(list(found))
        return
    for one in found:
        say(f"{one.kind:<11}  {one.value}  revoked {moment(one.revoked_at)}  until {_end(one)}")


def _every_page(verbs: Verbs, kind: RevocationKind | None) -> Iterator[Revocation]:
    after: str | None = BEGINNING
    while after is not None:
        page = verbs.revocations(kind, after)
        yield from page.revocations
        after = page.cursor


def _end(one: Revocation) -> str:
    return "further notice" if one.expires_at == NEVER else moment(one.expires_at)


@click.command(
    cls=HyphenCommand,
    context_settings=ARGUMENT_MAY_BEGIN_WITH_A_HYPHEN,
    short_help="Revoke a token, client, subject, family, key, certificate or all tokens.",
)
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.argument("value")
@click.option(
    "--force", is_flag=True, help="Revoke the tokens of a client or subject that is not registered."
)
@administration_options
def revoke(kind: RevocationKind, value: str, *, verbs: Verbs, force: bool) -> None:
    """Revoke a token (its id), the tokens so far of a client or subject, a family, a key, a certificate.

    A client or subject must be registered: a name with a slip of the pen revokes nothing. A certificate is
    named by its thumbprint or its file; from then on no token, bound or not, is accepted over a connection
    made with it. The service has no list of tokens, and none of families that have ended (grant list shows
    the live ones): a name of either is revoked even if it does not exist. `revoke all tokens` revokes every
    token so far of every client, with all refresh tokens, codes, sessions and invitations.
    """
    if kind == "certificate":
        value = _thumbprint(value)
    verbs.revoke(RevocationRequest(kind, value, force))
    click.echo(f"revoked {kind} {value}")
    if not KINDS[kind].is_listed:
        click.echo(
            f"note: the service keeps no list of every {kind}: check that this is the right one", err=True
        )


def _thumbprint(value: str) -> str:
    if value and Path(value).exists():
        return thumbprint_in(Path(value))
    try:
        return parse_thumbprint(value)
    except ValueError as error:
        raise SettingsError(f"{value!r} is no file, and {error}") from error
