"""`macaroon-cbat client import`: clients of another server, line by line, all checked before the first."""

import json

import pytest

from macaroon_cbat.stores.client_secrets import secret_hash, secret_name
from tests.support.command_line import API, call, complaint, members, out

SECRET = "tGz6_Ru8wB-nM5Tq1Yx7Kq"
HASH = secret_hash(SECRET).hex()
ONE = {"client_id": "one", "client_secret": SECRET, "scope": "read", "audiences": [API]}
TWO = {
    "client_id": "two",
    "client_secret_sha256": HASH,
    "scope": "write",
    "client_secret_expires_at": 0,
    "client_id_issued_at": 5,
    "registration_access_token": "t",
    "logo_uri": "https://a.example/l.png",
}
APP = {
    "client_id": "app",
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
    "redirect_uris": ["https://app.example/back"],
    "scope": "read",
    "dpop_bound_access_tokens": True,
}


def lines(*clients: dict[str, object]) -> str:
    return "".join(json.dumps(one) + "\n" for one in clients)


def imported(data, text, *options):
    return call("client", "import", "-", *options, "--data", data, stdin=text)


def names(data):
    return [one["client_id"] for one in members("client", "list", "--data", data)]


def test_clients_keep_name_and_secret(data):
    """Each line is a client, whose secret is the one it had, given itself or as its hash."""
    result = imported(data, lines(ONE, TWO, APP) + "\n")
    assert (result.exit_code, result.stderr.splitlines()[0]) == (0, "3 clients are registered, 0 left")
    assert names(data) == ["app", "one", "two"]
    for name in ("one", "two"):
        told = members("client", "show", name, "--data", data)
        assert told["client_secret_id"] == secret_name(secret_hash(SECRET))
    assert SECRET not in result.output
    assert HASH not in result.output


def test_a_dry_run_registers_no_client(data):
    """--dry-run checks all and changes nothing."""
    result = imported(data, lines(ONE, TWO), "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "2 clients can be registered, 0 left\n")
    assert names(data) == []


def test_a_client_that_exists_stays(data):
    """A name that is taken stops the import, and --skip-existing leaves that client as it is."""
    out("client", "add", "one", "--scope", "keep", "--data", data)
    assert "client one is registered already" in complaint(imported(data, lines(TWO, ONE)), 2)
    assert names(data) == ["one"]
    assert imported(data, lines(TWO, ONE), "--skip-existing").exit_code == 0
    assert members("client", "show", "one", "--data", data)["scope"] == "keep"
    assert names(data) == ["one", "two"]


def test_what_is_ignored_is_named(data):
    """A member that is unknown here is left out only if it is named."""
    odd = ONE | {"subject_type": "public"}
    assert "line 1: " in complaint(imported(data, lines(odd)), 2)
    assert imported(data, lines(odd), "--ignore", "subject_type").exit_code == 0


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (lines(ONE | {"client_secret": "short"}), "shorter than 22 characters"),
        (lines(ONE | {"client_secret": "é" * 30}), "no text of visible ASCII"),
        (lines(ONE | {"client_secret": 5}), "no text of visible ASCII"),
        (lines(TWO | {"client_secret_sha256": "$2b$12$" + "x" * 53}), "another hash cannot be used"),
        (lines(TWO | {"client_secret_sha256": HASH.upper()}), "64 lower-case hexadecimal digits"),
        (lines(TWO | {"client_secret": SECRET}), "a secret twice"),
        (lines(TWO | {"client_secret_expires_at": 9}), "its secret expires"),
        (lines({"scope": "read", "client_secret": SECRET}), "client_id is missing"),
        (lines({"client_id": "x", "scope": "read"}), "give a secret with"),
        (lines(APP | {"client_secret": SECRET}), "with no other method"),
        (lines(ONE | {"colour": "red"}), "colour"),
        (lines(ONE | {"grant_types": ["implicit"]}), "grant_types"),
        (lines(ONE, ONE), "line 2: client one is there twice"),
        ('{"client_id": "a", "client_id": "b"}\n', "no JSON object"),
        ("[1]\n", "no JSON object"),
        ("client_id=a\n", "no JSON object"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 else "",
)
def test_a_bad_line_registers_no_client(data, line, reason):
    """A line that cannot be registered as it stands is named with its reason, and no line is registered."""
    text = line if isinstance(line, bytes) else line + lines(TWO | {"client_id": "good"})
    assert reason in complaint(imported(data, text), 2)
    assert names(data) == []


def test_what_the_service_refuses_is_said(data):
    """A client that the service alone can refuse stops the import, and the number before it is said."""
    mixed = ONE | {"client_id": "mixed", "scope": "read keys"}
    result = imported(data, lines(TWO, mixed))
    assert result.exit_code == 1
    assert "client mixed is not registered, 1 before it are: mend it" in result.stderr
    assert names(data) == ["two"]
