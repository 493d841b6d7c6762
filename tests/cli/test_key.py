import json

import pytest

from macaroon_cbat.macaroon.keys import read_key_file
from tests.support.command_line import API, call, complaint, members, out, run


@pytest.fixture
def registered(data):
    out("client", "add", "billing", "--scope", "read", "--audience", API, "--data", data)
    return data


def test_the_keys_of_an_audience_go_to_a_file(registered, tmp_path):
    """`key export > keys.json` writes what the resource server of the audience reads."""
    result = run("key", "export", "--audience", API, "--data", registered)
    assert (result.returncode, result.stderr) == (0, b"")
    ring = read_key_file(result.stdout)
    records = members("key", "list", "--data", registered)
    assert [record["state"] for record in records] == ["current", "next"]
    assert (ring.audience, list(ring.keys)) == (API, [record["kid"] for record in records])
    assert ring.issuer == "https://localhost:8443"


def test_output_is_for_its_owner(registered, tmp_path):
    """`key export --output --force` writes a file of mode 0600, in place of whatever was there."""
    file = tmp_path / "keys.json"
    file.write_text("old")
    file.chmod(0o644)
    assert out("key", "export", "--audience", API, "--output", file, "--force", "--data", registered) == ""
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_key_file(file.read_bytes()).audience == API
    assert file.read_text() == out("key", "export", "--audience", API, "--data", registered)
    assert not [left for left in tmp_path.iterdir() if left.name.startswith(".")]


@pytest.mark.parametrize("name", ["missing/keys.json", "file/keys.json"])
def test_an_output_that_cannot_be_written_is_named(registered, tmp_path, name):
    """An output file that cannot be written is named in one line, with status 2."""
    (tmp_path / "file").touch()
    file = tmp_path / name
    result = call("key", "export", "--audience", API, "--output", file, "--data", registered)
    assert str(file) in complaint(result, 2)


def test_an_audience_without_a_client_is_noted(registered):
    """Keys of an audience that no client is registered for come with a note, not on standard output."""
    result = call("key", "export", "--audience", "https://other.example", "--data", registered)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["audience"] == "https://other.example"
    assert "no client is registered for audience https://other.example" in result.stderr


@pytest.mark.parametrize("issuer", ["https://localhost:8443", "https://as.example"])
def test_the_keys_of_the_service_itself_are_not_exported(registered, tmp_path, monkeypatch, issuer):
    """The issuer's own audience gets no key file: with it an administrator's token could be minted."""
    if issuer != "https://localhost:8443":
        monkeypatch.setenv("MACAROON_CBAT_ISSUER", issuer)
    file = tmp_path / "keys.json"
    result = call("key", "export", "--audience", issuer, "--output", file, "--data", registered)
    assert "is the service itself" in complaint(result, 2)
    assert not file.exists()


def test_an_export_holds_the_keys_of_one_audience(registered):
    """A key that is exported for two audiences has one name, and another secret for each."""
    keys = [
        json.loads(out("key", "export", "--audience", audience, "--data", registered))["keys"]
        for audience in (API, "https://other.example")
    ]
    assert keys[0][0]["kid"] == keys[1][0]["kid"]
    assert keys[0][0]["k"] != keys[1][0]["k"]


def test_a_rotation_makes_a_new_current_key(registered):
    """`key rotate` lets the next key mint and makes a new one; all of them are exported."""
    old, coming = members("key", "list", "--data", registered)
    new = members("key", "rotate", "--data", registered)
    assert (new["kid"], new["state"]) == (coming["kid"], "current")
    listed = members("key", "list", "--data", registered)
    assert [one["kid"] for one in listed[:2]] == [old["kid"], new["kid"]]
    assert [one["state"] for one in listed] == ["retiring", "current", "next"]
    exported = json.loads(out("key", "export", "--audience", API, "--data", registered))
    assert [key["kid"] for key in exported["keys"]] == [one["kid"] for one in listed]
    lines = out("key", "list", "--data", registered).splitlines()
    assert [line.split()[1] for line in lines] == ["retiring", "current", "next"]
    assert "run key export" in out("key", "rotate", "--data", registered)


def test_listing_and_rotating_show_no_key(registered):
    """Only `key export` shows keys."""
    exported = json.loads(out("key", "export", "--audience", API, "--data", registered))
    secret = exported["keys"][0]["k"]
    for command in ("list", "rotate"):
        for option in ((), ("--json",)):
            assert secret not in out("key", command, *option, "--data", registered)


def test_the_issuer_is_the_one_of_the_settings(registered, monkeypatch):
    """The exported keys name the issuer of the settings."""
    monkeypatch.setenv("MACAROON_CBAT_ISSUER", "https://as.example")
    exported = json.loads(out("key", "export", "--audience", API, "--data", registered))
    assert exported["issuer"] == "https://as.example"


@pytest.mark.parametrize("audience", ["api", "https://a#b", "", "https://a b"])
def test_an_audience_that_is_no_uri_is_refused(registered, audience):
    """An audience that no token can have gets no keys."""
    result = call("key", "export", "--audience", audience, "--data", registered)
    assert "absolute URI" in complaint(result, 2)
