"""`macaroon-cbat revocation ...`: what is revoked now; see `revoke` for making it so."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import get_args

import click

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.groups import Group
from macaroon_cbat.cli.options import json_option, print_json, say
from macaroon_cbat.macaroon.revocation import Revocation, RevocationKind
from macaroon_cbat.service.admin.revocable import NEVER
from macaroon_cbat.service.cursors import BEGINNING


@click.group(cls=Group)
def revocation() -> None:
    """Show what is revoked now."""


@revocation.command("list", short_help="List what is revoked now, oldest decision first.")
@click.option("--kind", type=click.Choice(get_args(RevocationKind)), help="Only this kind. [default: all]")
@administration_options
@json_option
def list_revocations(kind: RevocationKind | None, *, verbs: Verbs, as_json: bool) -> None:
    """List what is revoked now, oldest decision first, until no token is left that it concerns."""
    found = _every_page(verbs, kind)
    if as_json:
        print_json(list(found))
        return
    for one in found:
        say(
            f"{one.kind:<11}  {one.value}  revoked {_moment(one.revoked_at)}  until {_moment(one.expires_at)}"
        )


def _every_page(verbs: Verbs, kind: RevocationKind | None) -> Iterator[Revocation]:
    after: str | None = BEGINNING
    while after is not None:
        page = verbs.revocations(kind, after)
        yield from page.revocations
        after = page.cursor


def _moment(second: int) -> str:
    return (
        "further notice" if second == NEVER else f"{datetime.fromtimestamp(second, UTC):%Y-%m-%d %H:%M:%SZ}"
    )
