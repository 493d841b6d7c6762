"""Backups and their restoration: one moment, any kind of database, and nothing that lets in."""

import hashlib
import json
from base64 import b64decode
from pathlib import Path

import pytest
from sqlalchemy import event as event_of

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.macaroon.claims import NEVER, EpochSeconds
from macaroon_cbat.stores import Database
from macaroon_cbat.stores.backup import _snapshot, write_backup
from macaroon_cbat.stores.backup_format import MANIFEST, TABLES, read_manifest
from macaroon_cbat.stores.repeated import AuditLine, audit_lines
from macaroon_cbat.stores.restore import restore_backup
from macaroon_cbat.stores.schema import feed_positions, revocations
from macaroon_cbat.stores.trust import read_trust
from macaroon_cbat.stores.trusted_issuers import TrustedIssuer
from macaroon_cbat.stores.upgrades import upgrade
from tests.support.databases import (
    METADATA,
    NOW,
    ON_SQLITE,
    SECRET,
    all_rows,
    execute,
    grant,
    opened,
    revoke_token,
)

DAY = 86_400
LATER = EpochSeconds(NOW + 60)
TRUST = {
    "issuer": "https://idp.example",
    "jwks_uri": "https://idp.example/keys",
    "audiences": ["https://as.example"],
    "client": "billing",
    "claims": {"sub": "x"},
    "scope": "read",
    "resources": ["https://api.example"],
}
CERTIFICATE = "B" * 42 + "E"
EACH_KIND = pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)


def nothing() -> None:
    """Do nothing before the commit."""


def fill(stores) -> None:
    """Fill a database with something of each kind that a backup has."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    stores.clients.add("payroll", METADATA, secret=SECRET, now=NOW)
    stores.record_issuer("https://as.example")
    stores.trusted_issuers.add("idp", read_trust(TRUST, TrustedIssuer), NOW)
    revoke_token(stores, grant())
    stores.revocations.revoke("certificate", "A" * 43, now=NOW, expires_at=NOW + DAY)
    stores.expiring.add("used_assertion", "seen", b"", expires_at=NOW + DAY, now=NOW)
    registration = b'{"wrapped_secret":"c2VjcmV0","bounds":{"scope":"read"},"token_id":"t"}'
    stores.expiring.add("registered", "payroll", registration, expires_at=NEVER, now=NOW)
    stores.expiring.add("session", "open", b"{}", expires_at=NOW + DAY, now=NOW)


def saved(stores, folder: Path) -> Path:
    """Write a backup into a new folder."""
    folder.mkdir(mode=0o700)
    write_backup(stores.database, folder, version="0.1.0", made_at=NOW)
    return folder


def restore(url: str, folder: Path, events=(), *, before_commit=nothing):
    """Restore a backup into the database of this URL."""
    database = Database(url)
    manifest, _ = read_manifest(folder)
    try:
        return restore_backup(
            database, folder, manifest, lambda: LATER, lasting=DAY, since=events, before_commit=before_commit
        )
    finally:
        database.close()


@pytest.fixture
def folder(stores, tmp_path):
    """Return a backup of a filled database."""
    fill(stores)
    return saved(stores, tmp_path / "backup")


@pytest.fixture
def restored(folder, empty, url, request):
    """Restore the backup into a database of the other kind; return its stores."""
    if url.startswith("sqlite"):
        empty = request.getfixturevalue("server").new_database()
    restore(empty, folder)
    stores = opened(empty)
    yield stores
    stores.database.close()
    if url.startswith("sqlite"):
        request.getfixturevalue("server").drop(empty)


@pytest.fixture
def empty(tmp_path):
    """Name a database of SQLite in a new folder."""
    home = tmp_path / "restored"
    home.mkdir(mode=0o700)
    return f"sqlite:///{home / 'db.sqlite3'}"


@EACH_KIND
def test_every_kind_restores_every_kind(stores, restored):
    """Clients, trust and revocations are in the restored database as they were, whichever kind it is of."""
    before, after = all_rows(stores), all_rows(restored)
    ended = {"tokens_since": None}
    assert [row | ended for row in after["clients"]] == [row | ended for row in before["clients"]]
    assert after["trusted_issuers"] == before["trusted_issuers"]
    kept = {row["value"]: row["expires_at"] for row in after["revocations"]}
    assert {row["value"]: row["expires_at"] for row in before["revocations"]}.items() <= kept.items()
    assert restored.recorded_issuer() == "https://as.example"
    assert restored.clients.look_up("billing") is not None


@EACH_KIND
def test_nothing_from_before_lets_in(stores, restored):
    """Root keys are retired without secret, every token so far is revoked, and nothing begun goes on."""
    old = {one.kid for one in stores.root_keys.records()}
    records = restored.root_keys.records()
    assert {one.kid for one in records if one.state == "retired"} == old
    assert [one.state for one in records if one.kid not in old] == ["current", "next"]
    wiped = execute(restored, "SELECT wrapped_secret FROM root_keys WHERE state = 'retired'")
    assert {bytes(secret) for (secret,) in wiped} == {b""}
    for kid in (*old, "younger-than-the-backup"):
        assert restored.revocations.reason(grant("B" * 22, kid=kid, iat=LATER), None) is not None
    assert restored.expiring.find("session", "open", NOW) is None
    assert restored.expiring.find("registered", "payroll", NOW) is None
    assert restored.registrations.bounds("payroll", NOW) == b'{"scope":"read"}'
    assert restored.expiring.find("used_assertion", "seen", NOW) is not None


@EACH_KIND
def test_followers_begin_anew(stores, restored):
    """The restored database has another name, so no cursor fits, and it knows when it was restored."""
    assert restored.instance() != stores.instance()
    assert (restored.restored_at(), stores.restored_at()) == (LATER, 0)
    page = restored.revocations.after(0, "https://api.example")
    assert {"all", "key", "certificate", "token"} == {one.kind for one in page.decisions}


@ON_SQLITE
def test_a_backup_holds_no_secret_that_mints(stores, folder):
    """No root key, encrypted or not, and no family or session is in a backup, and its files are private."""
    wrapped = [bytes(secret) for (secret,) in execute(stores, "SELECT wrapped_secret FROM root_keys")]
    content = b"".join(file.read_bytes() for file in folder.iterdir())
    for secret in (*wrapped, *(key.secret for key in stores.root_keys.all())):
        assert secret not in content
        assert hashlib.sha256(secret).digest() not in content
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    assert not (folder / "families.jsonl").exists()
    records = [json.loads(line) for line in (folder / "expiring_records.jsonl").read_text().splitlines()]
    assert [b64decode(row[2]) for row in records if row[0] == "registered"] == [
        b'{"bounds":{"scope":"read"}}'
    ]
    assert b"session" not in (folder / "expiring_records.jsonl").read_bytes()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_table_is_read_in_pieces(stores, tmp_path):
    """Rows come from the server by a cursor of its own: a table may be larger than the memory."""
    seen: dict[str, str] = {}

    @event_of.listens_for(stores.database.engine, "after_cursor_execute")
    def _asked(_connection, cursor, statement, *_others) -> None:
        seen[statement.partition("FROM ")[2].split()[0] if "FROM" in statement else ""] = type(
            cursor
        ).__name__

    fill(stores)
    seen.clear()
    saved(stores, tmp_path / "pieces")
    assert {seen[table.name] for table in TABLES} == {"ServerCursor"}


def test_a_backup_is_of_one_moment(stores, open_again):
    """A change that is committed while the tables are read is in none of them."""
    revoke_token(stores, grant())
    other = open_again()
    with _snapshot(stores.database) as connection:
        before = connection.execute(revocations.select()).all()
        other.revocations.revoke("subject", "alice", now=NOW, expires_at=NOW + DAY)
        [position] = connection.execute(feed_positions.select()).all()
        assert connection.execute(revocations.select()).all() == before
    assert position.position == before[-1].sequence == 1
    assert stores.revocations.newest() == 2


@EACH_KIND
def test_nothing_is_restored_over_a_database(stores, folder, url):
    """A database that was ever used is refused, and is as it was."""
    before = all_rows(stores)
    with pytest.raises(SettingsError, match="is not empty"):
        restore(url, folder)
    assert all_rows(stores) == before


@ON_SQLITE
def test_a_database_with_empty_tables_is_empty(folder, empty):
    """Tables that another role made beforehand are filled."""
    database = Database(empty)
    upgrade(database)
    database.close()
    restore(empty, folder)
    stores = opened(empty)
    assert stores.clients.look_up("billing") is not None
    stores.database.close()


@ON_SQLITE
def test_a_restore_is_all_or_nothing(folder, empty):
    """A restore that fails at its end has done nothing, and another one succeeds."""

    def fail() -> None:
        raise Unavailable("not audited")

    with pytest.raises(Unavailable, match="not audited"):
        restore(empty, folder, before_commit=fail)
    assert restore(empty, folder).clients == []


def changed(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


SPOILED = {
    "a byte": (lambda folder: changed(folder / "clients.jsonl"), "damaged or changed"),
    "a row less": (lambda folder: shortened(folder / "clients.jsonl"), "damaged or changed"),
    "a row more": (lambda folder: longer(folder / "revocations.jsonl"), "damaged or changed"),
    "a file less": (lambda folder: (folder / "clients.jsonl").unlink(), "cannot be read"),
    "open to others": (lambda folder: (folder / "clients.jsonl").chmod(0o644), "used by others"),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "name the folder of a backup"),
    "other format": (
        lambda folder: edited(folder, format="macaroon_cbat backup 2"),
        "no manifest of a backup",
    ),
    "newer schema": (lambda folder: edited(folder, schema="9999"), "install the newer"),
    "no tables": (lambda folder: edited(folder, tables={}), "the tables of a backup"),
    "a path": (lambda folder: with_table(folder, file="../clients.jsonl"), "outside of the backup"),
    "a column": (lambda folder: with_table(folder, columns=["x"] * 8), "damaged or changed"),
    "no bytes": (lambda folder: with_table(folder, bytes_columns=["x"]), "damaged or changed"),
    "text for a number": (lambda folder: with_value(folder, "tokens_since", "abc"), "damaged or changed"),
    "number for text": (lambda folder: with_value(folder, "metadata", 7), "damaged or changed"),
    "too large": (lambda folder: with_value(folder, "created_at", 2**63), "damaged or changed"),
}


def with_value(folder: Path, column: str, value: object) -> None:
    """Put a value into each row of the clients, and its hash into the manifest, as an attacker would."""
    file = folder / "clients.jsonl"
    columns = json.loads((folder / MANIFEST).read_text())["tables"]["clients"]["columns"]
    rows = [dict(zip(columns, json.loads(line), strict=True)) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps([*(row | {column: value}).values()]) + "\n" for row in rows))
    with_table(folder, sha256=hashlib.sha256(file.read_bytes()).hexdigest())


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"[1]\n")


def shortened(file: Path) -> None:
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:-1]))


def edited(folder: Path, **members: object) -> None:
    file = folder / MANIFEST
    file.write_text(json.dumps(json.loads(file.read_text()) | members))


def with_table(folder: Path, **members: object) -> None:
    tables = json.loads((folder / MANIFEST).read_text())["tables"]
    tables["clients"] |= members
    edited(folder, tables=tables)


@ON_SQLITE
@pytest.mark.parametrize(("spoil", "reason"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_backup_is_not_restored(folder, empty, spoil, reason):
    """A backup that is not whole and unchanged is refused, and the database stays empty."""
    spoil(folder)
    with pytest.raises(SettingsError, match=reason):
        restore(empty, folder)
    database = Database(empty)
    upgrade(database)
    with database.reading() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM clients").scalar_one() == 0
    database.close()


@ON_SQLITE
def test_a_backup_of_an_older_version_is_restored(folder, empty):
    """A backup with the schema of an older version is brought to the newest one."""
    file = folder / "clients.jsonl"
    rows = [json.loads(line)[:6] for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = ["client_id", "secret_hash", "metadata", "created_at", "tokens_since", "unused_until"]
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    with_table(folder, columns=columns, bytes_columns=["secret_hash"], sha256=sha256)
    edited(folder, schema="0006")
    restore(empty, folder)
    stores = opened(empty)
    assert [client.client_id for client in stores.clients.all()] == ["billing", "payroll"]
    stores.database.close()


def event(kind: str, **members: str) -> AuditLine:
    return AuditLine(at="2026-01-01T00:00:00Z", event=kind, **members)


@ON_SQLITE
@pytest.mark.parametrize("kind", ["client.removed", "client.changed", "client.secret_rotated"])
def test_a_client_that_changed_since_is_left_out(folder, empty, kind):
    """A client that was removed or changed, or got another secret, since the backup is not back."""
    done = restore(empty, folder, [event(kind, client_id="payroll")] * 2)
    stores = opened(empty)
    assert [client.client_id for client in stores.clients.all()] == ["billing"]
    assert done.clients == ["payroll"]
    stores.database.close()


@ON_SQLITE
def test_what_was_taken_away_since_is_taken_away_again(folder, empty):
    """Trust that was removed is left out, a revoked certificate is revoked, and other events do nothing."""
    events = [
        event("trust.removed", trust="idp"),
        event("revoked", certificate=CERTIFICATE),
        event("revoked", client_id="billing"),
        event("client.added", client_id="payroll"),
        event("client.removed", client_id="unheard"),
    ]
    done = restore(empty, folder, events)
    stores = opened(empty)
    assert stores.trusted_issuers.all() == []
    assert stores.revocations.has_certificate(CERTIFICATE)
    assert [client.client_id for client in stores.clients.all()] == ["billing", "payroll"]
    assert (done.clients, done.trust, done.certificates) == ([], ["idp"], [CERTIFICATE])
    stores.database.close()


@ON_SQLITE
def test_root_keys_since_the_backup_are_retired(folder, empty):
    """Each root key that was made, retired or revoked since is retired: a thief forges new tokens with it."""
    kinds = ("key.rotated", "key.retired", "revoked")
    restore(empty, folder, [event(kind, kid=f"kid of {kind}") for kind in kinds])
    stores = opened(empty)
    decisions = stores.revocations.after(0).decisions
    assert {f"kid of {kind}" for kind in kinds} <= {one.value for one in decisions if one.kind == "key"}
    stores.database.close()


def test_a_torn_line_is_no_event_and_hides_none():
    """A line whose end is missing was acknowledged to no caller; another process goes on behind it."""
    line, torn = b'{"at":"x","event":"revoked","kid":"k"}\n', b'{"at":"y","event":"token.mi'
    assert [one.kid for one in audit_lines([line, torn])] == ["k"]
    assert [one.kid for one in audit_lines([torn + b"\n", torn + line, line])] == ["k", "k"]


@pytest.mark.parametrize("line", [b"no event\n", b'{"event":"revoked"}\n', b'{"at":"x"}\n', b'{"at":5}\n'])
def test_a_line_of_another_file_is_an_error(line):
    """A line that is whole and no event is an error, which names it."""
    with pytest.raises(ValueError, match="line 2 is no audit event"):
        list(audit_lines([b'{"at":"x","event":"revoked"}\n', line]))
