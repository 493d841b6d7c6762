"""`macaroon-cbat client apply`: the registered clients become those of a file."""

from pathlib import Path

import click

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.client_differences import Difference, Removed, differences
from macaroon_cbat.cli.clients_file import read_clients
from macaroon_cbat.cli.http_administration import HttpAdministration
from macaroon_cbat.cli.options import FILE, say
from macaroon_cbat.errors import MacaroonError, SettingsError

_DIFFERS = 3
"""The exit status of a dry run that finds a difference: neither a refusal nor wrong usage."""


@click.command("apply", short_help="Make the clients as a file says.")
@click.argument("file", type=FILE)
@click.option("--dry-run", is_flag=True, help="Show what differs, and change nothing: status 3 if it does.")
@click.option("--yes", is_flag=True, help="Do not ask before the change.")
@click.option("--prune", is_flag=True, help="Remove every client that FILE does not have.")
@administration_options
def apply_file(file: Path, *, verbs: Verbs, dry_run: bool, yes: bool, prune: bool) -> None:
    """Make the clients as the TOML file FILE says: [clients.NAME], with the metadata of RFC 7591.

    What differs is shown first. A member that is left out is its default, and a client that is left out stays
    unless --prune removes it. Secrets are named by `secret_sha256`, `secret_file` or `secret_env`; without
    them a registered client keeps its own. `keep_old = "24h"` lets the secret before it stay valid. A client
    that loses a right loses its tokens.
    """
    wanted = read_clients(file)
    if prune and not wanted:
        raise SettingsError(
            f"{file} has no client, and --prune would remove every one: name the whole file, or remove each"
        )
    found = differences(wanted, verbs.clients(), prunes=prune)
    _refuse_own_end(found, verbs)
    for each in found:
        for line in each.lines():
            say(line)
    if not found:
        click.echo("nothing differs", err=True)
        return
    if dry_run:
        click.get_current_context().exit(_DIFFERS)
    if not yes:
        click.confirm("Make these changes?", abort=True, err=True)
    _make(found, verbs)


def _refuse_own_end(found: list[Difference], verbs: Verbs) -> None:
    """Raise SettingsError if the client that administers over HTTP would be removed."""
    own = verbs.client_id if isinstance(verbs, HttpAdministration) else None
    if any(isinstance(each, Removed) and each.record.client_id == own for each in found):
        raise SettingsError(f"the file does not have the client {own}, as which you administer: add it first")


def _make(found: list[Difference], verbs: Verbs) -> None:
    for done, each in enumerate(found):
        try:
            each.make(verbs)
        except MacaroonError:
            click.echo(f"{done} of {len(found)} clients are done: mend it, then apply again", err=True)
            raise
    click.echo(f"{len(found)} clients are done", err=True)
