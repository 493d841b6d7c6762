"""`macaroon-cbat client update`: rights are given and taken away without a new secret."""

import pytest

from tests.support.certificates import certified
from tests.support.command_line import API, call, members, out

SCOPE = ("--scope", "read write")


def test_a_client_is_changed(data):
    """`client update` puts in place what is named, keeps the rest, and says what the client is then."""
    out("client", "add", "billing", *SCOPE, "--audience", API, "--data", data)
    result = call("client", "update", "billing", "--serves", API, "--data", data)
    line = f'billing  client_secret_basic  "read write"  {API}  serves {API}\n'
    assert (result.exit_code, result.stdout) == (0, line)
    assert "revoked" not in result.stderr
    result = call(
        "client", "update", "billing", "--no-audience", "--serves-nothing", "--bound", "--data", data
    )
    assert result.stdout == 'billing  client_secret_basic  "read write"  -  bound\n'
    assert "so its tokens are revoked" in result.stderr
    assert "key rotate twice" in result.stderr
    [decision] = members("revocation", "list", "--data", data)
    assert (decision["kind"], decision["value"]) == ("client", "billing")


@pytest.mark.parametrize("flag", ["understands-caveats", "checks-certificates"])
def test_a_promise_is_made_and_taken_back(data, flag):
    """A promise of a resource server is made by its flag, and taken back by the opposite of it."""
    out("client", "add", "api", "--serves", API, "--data", data)
    member, opposite = flag.replace("-", "_"), f"--ignores-{flag.partition('-')[2]}"
    assert members("client", "update", "api", f"--{flag}", "--data", data)[member] is True
    assert member not in members("client", "update", "api", opposite, "--data", data)


def test_a_certificate_is_replaced(data, certificate, tmp_path):
    """`client update --certificate` lets a client prove itself by another certificate."""
    second = certified("CN=second")
    file = tmp_path / "second.pem"
    file.write_bytes(second.pem)
    method = ("--auth", "self_signed_tls_client_auth")
    out("client", "add", "tls", *SCOPE, *method, "--certificate", certificate, "--data", data)
    changed = members("client", "update", "tls", "--certificate", file, "--data", data)
    assert changed["certificates"] == [second.thumbprint]
    assert changed["tokens_revoked"] is True


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ((), 2, "no change is named"),
        (("--serves", API, "--serves-nothing"), 2, "give each option once"),
        (("--audience", API, "--no-audience"), 2, "give each option once"),
        (("--serves", "api"), 1, "absolute URI"),
        (("--serves", "https://localhost:8443"), 1, "serves names the service itself"),
        (("--scope", "read keys"), 1, "register one for each of"),
        (("--scope", ""), 1, "scope"),
    ],
    ids=str,
)
def test_a_bad_change_changes_nothing(data, options, status, reason):
    """A change that says nothing, or what cannot be, is refused with the reason, and nothing has changed."""
    out("client", "add", "billing", *SCOPE, "--audience", API, "--data", data)
    before = members("client", "list", "--data", data)
    result = call("client", "update", "billing", *options, "--data", data)
    assert (result.exit_code, reason in result.stderr) == (status, True), result.stderr
    assert members("client", "list", "--data", data) == before
    assert members("revocation", "list", "--data", data) == []


def test_the_secret_stays(data):
    """A changed client goes on with the secret that it has."""
    file = data.parent / "secret"
    out("client", "add", "api", "--scope", "keys", "--secret-file", file, "--data", data)
    before = file.read_bytes()
    assert "client_secret" not in members("client", "update", "api", "--serves", API, "--data", data)
    assert file.read_bytes() == before
