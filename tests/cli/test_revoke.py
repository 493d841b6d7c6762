"""`macaroon-cbat revoke`, `key retire` and `key rewrap`."""

from pathlib import Path

import pytest

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.stores import open_stores, read_or_make_wrapping_key, sqlite_url
from tests.support.command_line import API, call, complaint, members, out

THUMBPRINT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"


@pytest.fixture
def decisions(data):
    """Return what the feed hands out."""

    def read() -> list[tuple[str, str]]:
        file = Path(data) / "macaroon_cbat.sqlite3"
        key = read_or_make_wrapping_key(Path(data) / "wrapping.key")
        stores = open_stores(sqlite_url(file), key, EpochSeconds(0))
        try:
            return [(one.kind, one.value) for one in stores.revocations.after(0, API).decisions]
        finally:
            stores.database.close()

    return read


@pytest.fixture
def registered(data):
    """Return a data folder in which a client is registered."""
    out("client", "add", "billing", "--scope", "read", "--audience", API, "--data", data)
    return data


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("token", "A" * 22),
        ("token", "-N" + "A" * 20),
        ("client", "billing"),
        ("subject", "billing"),
        ("family", "FFECAwQFBgcICQoLDA0ODw"),
        ("certificate", THUMBPRINT),
        ("certificate", "-" + THUMBPRINT[1:]),
    ],
)
def test_a_name_is_revoked(registered, decisions, kind, value):
    """`revoke KIND VALUE` revokes what has this name, and doing it again is no error."""
    for _ in range(2):
        assert out("revoke", kind, value, "--data", registered) == f"revoked {kind} {value}\n"
    assert decisions() == [(kind, value)]


@pytest.mark.parametrize("kind", ["client", "subject"])
@pytest.mark.parametrize("name", ["nosuch", "Billing", "billing ", "bill%", "-billing"])
def test_a_name_that_no_client_has_revokes_nothing(registered, decisions, kind, name):
    """A name with a slip of the pen is refused with what to do, and nothing is revoked."""
    line = complaint(call("revoke", kind, name, "--data", registered), 1)
    assert f"no client is named {name!r}" in line
    assert "client list" in line
    assert "force" in line
    assert decisions() == []


@pytest.mark.parametrize("kind", ["client", "subject"])
def test_what_is_left_of_a_removed_client_can_be_revoked(registered, decisions, kind):
    """With --force a name need not be registered: it may have been, before there were such revocations."""
    command = ("revoke", kind, "nosuch", "--force", "--data", registered)
    assert out(*command) == f"revoked {kind} nosuch\n"
    assert decisions() == [(kind, "nosuch")]


@pytest.mark.parametrize(("kind", "value"), [("token", "A" * 22), ("family", "FFECAwQFBgcICQoLDA0ODw")])
def test_what_cannot_be_known_is_said(data, kind, value):
    """Whether a token or family exists is recorded nowhere, and the command says so."""
    result = call("revoke", kind, value, "--data", data)
    assert result.stderr.splitlines() == [
        f"note: the service keeps no list of every {kind}: check that this is the right one",
        f"changed the database in {data}",
    ]


def test_what_is_revoked_is_listed(registered):
    """`revocation list` shows each live revocation once, in order, and when it ends."""
    data = registered
    assert out("revocation", "list", "--data", data) == ""
    out("revoke", "client", "billing", "--data", data)
    out("revoke", "certificate", THUMBPRINT, "--data", data)
    first, second = out("revocation", "list", "--data", data).splitlines()
    assert first.startswith("client       billing  revoked 20")
    assert second.startswith(f"certificate  {THUMBPRINT}  revoked 20")
    assert second.endswith("until further notice")
    only = members("revocation", "list", "--kind", "client", "--data", data)
    assert [(one["kind"], one["value"]) for one in only] == [("client", "billing")]
    assert only[0]["expires_at"] > only[0]["revoked_at"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("missing.pem", id="no file"),
        pytest.param("ab" * 32, id="hex"),
        pytest.param("AB:" * 31 + "AB", id="hex with colons"),
        pytest.param(THUMBPRINT.upper() + "=", id="padded capitals"),
        pytest.param("", id="nothing"),
    ],
)
def test_what_is_no_thumbprint_is_refused(data, decisions, value):
    """A certificate that is named by neither file nor thumbprint is refused in one line; nothing changes."""
    assert "no file" in complaint(call("revoke", "certificate", value, "--data", data), 2)
    assert decisions() == []


@pytest.mark.parametrize("kind", ["token", "family"])
@pytest.mark.parametrize("value", ["x", "A" * 21, "user:alice"])
def test_a_name_that_none_can_have_is_refused(data, decisions, kind, value):
    """The revocation of a mistyped token or family is not acknowledged, and nothing changes."""
    assert "22 characters" in complaint(call("revoke", kind, value, "--data", data), 1)
    assert decisions() == []


@pytest.mark.parametrize("kind", ["tokens", "Token", ""])
def test_an_unknown_kind_is_refused(data, decisions, kind):
    """An unknown kind is wrong usage, and nothing changes."""
    assert call("revoke", kind, "x", "--data", data).exit_code == 2
    assert decisions() == []


@pytest.mark.parametrize("command", [("key", "retire"), ("revoke", "key")], ids=" ".join)
def test_a_key_is_retired(data, decisions, command):
    """A retiring key is retired, and its tokens are revoked for every offline verifier."""
    old = members("key", "list", "--data", data)[0]["kid"]
    out("key", "rotate", "--data", data)
    assert old in out(*command, old, "--data", data)
    assert members("key", "list", "--data", data)[0]["state"] == "retired"
    assert decisions() == [("key", old)]


@pytest.mark.parametrize("command", [("key", "retire"), ("revoke", "key")], ids=" ".join)
def test_a_key_that_mints_is_not_retired(data, decisions, command):
    """The current or next key, or an unknown one, is not retired: one line, status not 0, no change."""
    current, coming = (one["kid"] for one in members("key", "list", "--data", data))
    for kid, reason in ((current, "rotate until"), (coming, "rotate until"), ("unknown", "see key list")):
        result = call(*command, kid, "--data", data)
        assert reason in complaint(result, result.exit_code)
        assert result.exit_code in {1, 2}
    assert [one["state"] for one in members("key", "list", "--data", data)] == ["current", "next"]
    assert decisions() == []


def test_a_rewrap_replaces_the_wrapping_key(data):
    """`key rewrap` puts another key into wrapping.key; what was exported stays the same."""
    before = out("key", "export", "--audience", API, "--data", data)
    file = Path(data) / "wrapping.key"
    old = file.read_text()
    assert "2 keys are encrypted anew" in out("key", "rewrap", "--data", data)
    assert (len(file.read_text().split()), file.read_text() == old) == (1, False)
    assert out("key", "export", "--audience", API, "--data", data) == before


def test_a_rewrap_by_environment(tmp_path, monkeypatch):
    """With the variable, `key rewrap` encrypts under its first key, which then is enough alone."""
    old, new = "A" * 42 + "E", "B" * 42 + "E"
    data = tmp_path / "data"
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY", old)
    before = out("key", "export", "--init", "--audience", API, "--data", data)
    assert "one wrapping key is set" in call("key", "rewrap", "--data", data).stderr
    monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY", f"{new} {old}")
    assert call("key", "rewrap", "--data", data).stderr == f"changed the database in {data}\n"
    for key, is_enough in ((new, True), (old, False)):
        monkeypatch.setenv("MACAROON_CBAT_WRAPPING_KEY", key)
        result = call("key", "export", "--audience", API, "--data", data)
        assert (result.stdout == before) == is_enough
