"""`macaroon-cbat client rotate-secret`: another secret for a client, and a time for the old one."""

from pathlib import Path

import click

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.client_lines import usage_of_unknown_names
from macaroon_cbat.cli.clock import moment
from macaroon_cbat.cli.durations import Duration
from macaroon_cbat.cli.options import (
    FILE,
    force_option,
    is_standard_output,
    json_option,
    lost_standard_output,
    output_to,
    print_json,
    require_standard_output,
)
from macaroon_cbat.errors import Refused, SettingsError
from macaroon_cbat.service.admin.shapes import RotatedSecret, SecretRotation
from macaroon_cbat.stores.client_secrets import LONGEST_OVERLAP


@click.command("rotate-secret", short_help="Give client NAME a new secret.")
@click.argument("name")
@click.option(
    "--keep-old",
    type=Duration(LONGEST_OVERLAP),
    default=0,
    metavar="TIME",
    help="The old secret stays valid for TIME, such as 24h. [default: 0, it ends at once]",
)
@click.option(
    "--secret-file",
    type=FILE,
    metavar="FILE",
    help="Write the secret to a new FILE with mode 0600; - is stdout, with nothing but the secret.",
)
@force_option
@administration_options
@json_option
def rotate_secret(
    name: str, keep_old: int, secret_file: Path | None, *, verbs: Verbs, force: bool, as_json: bool
) -> None:
    """Give client NAME a new secret, which is shown once.

    The old secret ends at once, and every token of the client with it: a thief may have had both. With
    --keep-old the client has TIME to take the new one, and its tokens stay. A second rotation ends an older
    secret.
    """
    if as_json and secret_file is not None and is_standard_output(secret_file):
        raise click.UsageError("--json shows the secret already: leave out --secret-file -")
    if secret_file is None:
        require_standard_output()
        rotated = _rotated(verbs, name, keep_old)
        try:
            _show(rotated, as_json=as_json)
        except OSError as error:
            raise _lost(name, lost_standard_output(error)) from error
    else:
        rotated = _rotated_into(secret_file, verbs, name, keep_old, force=force)
    _say_notes(rotated)


def _rotated(verbs: Verbs, name: str, keep_old: int) -> RotatedSecret:
    with usage_of_unknown_names():
        rotated = verbs.secrets.rotate(name, SecretRotation(keep_old))
    if rotated.client_secret is None:
        raise Refused(200, None, f"client {name} got no secret")
    return rotated


def _rotated_into(file: Path, verbs: Verbs, name: str, keep_old: int, *, force: bool) -> RotatedSecret:
    rotated: RotatedSecret | None = None
    try:
        with output_to(file, "secret file", may_replace=force) as stream:
            rotated = _rotated(verbs, name, keep_old)
            stream.write(f"{rotated.client_secret}\n".encode())
    except SettingsError as error:
        if rotated is not None:
            raise _lost(name, error) from error
        raise
    return rotated


def _lost(name: str, error: SettingsError) -> SettingsError:
    return SettingsError(f"{error}; client {name} has a new secret, and it is lost: rotate once more")


def _show(rotated: RotatedSecret, *, as_json: bool) -> None:
    if as_json:
        print_json(rotated)
        return
    click.echo(f"client_secret: {rotated.client_secret}")
    click.echo("The secret is not shown again.", err=True)


def _say_notes(rotated: RotatedSecret) -> None:
    if rotated.old_secret_until is not None:
        click.echo(f"note: the old secret is valid until {moment(rotated.old_secret_until)}", err=True)
    if rotated.tokens_revoked:
        click.echo("note: the old secret has ended, and the client's tokens are revoked", err=True)
