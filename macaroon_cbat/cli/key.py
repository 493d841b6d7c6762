"""`macaroon-cbat key ...`: root keys, and the keys of one audience for its resource server."""

from datetime import UTC, datetime
from pathlib import Path

import click

from macaroon_cbat.audiences import audience_setting, is_among
from macaroon_cbat.cli.administering import Verbs, administration_options
from macaroon_cbat.cli.auditing import audit_done
from macaroon_cbat.cli.options import FILE, data_option, json_option, print_json, say, stores_in, write_secret
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.keys import audience_keys, write_key_file
from macaroon_cbat.service.settings import DEFAULT_ISSUER
from macaroon_cbat.stores.wrapping import replace_wrapping_key


@click.group()
def key() -> None:
    """Root keys, and the keys of one audience."""


@key.command("list")
@administration_options
@json_option
def list_keys(*, verbs: Verbs, as_json: bool) -> None:
    """List the root keys; the current one mints, the next one is published before it does."""
    records = verbs.keys()
    if as_json:
        print_json(records)
        return
    for record in records:
        since = datetime.fromtimestamp(record.since, UTC)
        say(f"{record.kid}  {record.state:<8}  since {since:%Y-%m-%d %H:%M:%SZ}")


@key.command()
@administration_options
@json_option
def rotate(*, verbs: Verbs, as_json: bool) -> None:
    """Let the next root key mint, and make a new next one. Tokens of the old ones verify until they expire.

    What key export wrote holds the next key already, so resource servers go on; export again before
    the next rotation.
    """
    record = verbs.rotate()
    if as_json:
        print_json(record)
        return
    say(f"{record.kid} is the current key; run key export for each audience before the next rotation")


@key.command()
@click.argument("kid")
@administration_options
def retire(kid: str, *, verbs: Verbs) -> None:
    """Retire the retiring key KID at once: none of its tokens verifies any more."""
    verbs.retire(kid)
    click.echo(f"{kid} is retired, and its tokens with it")


@key.command()
@data_option
def rewrap(data: Path | None) -> None:
    """Encrypt the root keys anew. Running services go on.

    With wrapping.key in the data folder, a new one is made. With MACAROON_CBAT_WRAPPING_KEY, put the new
    key in front of the old one there, separated by a space; restart the services; rewrap; drop the old.
    Hosts that share a database, but no data folder, need the variable.
    """
    settings, stores = stores_in(data)
    file, rewrap_all = settings.wrapping_key.file, stores.root_keys.rewrap
    count = rewrap_all(settings.wrapping_key) if file is None else replace_wrapping_key(file, rewrap_all)
    audit_done("key.rewrapped")
    click.echo(f"{count} keys are encrypted anew")


@key.command()
@click.option("--audience", required=True, metavar="URL", help="The resource server's audience.")
@click.option("--output", type=FILE, metavar="FILE", help="Write to FILE with mode 0600. [default: stdout]")
@data_option
def export(audience: str, output: Path | None, data: Path | None) -> None:
    """Print what the resource server of one audience needs to verify tokens offline.

    The keys verify, and could mint, tokens for this audience only. Keep them as secret as a password.
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
    audit_done("key.exported", audience=audience)
    if output is None:
        click.echo(content, nl=False)
    else:
        write_secret(output, content)
