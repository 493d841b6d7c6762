"""Audiences on the command line: any equivalent spelling, and one spelling in what is written."""

import json
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.caveats import Audience
from macaroon_cbat.resource import Introspection
from tests.support.command_line import call, complaint, members, out, token, with_database

API = "https://api.example"
SPELLINGS = ["https://api.example/", "https://API.example", "https://api.example:443/"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_registration_and_export_agree(tmp_path: Path, spelling: str):
    """`client add`, `client update` and `key export` mean one audience by every spelling of it."""
    data = ("--data", with_database(tmp_path / "data"))
    added = members("client", "add", "billing", "--scope", "read", "--audience", spelling, *data)
    assert added["audiences"] == [API]
    changed = members("client", "update", "billing", "--audience", API, "--serves", spelling, *data)
    assert (changed["audiences"], changed["serves"]) == ([API], [API])
    exported = call("key", "export", "--audience", spelling, *data)
    assert (json.loads(exported.stdout)["audience"], "no client" in exported.stderr) == (API, False)
    assert exported.stdout == out("key", "export", "--audience", API, *data)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_token_is_verified_for_any_spelling(tmp_path: Path, keys: Path, spelling: str):
    """`token verify --audience` takes the spelling that the resource server has in its settings."""
    text = token(Audience(spelling))
    done = call("token", "verify", "--keys", keys, "--audience", spelling, "--allow-unbound", stdin=text)
    assert done.stdout.startswith("accepted: billing")


@pytest.mark.parametrize("audience", ["api.example", "https://api.example//", "https://x@api.example"])
@pytest.mark.parametrize(
    "command",
    [("client", "add", "x", "--scope", "read"), ("key", "export")],
    ids=["client add", "key export"],
)
def test_what_is_no_audience_is_refused(tmp_path: Path, command: tuple[str, ...], audience: str):
    """An audience that servers could read differently is refused in one line that names it."""
    done = call(*command, "--audience", audience, "--data", with_database(tmp_path / "data"))
    assert f"audience '{audience}'" in complaint(done, done.exit_code)
    assert done.exit_code in (1, 2)


def test_a_resource_server_of_no_audience_does_not_start():
    """An introspecting resource server with an audience that servers read differently says so at start-up."""
    with pytest.raises(SettingsError, match="one slash"):
        Introspection("https://as.example", "https://api.example//", "api", "secret")
