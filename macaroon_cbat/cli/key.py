"""`macaroon-cbat key ...`: root keys, and the keys of one audience for its resource server."""

from pathlib import Path

import click

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.audit import write_before, write_done
from macaroon_cbat.cli.clock import moment
from macaroon_cbat.cli.groups import Group
from macaroon_cbat.cli.options import (
    FILE,
    data_option,
    database_options,
    force_option,
    json_option,
    output_to,
    print_json,
    say,
    say_changed,
    stores_in,
)
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.audiences import audience_setting, is_among
from macaroon_cbat.macaroon.keys import audience_keys, read_key_file, write_key_file
from macaroon_cbat.service.settings import DEFAULT_ISSUER, settings_from_environment
from macaroon_cbat.stores.wrapping_key import new_wrapping_key_text, replace_wrapping_key

_SAME_KEY = (
    "note: one wrapping key is set, so the keys are encrypted under the same one as before: to change it, "
    "put a new one (key generate-wrapping) in front of it, separated by a space, and rewrap again"
)


@click.group(cls=Group)
def key() -> None:
    """Root keys, and the keys of one audience."""


@key.command("list", short_help="List the root keys.")
@administration_options
@json_option
def list_keys(*, verbs: Verbs, as_json: bool) -> None:
    """List the root keys. The current one mints, and the next one is published already."""
    records = verbs.keys()
    if as_json:
        print_json(records)
        return
    for record in records:
        say(f"{record.kid}  {record.state:<8}  since {moment(record.since)}")


@key.command()
@administration_options
@json_option
def rotate(*, verbs: Verbs, as_json: bool) -> None:
    """Let the next root key mint, and make a new next one. Tokens of the old ones verify until they expire.

    Exported keys hold the next key already, so resource servers go on. Export again before the next rotation.
    """
    record = verbs.rotate()
    if as_json:
        print_json(record)
        return
    say(f"{record.kid} is the current key; run key export for each audience before the next rotation")


@key.command(short_help="Retire the retiring key KID, and all of its tokens.")
@click.argument("kid")
@administration_options
def retire(kid: str, *, verbs: Verbs) -> None:
    """Retire the retiring key KID at once: none of its tokens verifies any more."""
    verbs.retire(kid)
    click.echo(f"{kid} is retired, and its tokens with it")


@key.command("generate-wrapping")
@click.option("--output", type=FILE, metavar="FILE", help="Write to a new FILE with mode 0600.")
@click.option("--with-present", is_flag=True, help="Put the present key behind it, for key rewrap.")
@data_option
def generate_wrapping(output: Path | None, data: Path | None, *, with_present: bool) -> None:
    """Make a new wrapping key: 32 random bytes as base64url.

    Services that share a database server need the same one: for MACAROON_CBAT_WRAPPING_KEY_FILE, or for
    MACAROON_CBAT_WRAPPING_KEY. Keep a copy apart from the database: without it the root keys are lost. With
    MACAROON_CBAT_WRAPPING_COMMAND, encrypt what this prints into the file, and let the command decrypt it.
    """
    previous = _present_keys(data) if with_present else ()
    if output is not None and output.is_symlink() and not output.exists():
        raise SettingsError(
            f"the wrapping key {output} exists as a link to {output.readlink()}, which is missing: "
            "name another file"
        )
    remedy = "name another file, or remove this one if no database needs it"
    with output_to(output or Path("-"), "wrapping key", may_replace=False, remedy=remedy) as stream:
        stream.write(new_wrapping_key_text(previous).encode() + b"\n")


def _present_keys(data: Path | None) -> tuple[bytes, ...]:
    """Return the wrapping key in force, and those that it replaces."""
    present = settings_from_environment(data=data, creates=False).wrapping_key
    return (present.secret, *present.previous)


@key.command()
@database_options
def rewrap(data: Path | None) -> None:
    """Encrypt the root keys anew. Running services go on.

    With wrapping.key in the data folder, a new one is made. With MACAROON_CBAT_WRAPPING_KEY_FILE, put the
    new key in front of the old one in that file, separated by a space, on every host; rewrap; drop the old.
    With MACAROON_CBAT_WRAPPING_COMMAND, encrypt both into that file (generate-wrapping --with-present).
    With MACAROON_CBAT_WRAPPING_KEY do the same there, and restart the services before you rewrap. See
    generate-wrapping. Hosts that share a database, but no data folder, need one of the two.
    """
    settings, stores = stores_in(data)
    wrapping_key, rewrap_all = settings.wrapping_key, stores.root_keys.rewrap
    if wrapping_key.file is not None and not wrapping_key.is_given:
        count = replace_wrapping_key(wrapping_key.file, rewrap_all)
    else:
        count = rewrap_all(wrapping_key)
        if not wrapping_key.previous:
            click.echo(_SAME_KEY, err=True)
    write_done("key.rewrapped")
    click.echo(f"{count} keys are encrypted anew")
    say_changed(stores)


@key.command(short_help="Print the keys that a resource server verifies tokens with.")
@click.option("--audience", required=True, metavar="URL", help="The resource server's audience.")
@click.option(
    "--output", type=FILE, metavar="FILE", help="Write to FILE with mode 0600. [default: -, stdout]"
)
@force_option
@database_options
def export(audience: str, output: Path | None, data: Path | None, *, force: bool) -> None:
    """Print the keys with which the resource server of one audience verifies tokens offline.

    The keys verify, and could mint, tokens for this audience only. Keep them as secret as a password.
    FILE may be an earlier export for the same audience; another file is replaced with --force alone.
    """
    audience = audience_setting(audience)
    settings, stores = stores_in(data)
    issuer = settings.issuer or stores.recorded_issuer() or DEFAULT_ISSUER
    own = (issuer, stores.recorded_issuer() or issuer)
    if is_among(audience, own):
        raise SettingsError(
            f"audience {audience} is the service itself, whose keys mint an administrator's tokens and are "
            "never exported: name the audience of a resource server"
        )
    registered = [client.metadata for client in stores.clients.all()]
    if not any(audience in (*one.audiences, *one.serves) for one in registered):
        click.echo(f"note: no client is registered for audience {audience}: none may ask for it", err=True)
    content = write_key_file(audience_keys(issuer, audience, stores.root_keys.all()))
    file = output or Path("-")
    with output_to(file, "key file", may_replace=force or _is_export(file, audience)) as stream:
        write_before("key.exported", audience=audience)
        stream.write(content)


def _is_export(file: Path, audience: str) -> bool:
    """Return True if the file holds keys of this audience, which a new export replaces without loss."""
    try:
        return file.is_file() and read_key_file(file.read_bytes(), str(file)).audience == audience
    except (OSError, SettingsError):
        return False
