"""`macaroon-cbat client rotate-secret`: another secret, written before it is needed and never lost unseen."""

import json

import pytest

from macaroon_cbat.stores.client_secrets import secret_hash, secret_name
from tests.support.command_line import call, complaint, members, out

ADD = ("client", "add", "billing", "--scope", "read")
ROTATE = ("client", "rotate-secret", "billing")


@pytest.fixture
def registered(data):
    """Register the client; return the options that reach it."""
    out(*ADD, "--data", data)
    return ("--data", data)


def shown(here):
    """Return the name of the secret that the client has, as anyone may compute it from the secret."""
    return members("client", "show", "billing", *here)["client_secret_id"]


def test_a_new_secret_is_shown_once(registered):
    """The new secret is on standard output, and `client show` names it from then on."""
    result = call(*ROTATE, *registered)
    label, _, secret = result.stdout.strip().partition(": ")
    assert (label, shown(registered)) == ("client_secret", secret_name(secret_hash(secret)))
    assert "the client's tokens are revoked" in result.stderr
    assert [one["value"] for one in members("revocation", "list", *registered)] == ["billing"]


@pytest.mark.parametrize(
    ("time", "seconds"), [("24h", 86_400), ("90", 90), ("30m", 1800), ("2d", 172_800), ("0", 0)]
)
def test_the_old_secret_is_kept_for_a_time(registered, time, seconds):
    """--keep-old takes seconds, or a number with a unit, and the answer says until when."""
    rotated = members(*ROTATE, "--keep-old", time, *registered)
    assert rotated["tokens_revoked"] is (seconds == 0)
    told = members("client", "show", "billing", *registered)
    assert told.get("old_secret_until") == rotated["old_secret_until"]
    assert (rotated["old_secret_until"] is None) is (seconds == 0)


def test_the_secret_goes_into_a_file(registered, tmp_path):
    """--secret-file gets the secret alone, with mode 0600, and replaces a file only if told."""
    file = tmp_path / "secret"
    out(*ROTATE, "--secret-file", file, "--keep-old", "1h", *registered)
    assert (shown(registered), file.stat().st_mode & 0o777) == (
        secret_name(secret_hash(file.read_text().strip())),
        0o600,
    )
    before = shown(registered)
    assert "exists already" in complaint(call(*ROTATE, "--secret-file", file, *registered), 2)
    assert shown(registered) == before
    out(*ROTATE, "--secret-file", file, "--force", *registered)
    assert shown(registered) == secret_name(secret_hash(file.read_text().strip())) != before


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--keep-old", "91d"), "it is too long: write 90d at most"),
        (("--keep-old", "1w"), "'1w' is no duration"),
        (("--keep-old", "-1"), "is no duration"),
        (("--json", "--secret-file", "-"), "--json shows the secret already"),
    ],
    ids=str,
)
def test_a_bad_rotation_rotates_nothing(registered, options, reason):
    """Options that cannot be are refused, and the secret is the same."""
    before = shown(registered)
    result = call(*ROTATE, *options, *registered)
    assert (result.exit_code, reason in result.stderr) == (2, True), result.stderr
    assert shown(registered) == before


def test_an_unknown_client_and_one_without_secret(registered, certificate):
    """A name that is not registered is wrong usage, and a client without a secret is refused."""
    assert "no client 'nosuch'" in call("client", "rotate-secret", "nosuch", *registered).stderr
    method = ("--auth", "self_signed_tls_client_auth", "--certificate", certificate)
    out("client", "add", "tls", "--scope", "read", *method, *registered)
    assert "has no secret" in complaint(call("client", "rotate-secret", "tls", *registered), 1)


def test_a_lost_secret_is_said_to_be_lost(registered):
    """A secret that a full disk does not take is the client's all the same, and the message says so."""
    before = shown(registered)
    line = complaint(call(*ROTATE, *registered, "--secret-file", "/dev/full", "--force"), 2)
    assert "client billing has a new secret, and it is lost: rotate once more" in line
    assert shown(registered) != before


def test_json_has_the_secret(registered):
    """--json prints one object with the secret and what became of the old one."""
    rotated = json.loads(out(*ROTATE, "--keep-old", "1h", "--json", *registered))
    assert rotated.keys() == {
        "client_id",
        "client_secret",
        "client_secret_expires_at",
        "old_secret_until",
        "tokens_revoked",
    }
    assert shown(registered) == secret_name(secret_hash(rotated["client_secret"]))
