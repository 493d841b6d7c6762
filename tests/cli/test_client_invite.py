"""`macaroon-cbat client invite`: an invitation is made, narrowed and revoked without a line of code."""

import json

import pytest

from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.command_line import API, call, complaint, members, out

BOUNDS = ("--scope", "read write", "--audience", API, "--host", "127.0.0.1")


def read(text):
    """Return the grant of an invitation, and what its first caveat states."""
    macaroon = read_macaroon(text.strip())
    return read_identifier(macaroon.identifier), json.loads(macaroon.caveats[0])["registration"]


def test_an_invitation_states_every_bound(data):
    """An invitation states each bound, of which the defaults are narrow, and is shown once."""
    result = call("client", "invite", *BOUNDS, "--data", data)
    assert result.exit_code == 0, result.output
    grant, bounds = read(result.stdout)
    assert (grant.client_id, grant.scope, grant.exp - grant.iat) == ("operator", "read write", 86_400)
    assert bounds == {
        "audiences": [API],
        "hosts": ["127.0.0.1"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods": ["none"],
        "registrations": 1,
    }
    assert f"macaroon-cbat revoke token {grant.jti}" in result.stderr
    assert f"changed the database in {data}" in result.stderr


def test_every_bound_is_an_option(data, tmp_path):
    """Every bound has an option, and the invitation may go to a private file."""
    file = tmp_path / "invitation"
    options = (
        *("--grant", "client_credentials", "--grant", "token-exchange", "--auth", "private_key_jwt"),
        *("--registrations", "7", "--lifetime", "60", "--host", "app.example", "--output", file),
    )
    assert out("client", "invite", *BOUNDS, *options, "--data", data) == ""
    assert file.stat().st_mode & 0o777 == 0o600
    grant, bounds = read(file.read_text())
    assert grant.exp - grant.iat == 60
    assert (bounds["registrations"], bounds["hosts"]) == (7, ["127.0.0.1", "app.example"])
    assert bounds["grant_types"] == ["client_credentials", "urn:ietf:params:oauth:grant-type:token-exchange"]
    made = members("client", "invite", *BOUNDS, "--data", data)
    assert read(made["initial_access_token"])[0].jti == made["token_id"]


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        (("--scope", "admin"), 1, "is for the service itself"),
        (("--scope", "read", "--audience", "api"), 1, "absolute URI"),
        (("--scope", "read", "--audience", "https://localhost:8443"), 1, "the service itself"),
        (("--scope", "read"), 1, "audiences is empty"),
        (("--scope", "read", "--host", "app.example/path"), 2, "no invitation"),
        (
            ("--scope", "read", "--host", "b\xfccher.example"),
            2,
            "hosts[0] is malformed: write a host in lower",
        ),
        (("--scope", "a  b"), 2, "no invitation"),
    ],
    ids=str,
)
def test_an_invitation_beyond_reason_is_refused(data, options, status, reason):
    """An invitation for the service itself, or of malformed bounds, is not made."""
    assert reason in complaint(call("client", "invite", *options, "--data", data), status)


def test_a_holder_that_narrows_an_invitation_is_told_so(data):
    """The command says that no other token is good with the caveat, and names no resource server."""
    text = out("client", "invite", *BOUNDS, "--data", data)
    narrowed = call("token", "attenuate", "--caveat", 'registration={"registrations":1}', stdin=text)
    assert narrowed.exit_code == 0
    assert (
        narrowed.stderr == "warning: 'registration' narrows an invitation: no other token is good with it\n"
    )


def test_a_file_that_exists_stays(data, tmp_path):
    """An invitation replaces no file, and none is made if it cannot be written."""
    file = tmp_path / "invitation"
    file.write_text("kept")
    assert "exists already" in complaint(
        call("client", "invite", *BOUNDS, "--output", file, "--data", data), 2
    )
    assert file.read_text() == "kept"
