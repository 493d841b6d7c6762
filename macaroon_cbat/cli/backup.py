"""`macaroon-cbat backup` and `macaroon-cbat restore`."""

from functools import partial
from pathlib import Path

import click

from macaroon_cbat import __version__
from macaroon_cbat.audit import utc, write
from macaroon_cbat.audit.event import OPERATOR, AuditEvent
from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.cli.audit import write_before
from macaroon_cbat.cli.clock import moment
from macaroon_cbat.cli.options import FILE, data_option, now, output_to, read_file, say
from macaroon_cbat.cli.restored_log import LoggedSince
from macaroon_cbat.cli.which_database import named_url
from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.service.settings import LASTING, Settings, given_variables, settings_from_environment
from macaroon_cbat.service.settings_file import with_file
from macaroon_cbat.stores import Database, open_stores, read_url, sqlite_file
from macaroon_cbat.stores.backup import write_backup
from macaroon_cbat.stores.backup_format import Manifest, read_manifest
from macaroon_cbat.stores.key_escrow import sealed_wrapping_key
from macaroon_cbat.stores.repeated import Repeated
from macaroon_cbat.stores.restore import restore_backup
from macaroon_cbat.stores.upgrades import refuse_mistake

_FOLDER = click.Path(path_type=Path, file_okay=False)
_KEY_FILE = "wrapping-key.pem"
_LARGEST_CERTIFICATE = 65_536


@click.command(short_help="Write a backup of the database into DIR.")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "--wrapping-key-for",
    "recipient",
    type=FILE,
    metavar="FILE",
    help="Add the wrapping key, encrypted for this RSA certificate. [default: it is left out]",
)
@data_option
def backup(folder: Path, recipient: Path | None, data: Path | None) -> None:
    """Write a backup of the database into the new folder DIR, while services run.

    It has clients, trusted issuers and revocations as they are at one moment, for any kind of database, and
    nothing that mints: no root key, no refresh token. Neither it nor a restore needs the old wrapping key.
    With --wrapping-key-for it is added for other copies of the database: `openssl cms -decrypt` opens it.
    """
    sealed = None if recipient is None else _sealed(data, recipient)
    write_log_to(given_variables(with_file()).get("AUDIT_LOG"))
    url = named_url(data, creates=False)
    # A standby, or a primary that is cut off, would give a backup of an earlier moment than it names.
    database = Database(url, is_for_a_command=sqlite_file(read_url(url)) is not None)
    click.get_current_context().call_on_close(database.close)
    refuse_mistake(database, is_for_a_command=True)
    made_at = now()
    _make_folder(folder)
    _audit_saved(made_at)
    try:
        if sealed is not None:
            with output_to(folder / _KEY_FILE, "wrapping key", may_replace=False) as stream:
                stream.write(sealed)
        key_file = None if sealed is None else _KEY_FILE
        write_backup(database, folder, version=__version__, made_at=made_at, wrapping_key=key_file)
    except OSError as error:
        raise SettingsError(f"the backup {folder} cannot be written ({error.strerror}): remove it") from error
    manifest, digest = read_manifest(folder)
    click.echo(f"backup of {moment(made_at)}: {_counted(manifest)}")
    say(f"its manifest has the SHA-256 {digest}: keep that apart, for restore --sha256", err=True)


@click.command(short_help="Restore the backup in DIR into an empty database.")
@click.argument("folder", metavar="DIR", type=_FOLDER)
@click.option(
    "--audit-log",
    "logs",
    type=FILE,
    multiple=True,
    metavar="FILE",
    help="The audit log from the backup on, of each service; may be repeated.",
)
@click.option("--without-audit-log", is_flag=True, help="There is none: what was removed since is back.")
@click.option("--sha256", metavar="HASH", help="The SHA-256 of the manifest, as backup printed it.")
@data_option
def restore(
    folder: Path, logs: tuple[Path, ...], sha256: str | None, data: Path | None, *, without_audit_log: bool
) -> None:
    """Restore the backup in DIR into an empty database. Stop every service before.

    Everything that was issued before is revoked: tokens, refresh tokens, codes, sessions, invitations. Root
    keys are new, so key files must be exported anew. By the audit log, what was taken away since the backup
    is taken away again: removed clients and trust, revoked certificates, and every client that was changed
    or whose secret was replaced, which you register again.
    """
    if bool(logs) == without_audit_log:
        raise click.UsageError(
            "what was removed since the backup is in the audit log: give it (--audit-log), or say that there "
            "is none (--without-audit-log)"
        )
    manifest, digest = read_manifest(folder)
    if sha256 is not None and sha256.lower() != digest:
        raise SettingsError(
            f"the backup {folder} is another one, or it was changed (its SHA-256 is {digest}): name another"
        )
    if manifest.made_at > now() + LONGEST_CLOCK_SKEW:
        raise SettingsError(f"the backup is of {moment(manifest.made_at)}: set this machine's clock first")
    since = LoggedSince(manifest.made_at, logs)
    if since.newest > utc(now() + LONGEST_CLOCK_SKEW):
        raise SettingsError(f"the audit log goes on until {since.newest}: set this machine's clock first")
    settings = settings_from_environment(data=data)
    write_log_to(settings.audit_log)
    done = _restored(settings, folder, manifest, since)
    click.echo(f"restored the backup of {moment(manifest.made_at)}: {_counted(manifest)}")
    _say_notes(done)


def _restored(settings: Settings, folder: Path, manifest: Manifest, since: LoggedSince) -> Repeated:
    database = Database(settings.database_url)
    audit = partial(write_before, "database.restored")
    try:
        done = restore_backup(
            database, folder, manifest, now, lasting=LASTING, since=since.events, before_commit=audit
        )
    finally:
        database.close()
    open_stores(settings.database_url, settings.wrapping_key, now()).database.close()  # with new root keys
    return done


def _sealed(data: Path | None, recipient: Path) -> bytes:
    settings = settings_from_environment(data=data, creates=False)
    certificate = read_file(recipient, _LARGEST_CERTIFICATE)
    return sealed_wrapping_key(settings.wrapping_key, certificate, str(recipient))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise SettingsError(f"the folder {folder} is not empty: name a new one for the backup")
    except OSError as error:
        raise SettingsError(
            f"the folder {folder} cannot be made ({error.strerror}): name another one"
        ) from error


def _audit_saved(made_at: EpochSeconds) -> None:
    try:
        write(AuditEvent(at=utc(made_at), event="database.saved", who=OPERATOR))
    except Unavailable as error:
        raise Unavailable(f"not done, because it cannot be audited: {error}") from error


def _counted(manifest: Manifest) -> str:
    names = {"clients": "clients", "trusted_issuers": "trusted issuers", "revocations": "revocations"}
    return ", ".join(f"{manifest.tables[name].rows} {words}" for name, words in names.items())


def _say_notes(done: Repeated) -> None:
    for name in done.clients:
        say(f"note: client {name} was changed or removed since, and is left out: register it again", err=True)
    for name in done.trust:
        say(f"note: the trust {name} was removed since, and is left out", err=True)
    if done.certificates:
        click.echo(f"note: {len(done.certificates)} certificates are revoked again", err=True)
    click.echo(
        "note: every token so far is revoked, and the root keys are new: export the keys of each resource "
        "server that has a key file",
        err=True,
    )
