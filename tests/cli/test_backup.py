"""`macaroon-cbat backup` and `restore`: what they write, say and refuse."""

import json
import subprocess
import time

import pytest

from macaroon_cbat.audit import utc
from macaroon_cbat.cli.restored_log import LoggedSince
from tests.support.certificates import certified
from tests.support.command_line import call, complaint, members, out
from tests.support.rsa_keys import rsa_key

ADD = ("client", "add", "billing", "--scope", "read")


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Return the audit log of every command."""
    file = tmp_path / "audit.log"
    monkeypatch.setenv("MACAROON_CBAT_AUDIT_LOG", str(file))
    return file


@pytest.fixture
def saved(data, log, tmp_path):
    """Return a backup of a database with two clients."""
    out(*ADD, "--data", data)
    out("client", "add", "payroll", "--scope", "read", "--data", data)
    result = call("backup", tmp_path / "saved", "--data", data)
    assert result.exit_code == 0, result.output
    assert ": 2 clients, 0 trusted issuers, 0 revocations" in result.stdout
    return tmp_path / "saved"


@pytest.fixture(scope="module")
def rsa_recipient(tmp_path_factory):
    """Return the files of a recipient's certificate and key."""
    identity, folder = certified("CN=recipient", key=rsa_key()), tmp_path_factory.mktemp("recipient")
    (folder / "recipient.pem").write_bytes(identity.pem)
    (folder / "recipient.key").write_bytes(identity.key_pem)
    return folder / "recipient.pem", folder / "recipient.key"


def digest_in(result):
    return result.stderr.split("SHA-256 ")[1].split(":")[0]


def test_a_backup_is_restored_by_the_log(saved, data, log, tmp_path):
    """A client that was removed since the backup is in the audit log, and is left out."""
    out("client", "remove", "payroll", "--data", data)
    result = call("restore", saved, "--audit-log", log, "--data", tmp_path / "new")
    assert (result.exit_code, result.stdout.startswith("restored the backup of ")) == (0, True), result.output
    assert "note: client payroll was changed or removed since, and is left out" in result.stderr
    assert "every token so far is revoked" in result.stderr
    assert [one["client_id"] for one in members("client", "list", "--data", tmp_path / "new")] == ["billing"]
    kinds = [one["kind"] for one in members("revocation", "list", "--data", tmp_path / "new")]
    assert sorted(kinds) == ["all", "key", "key"]
    assert [json.loads(line)["event"] for line in log.read_text().splitlines()] == [
        *("client.added", "client.added", "database.saved", "client.removed", "database.restored"),
    ]


def test_a_backup_needs_no_wrapping_key(data, tmp_path):
    """The host that makes backups need not have the wrapping key, and a missing database is none."""
    (data / "wrapping.key").unlink()
    assert call("backup", tmp_path / "saved", "--data", data).exit_code == 0
    assert "no database" in complaint(call("backup", tmp_path / "none", "--data", tmp_path / "empty"), 2)
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "empty").exists()


def test_without_a_log_it_must_be_said(saved, tmp_path):
    """A restore needs the audit log, or the word that there is none; not both."""
    new = ("--data", tmp_path / "new")
    assert "--without-audit-log" in call("restore", saved, *new).stderr
    both = ("--audit-log", saved / "manifest.json", "--without-audit-log")
    assert call("restore", saved, *both, *new).exit_code == 2
    assert not (tmp_path / "new").exists()
    assert call("restore", saved, "--without-audit-log", *new).exit_code == 0
    assert len(members("client", "list", *new)) == 2


def test_a_log_must_reach_back_to_the_backup(saved, log, tmp_path):
    """A log that began after the backup, because it was rotated, needs the one before it as well."""
    older, newer = tmp_path / "audit.log.1", tmp_path / "newer"
    log.rename(older)
    newer.write_text(f'{{"at":"{utc(time.time())}","event":"client.removed","client_id":"billing"}}\n')
    new = ("--data", tmp_path / "new")
    assert "give the older file" in complaint(call("restore", saved, "--audit-log", newer, *new), 2)
    result = call("restore", saved, "--audit-log", older, "--audit-log", newer, *new)
    assert result.exit_code == 0, result.output
    assert [one["client_id"] for one in members("client", "list", *new)] == ["payroll"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read"), ("no event\n", "line 1 is no audit event"), ("", "does not have the backup")],
    ids=["missing", "no log", "empty"],
)
def test_a_log_that_is_none(saved, tmp_path, content, reason):
    """A log that cannot be read whole restores nothing."""
    file = tmp_path / "other.log"
    if content is not None:
        file.write_text(content)
    line = complaint(call("restore", saved, "--audit-log", file, "--data", tmp_path / "new"), 2)
    assert reason in line
    assert not (tmp_path / "new").exists()


def test_the_manifest_is_compared(data, tmp_path):
    """With the SHA-256 that backup printed, a backup that was changed is refused."""
    digest = digest_in(call("backup", tmp_path / "saved", "--data", data))
    new = ("--without-audit-log", "--data", tmp_path / "new")
    manifest = tmp_path / "saved" / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text(whole + " ")
    line = complaint(call("restore", tmp_path / "saved", "--sha256", digest, *new), 2)
    assert "it was changed" in line
    manifest.write_text(whole)
    assert call("restore", tmp_path / "saved", "--sha256", digest.upper(), *new).exit_code == 0


def test_a_clock_behind_the_backup_restores_nothing(saved, tmp_path):
    """A machine whose clock is behind would let old tokens in: it is refused."""
    manifest = saved / "manifest.json"
    members = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(members | {"made_at": members["made_at"] + 3600}))
    line = complaint(call("restore", saved, "--without-audit-log", "--data", tmp_path / "new"), 2)
    assert "clock" in line


def test_a_clock_behind_the_log_restores_nothing(saved, log, tmp_path):
    """A token that was issued after the machine's time would be let in: events from later are refused."""
    with log.open("a") as stream:
        stream.write(f'{{"at":"{utc(time.time() + 3600)}","event":"token.minted"}}\n')
    line = complaint(call("restore", saved, "--audit-log", log, "--data", tmp_path / "new"), 2)
    assert "the audit log goes on until" in line
    assert not (tmp_path / "new").exists()


def test_a_clock_that_was_set_back_loses_no_event(saved, log, tmp_path):
    """An event behind the backup in its log came after it, even if its time is an earlier one."""
    with log.open("a") as stream:
        stream.write('{"at":"2020-01-01T00:00:00Z","event":"client.removed","client_id":"billing"}\n')
    new = ("--data", tmp_path / "new")
    assert call("restore", saved, "--audit-log", log, *new).exit_code == 0
    assert [one["client_id"] for one in members("client", "list", *new)] == ["payroll"]


def test_nothing_is_overwritten(saved, data, tmp_path):
    """Neither a folder with files nor a database is written over."""
    assert "is not empty" in complaint(call("backup", saved, "--data", data), 2)
    before = members("client", "list", "--data", data)
    assert "is not empty" in complaint(call("restore", saved, "--without-audit-log", "--data", data), 2)
    assert members("client", "list", "--data", data) == before


def test_what_cannot_be_audited_is_not_done(saved, data, tmp_path, monkeypatch):
    """A backup or restore whose event cannot be written leaves no backup, and an empty database."""
    monkeypatch.setenv("MACAROON_CBAT_AUDIT_LOG", "/dev/full")
    for command in (
        ("backup", tmp_path / "second", "--data", data),
        ("restore", saved, "--without-audit-log", "--data", tmp_path / "new"),
    ):
        assert "not done, because it cannot be audited" in complaint(call(*command), 1)
    assert not (tmp_path / "second" / "manifest.json").exists()
    monkeypatch.delenv("MACAROON_CBAT_AUDIT_LOG")
    assert call("restore", saved, "--without-audit-log", "--data", tmp_path / "new").exit_code == 0


def test_the_wrapping_key_is_for_its_recipient_alone(data, tmp_path, rsa_recipient):
    """--wrapping-key-for adds the key as CMS, which openssl opens with the recipient's key alone."""
    certificate, key = rsa_recipient
    assert (
        call("backup", tmp_path / "saved", "--wrapping-key-for", certificate, "--data", data).exit_code == 0
    )
    sealed = tmp_path / "saved" / "wrapping-key.pem"
    text = (data / "wrapping.key").read_text().strip()
    assert text not in sealed.read_text()
    opened = subprocess.run(
        ["openssl", "cms", "-decrypt", "-inform", "PEM", "-in", sealed, "-inkey", key],
        capture_output=True,
        check=True,
    )
    assert opened.stdout.decode() == text
    assert sealed.stat().st_mode & 0o777 == 0o600


def test_a_recipient_without_an_rsa_key_is_refused(data, tmp_path):
    """A certificate that CMS cannot encrypt for, or none, is refused before anything is written."""
    file = tmp_path / "ec.pem"
    file.write_bytes(certified("CN=ec").pem)
    for other in (file, data / "wrapping.key"):
        line = complaint(call("backup", tmp_path / "saved", "--wrapping-key-for", other, "--data", data), 2)
        assert "RSA key" in line or "no certificate" in line
    assert not (tmp_path / "saved").exists()


def test_a_log_is_not_kept_in_memory(tmp_path):
    """Of the log of a busy day, a restore keeps what it repeats: removals, and no token that was minted."""
    log = tmp_path / "audit.log"
    kinds = ["database.saved", *["token.minted"] * 100, "client.removed", "trust.removed", "key.rotated"]
    lines = [json.dumps({"at": utc(1000 + n), "event": kind, "kid": "k"}) for n, kind in enumerate(kinds)]
    log.write_text("\n".join([*lines, ""]))
    since = LoggedSince(1000, [log])
    assert [one.event for one in since.events] == ["client.removed", "trust.removed", "key.rotated"]
    assert since.newest == utc(1000 + len(kinds) - 1)


def test_the_log_of_a_clock_that_is_behind_counts(tmp_path):
    """In another service's log, what its clock puts a little before the backup may have come after it."""
    made_at = 100_000
    own, others = tmp_path / "own.log", tmp_path / "others.log"
    removed = [{"at": utc(made_at - 300), "event": "client.removed", "client_id": "billing"}]
    saved = [{"at": utc(made_at), "event": "database.saved"}]
    for file, lines in ((own, removed + saved), (others, removed)):
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert LoggedSince(made_at, [own]).events == []
    assert [one.client_id for one in LoggedSince(made_at, [own, others]).events] == ["billing"]
