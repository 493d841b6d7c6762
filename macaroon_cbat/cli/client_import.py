"""`macaroon-cbat client import`: clients of another server, as JSON lines of RFC 7591 metadata."""

from collections.abc import Iterator
from pathlib import Path

import click

from macaroon_cbat.cli.administration import Verbs, administration_options
from macaroon_cbat.cli.client_lines import REPEATED, line_of
from macaroon_cbat.cli.given_secrets import checked_hash, hash_of_secret
from macaroon_cbat.cli.options import FILE, read_file, say
from macaroon_cbat.errors import MacaroonError, OAuthError, SettingsError
from macaroon_cbat.service.admin.shapes import ClientRegistration
from macaroon_cbat.stores.clients import SECRET_METHODS, read_metadata
from macaroon_cbat.text.json_text import read_members
from macaroon_cbat.text.plain_text import text_of

_LARGEST = 64 << 20
_ANSWERED = ("client_id_issued_at", "registration_access_token", "registration_client_uri")
"""Members of another server's answers (RFC 7591 3.2.1) that mean nothing here."""


@click.command("import", short_help="Register the clients of another server.")
@click.argument("file", type=FILE)
@click.option(
    "--ignore", "ignored", multiple=True, metavar="MEMBER", help=f"Leave this member out. {REPEATED}"
)
@click.option("--skip-existing", is_flag=True, help="Leave a client that is registered already as it is.")
@click.option("--dry-run", is_flag=True, help="Check FILE, and register no client.")
@administration_options
def import_clients(
    file: Path, ignored: tuple[str, ...], *, verbs: Verbs, skip_existing: bool, dry_run: bool
) -> None:
    """Register the clients in FILE, one JSON object a line, in the terms of RFC 7591; - is stdin.

    A client keeps its client_id, and its secret: `client_secret`, of which only the hash is stored and sent,
    or `client_secret_sha256`, 64 hexadecimal digits. Every line is checked before the first is registered. A
    member that is unknown here is refused: it may be a right or a restriction.
    """
    wanted = list(_read(file, ignored))
    existing = {one.client_id for one in verbs.clients()}
    clashes = [members for members in wanted if members["client_id"] in existing]
    if clashes and not skip_existing:
        raise SettingsError(
            f"client {clashes[0]['client_id']} is registered already: remove it first, or leave it as it is "
            "with --skip-existing"
        )
    new = [members for members in wanted if members["client_id"] not in existing]
    for done, members in enumerate([] if dry_run else new):
        try:
            say(line_of(verbs.add_client(members)))
        except MacaroonError:
            remedy = "mend it, then go on with --skip-existing"
            say(f"client {members['client_id']} is not registered, {done} before it are: {remedy}", err=True)
            raise
    click.echo(
        f"{len(new)} clients {'can be' if dry_run else 'are'} registered, {len(clashes)} left", err=True
    )


def _read(file: Path, ignored: tuple[str, ...]) -> Iterator[dict[str, object]]:
    """Yield the members of each client, checked; raise SettingsError, which names the line."""
    content = read_file(file, _LARGEST + 1)
    if len(content) > _LARGEST:
        raise SettingsError(f"{file} is larger than {_LARGEST} bytes: split it")
    seen: set[object] = set()
    for number, line in enumerate(text_of(content, str(file)).split("\n"), 1):
        where = f"{file}, line {number}"
        if line.strip():
            members = _checked(line, ignored, where)
            if members["client_id"] in seen:
                raise SettingsError(f"{where}: client {members['client_id']} is there twice: leave one out")
            seen.add(members["client_id"])
            yield members


def _checked(line: str, ignored: tuple[str, ...], where: str) -> dict[str, object]:
    try:
        read = read_members(line.encode())
    except ValueError as error:
        raise SettingsError(f"{where} is no JSON object: write one client a line ({error})") from error
    members = {name: value for name, value in read.items() if name not in (*ignored, *_ANSWERED)}
    if members.pop("client_secret_expires_at", 0) not in (0, None):
        raise SettingsError(f"{where}: its secret expires, as none does here: let the client have a new one")
    secret = members.pop("client_secret", None)
    if secret is not None:
        if "client_secret_sha256" in members:
            raise SettingsError(f"{where}: it has a secret twice: leave out client_secret_sha256")
        members["client_secret_sha256"] = hash_of_secret(secret, f"{where}: client_secret")
    elif "client_secret_sha256" in members:
        checked_hash(members["client_secret_sha256"], f"{where}: client_secret_sha256")
    try:
        metadata = read_metadata(members, ClientRegistration)
    except OAuthError as error:
        raise SettingsError(f"{where}: {error}") from error
    if metadata.client_id is None:
        raise SettingsError(f"{where}: client_id is missing: the client goes on with the one that it has")
    if (metadata.token_endpoint_auth_method in SECRET_METHODS) != ("client_secret_sha256" in members):
        raise SettingsError(
            f"{where}: the client authenticates by {metadata.token_endpoint_auth_method}: give "
            "a secret with client_secret_basic or client_secret_post, and with no other method"
        )
    return members
