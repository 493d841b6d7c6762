"""`macaroon-cbat client apply`: the difference is shown, made once, and gone then."""

from pathlib import Path

import pytest

from macaroon_cbat.stores.client_secrets import secret_hash, secret_name
from tests.support.command_line import API, call, complaint, members, out

SECRET, OTHER = "tGz6_Ru8wB-nM5Tq1Yx7Kq", "Vb4n_Xc7mL-pQ9Rs2Tw6Zd"
BILLING = f"""
[clients.billing]
scope = "read write"
audiences = ["{API}"]
secret_file = "billing.secret"
"""
WEB = """
[clients.web]
token_endpoint_auth_method = "none"
grant_types = ["authorization_code"]
redirect_uris = ["https://app.example/back"]
scope = "read"
dpop_bound_access_tokens = true
"""


@pytest.fixture
def file(tmp_path) -> Path:
    """Return a file with two clients, beside the secret of one of them."""
    secret = tmp_path / "billing.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    file = tmp_path / "clients.toml"
    file.write_text(BILLING + WEB)
    return file


@pytest.fixture
def applied(data, file):
    """Apply the file once; return what applies it again."""

    def apply(*options, **variables):
        return call("client", "apply", file, *options, "--data", data, **variables)

    assert apply("--yes").exit_code == 0
    return apply


def listed(data):
    return members("client", "list", "--data", data)


def test_a_dry_run_shows_and_changes_nothing(data, file):
    """A dry run lists every difference, ends with 3, and registers no client."""
    result = call("client", "apply", file, "--dry-run", "--data", data)
    assert (result.exit_code, listed(data)) == (3, [])
    shown = result.stdout.splitlines()
    assert [line for line in shown if not line.startswith(" ")] == ["+ billing", "+ web"]
    assert '    scope: "read write"' in shown
    assert SECRET not in result.output


def test_a_file_is_applied_once(applied, data):
    """The clients of the file are registered with their secrets, and nothing differs a second time."""
    told = members("client", "show", "billing", "--data", data)
    assert told["client_secret_id"] == secret_name(secret_hash(SECRET))
    assert [one["client_id"] for one in listed(data)] == ["billing", "web"]
    for options in (("--yes",), ("--dry-run",), ("--prune", "--dry-run")):
        again = applied(*options)
        assert (again.exit_code, again.stdout, again.stderr) == (0, "", "nothing differs\n")


def test_it_asks_before_the_change(data, file):
    """Without --yes the change is made only when it is confirmed, and no answer is no."""
    for answer, status, names in (("", 1, []), ("n\n", 1, []), ("y\n", 0, ["billing", "web"])):
        result = call("client", "apply", file, "--data", data, stdin=answer)
        assert result.exit_code == status
        assert [one["client_id"] for one in listed(data)] == names


def test_what_changed_is_shown_and_made(applied, data, file):
    """A changed member is shown before and after, one that takes a right away says so, and the rest stays."""
    file.write_text(BILLING.replace("read write", "read") + WEB.replace("app.example", "web.example"))
    result = applied("--yes")
    assert result.stdout.splitlines() == [
        "~ billing  (its tokens are revoked)",
        '    scope: "read write" -> "read"',
        "~ web  (its tokens are revoked)",
        '    redirect_uris: ["https://app.example/back"] -> ["https://web.example/back"]',
    ]
    assert [one["value"] for one in members("revocation", "list", "--data", data)] == ["billing", "web"]
    assert [one["scope"] for one in listed(data)] == ["read", "read"]


def test_what_is_left_out_is_its_default(applied, data, file):
    """A member that the file no longer has becomes its default."""
    file.write_text(BILLING.replace(f'audiences = ["{API}"]\n', "") + WEB)
    assert f'    audiences: ["{API}"] -> []' in applied("--yes").stdout
    assert "audiences" not in listed(data)[0]


def test_removals_are_asked_for(applied, data, file):
    """A client that the file does not have stays, unless --prune removes it."""
    file.write_text(WEB)
    assert applied("--yes").stderr == "nothing differs\n"
    result = applied("--yes", "--prune")
    assert result.stdout == "- billing  (its tokens are revoked)\n"
    assert [one["client_id"] for one in listed(data)] == ["web"]


def test_an_empty_file_prunes_nothing(applied, data, file):
    """A file that is just being written has no client yet, and must not remove every one."""
    file.write_text("")
    assert "has no client" in complaint(applied("--yes", "--prune"), 2)
    assert len(listed(data)) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"refresh_idle_seconds = {'9' * 5000}\n", "is no TOML"),
        ('secret_file = "a\\u0000b"\n', "its name holds a NUL"),
    ],
    ids=["many digits", "NUL"],
)
def test_what_a_library_fails_on_is_a_mistake(applied, file, text, words):
    """A number that Python does not read, or a name that the system does not take, is one line."""
    file.write_text(f'[clients.billing]\nscope = "read"\n{text}')
    assert words in complaint(applied("--yes"), 2)


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ("", "another one, the old one ends at once"),
        ('keep_old = "1h"\n', "another one, the old one valid for 3600 s"),
    ],
    ids=["at once", "kept"],
)
def test_another_secret_is_a_rotation(applied, data, file, keep, words):
    """Another secret, here of the environment, takes the place of the old one, at once or after its time."""
    named = BILLING.replace('secret_file = "billing.secret"', f'secret_env = "BILLING"\n{keep}')
    file.write_text(named + WEB)
    result = applied("--yes", BILLING=OTHER)
    assert (result.exit_code, words in result.stdout) == (0, True), result.output
    told = members("client", "show", "billing", "--data", data)
    assert told["client_secret_id"] == secret_name(secret_hash(OTHER))
    assert ("old_secret_until" in told) is bool(keep)
    assert bool(members("revocation", "list", "--data", data)) is not bool(keep)
    assert applied("--dry-run", BILLING=OTHER).exit_code == 0


def test_a_secret_that_is_not_named_stays(applied, data, file):
    """A registered client without a secret in the file keeps the one that it has."""
    file.write_text(BILLING.replace('secret_file = "billing.secret"', "") + WEB)
    assert applied("--dry-run").exit_code == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[clients", "is no TOML"),
        ("[client.a]\n", "client is no table of clients"),
        ('[clients]\na = "b"\n', "client a is no table"),
        ('[clients.a]\nscope = "read"\n', "client a is new and needs a secret"),
        ('[clients.a]\nscope = "read"\ncolour = 1\nsecret_sha256 = "x"\n', "client a: "),
        ('[clients.a]\nscope = "read"\nclient_secret = "x"\n', "client_secret"),
        ('[clients.a]\nscope = "read"\nsecret_sha256 = "x"\n', "another hash cannot be used"),
        ('[clients.a]\nscope = "read"\nsecret_env = "NO_SUCH"\n', "NO_SUCH is not set"),
        ('[clients.a]\nscope = "read"\nsecret_file = "nosuch"\n', "cannot be read"),
        ('[clients.a]\nscope = "read"\nsecret_env = "A"\nsecret_file = "b"\n', "both given"),
        (WEB + f'secret_sha256 = "{"a" * 64}"\n', "leave the secret out"),
        (BILLING + 'keep_old = "1y"\n', "no duration"),
        (BILLING + 'keep_old = "91d"\n', "too long"),
        (BILLING + 'token_endpoint_auth_method = "private_key_jwt"\n', "client billing"),
    ],
    ids=str,
)
def test_a_bad_file_changes_nothing(data, file, text, reason):
    """A file that cannot be applied whole is refused with its reason, and no client is changed."""
    file.write_text(text)
    assert reason in complaint(call("client", "apply", file, "--yes", "--data", data), 2)
    assert listed(data) == []


def test_a_method_with_another_secret_is_refused(applied, data, file):
    """A client cannot change to a method that has no secret: the message says to remove it first."""
    file.write_text(WEB.replace("clients.web", "clients.billing"))
    assert "remove it first" in complaint(applied("--yes"), 2)


def test_a_client_that_changed_since_is_left_alone(applied, data, file, monkeypatch):
    """A change between the look and the change is not overwritten: the command says so and fails."""
    file.write_text(BILLING.replace("read write", "read") + WEB)

    def meanwhile(*_: object, **__: object) -> bool:
        out("client", "update", "billing", "--scope", "read write audit", "--data", data)
        return True

    monkeypatch.setattr("macaroon_cbat.cli.client_apply.click.confirm", meanwhile)
    result = applied()
    assert result.exit_code == 1
    assert "0 of 1 clients are done" in result.stderr
    assert "client billing was changed meanwhile" in result.stderr
    assert listed(data)[0]["scope"] == "read write audit"
