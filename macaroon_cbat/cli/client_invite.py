"""`macaroon-cbat client invite`: an initial access macaroon, with which clients register themselves."""

import json
from pathlib import Path
from typing import get_args

import click
import msgspec

from macaroon_cbat.audit.event import OPERATOR
from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.client_grants import GRANTS
from macaroon_cbat.cli.client_lines import AUDIENCE, REPEATED
from macaroon_cbat.cli.http_administration import HttpAdministration
from macaroon_cbat.cli.options import FILE, force_option, json_option, now, output_to
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.admin.operations import INVITATIONS
from macaroon_cbat.service.registration.invitations import new_invitation
from macaroon_cbat.service.registration.shapes import (
    LONGEST_INVITATION,
    InvitationRequest,
    NewInvitation,
)
from macaroon_cbat.stores.clients import ClientAuthMethod
from macaroon_cbat.text.json_text import plain_reason


@click.command(short_help="Make a macaroon with which clients register themselves.")
@click.option("--scope", required=True, help='Scopes that they may register for, such as "read write".')
@click.option("--audience", "audiences", multiple=True, metavar="URL", help=f"{AUDIENCE} {REPEATED}")
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="A host of their redirect URIs, such as 127.0.0.1, or a scheme of their own with its colon. "
    f"{REPEATED}",
)
@click.option(
    "--grant",
    "grants",
    multiple=True,
    type=click.Choice(list(GRANTS)),
    default=("authorization_code", "refresh_token"),
    show_default=True,
    help=f"A grant that they may use. {REPEATED}",
)
@click.option(
    "--auth",
    "methods",
    multiple=True,
    type=click.Choice(get_args(ClientAuthMethod)),
    default=("none",),
    show_default=True,
    help=f"A method by which they may authenticate. {REPEATED}",
)
@click.option(
    "--registrations",
    type=click.IntRange(1, 1_000_000),
    default=1,
    show_default=True,
    help="Number of clients.",
)
@click.option(
    "--lifetime",
    type=click.IntRange(1, LONGEST_INVITATION),
    default=86_400,
    show_default=True,
    metavar="SECONDS",
    help="It expires after these seconds.",
)
@click.option(
    "--output",
    type=FILE,
    default="-",
    metavar="FILE",
    help="Write it to a new FILE with mode 0600. [default: stdout]",
)
@force_option
@administration_options
@json_option
def invite(
    scope: str,
    audiences: tuple[str, ...],
    hosts: tuple[str, ...],
    grants: tuple[str, ...],
    methods: tuple[ClientAuthMethod, ...],
    registrations: int,
    lifetime: int,
    output: Path,
    *,
    verbs: Verbs,
    force: bool,
    as_json: bool,
) -> None:
    """Make an initial access macaroon (RFC 7591): clients register themselves with it, within these bounds.

    Its holder can narrow it further without the service.
    """
    members = {
        "scope": scope,
        "audiences": audiences,
        "hosts": hosts,
        "grant_types": tuple(GRANTS[one] for one in grants),
        "token_endpoint_auth_methods": methods,
        "registrations": registrations,
        "lifetime": lifetime,
    }
    try:
        wanted = msgspec.convert(members, InvitationRequest)
    except msgspec.ValidationError as error:
        raise SettingsError(f"no invitation: {plain_reason(error)}") from error
    with output_to(output, "invitation", may_replace=force) as stream:
        made = _invited(verbs, wanted)
        text = json.dumps(msgspec.to_builtins(made), indent=2) if as_json else made.initial_access_token
        stream.write(text.encode() + b"\n")
    click.echo(f"revoke it by its id: macaroon-cbat revoke token {made.token_id}", err=True)


def _invited(verbs: Verbs, wanted: InvitationRequest) -> NewInvitation:
    """Return a new invitation, of the service that is called or of the database."""
    if isinstance(verbs, HttpAdministration):
        return verbs.call(NewInvitation, "POST", INVITATIONS, msgspec.to_builtins(wanted))
    return new_invitation(verbs.stores, verbs.issuer, wanted, OPERATOR, now(), verbs.audit)
