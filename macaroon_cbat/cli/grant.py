"""`macaroon-cbat grant list`: the live refresh families of every client, for operators."""

from collections.abc import Iterator

import click
from msgspec.structs import asdict

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.families import show_families
from macaroon_cbat.cli.groups import Group
from macaroon_cbat.cli.options import json_option
from macaroon_cbat.client.families import ListedFamily
from macaroon_cbat.service.family_lists import BEGINNING


@click.group(cls=Group)
def grant() -> None:
    """Show the logins of users: live refresh families."""


@grant.command("list", short_help="List the live refresh families, oldest first.")
@click.option("--of", "of_client", metavar="ID", help="Only those of this client.")
@click.option("--subject", metavar="NAME", help="Only those of this subject.")
@administration_options
@json_option
def list_grants(of_client: str | None, subject: str | None, *, verbs: Verbs, as_json: bool) -> None:
    """List the live refresh families, oldest first. `revoke family NAME` ends one."""
    show_families(_every_page(verbs, of_client, subject), as_json=as_json)


def _every_page(verbs: Verbs, client_id: str | None, subject: str | None) -> Iterator[ListedFamily]:
    after: str | None = BEGINNING
    while after is not None:
        page = verbs.families(client_id, subject, after)
        for one in page.grants:
            yield ListedFamily(**asdict(one))
        after = page.cursor
