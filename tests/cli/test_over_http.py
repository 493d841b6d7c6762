"""The same verbs through the HTTP interface of a running service."""

import json
from contextlib import contextmanager

import pytest

from tests.support.command_line import API, call, complaint, members, out, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Run a service of this module's own: keys are rotated and clients removed here."""
    folder = tmp_path_factory.mktemp("administered")
    with serving(folder / "data") as served:
        secret = folder / "ops.secret"
        out("client", "add", "ops", "--scope", "admin", "--secret-file", secret, "--data", served.data)
        served.secret = secret
        yield served


@pytest.fixture
def over(service, certificate):
    """Return the options that name the HTTP interface."""
    identity = ("--client-id", "ops", "--client-secret-file", service.secret, "--cert", certificate)
    return (*service.access, *identity)


@contextmanager
def unchanged(service):
    """Check that the block changes no client and no key."""

    def seen():
        return [
            members(*command, "--data", service.data) for command in (("client", "list"), ("key", "list"))
        ]

    before = seen()
    yield
    assert seen() == before


def test_clients_are_administered_alike(service, over, tmp_path):
    """`client add`, `list` and `remove` print the same over HTTP as on the database."""
    there = members("client", "add", "remote", "--scope", "read", "--audience", API, *over)
    here = members("client", "add", "local", "--scope", "read", "--audience", API, "--data", service.data)
    assert there.keys() == here.keys()
    assert there | {"client_id": "", "client_secret": ""} == here | {"client_id": "", "client_secret": ""}
    for option in ((), ("--json",)):
        assert out("client", "list", *option, *over) == out("client", "list", *option, "--data", service.data)
    file = tmp_path / "remote.secret"
    out("client", "add", "filed", "--scope", "read", "--audience", API, "--secret-file", file, *over)
    assert file.stat().st_mode & 0o777 == 0o600
    out("token", "mint", *service.access, "--client-id", "filed", "--client-secret-file", file)
    for name in ("remote", "filed"):
        assert out("client", "remove", name, *over) == f"removed {name}\n"
    assert "no client 'remote'" in complaint_of_usage(call("client", "remove", "remote", *over))


def test_an_invitation_is_made_over_http(service, over):
    """`client invite` makes an invitation over HTTP, which ends with the administrator that made it."""
    made = members("client", "invite", "--scope", "read", "--audience", API, *over)
    assert len(made["token_id"]) == 22
    assert made["token_id"] in out("revoke", "token", made["token_id"], *over)


def test_trusted_issuers_are_administered_alike(service, over):
    """`trust add`, `show`, `list` and `remove` do and print the same over HTTP as on the database."""
    here = ("--data", service.data)
    options = ("--audience", "us", "--subject", "sub", "--scope", "read", "--resource", API)
    near = members("trust", "add", "near", "https://idp.example", *options, *here)
    far = members("trust", "add", "far", "https://idp.example", *options, *over)
    assert near | {"name": ""} == far | {"name": ""}
    for command in (("list",), ("list", "--json"), ("show", "far"), ("show", "far", "--json")):
        assert out("trust", *command, *over) == out("trust", *command, *here)
    assert "neither client" in complaint(
        call("trust", "add", "x", "https://x.example", "--audience", "us", *over), 1
    )
    for name in ("near", "far"):
        assert out("trust", "remove", name, *over) == f"removed {name}\n"
    assert "no trusted issuer 'far'" in complaint_of_usage(call("trust", "remove", "far", *over))


def test_a_client_is_changed_alike(service, over):
    """`client update` and `client show` do and print the same over HTTP as on the database."""
    here = ("--data", service.data)
    for name in ("near", "far"):
        out("client", "add", name, "--scope", "read", "--audience", API, *here)
    for options in (("--serves", API), ("--serves-nothing",), ("--scope", "read write"), ("--bound",)):
        near = members("client", "update", "near", *options, *here)
        far = members("client", "update", "far", *options, *over)
        assert near | {"client_id": ""} == far | {"client_id": ""}
    for option in ((), ("--json",)):
        assert out("client", "show", "far", *option, *over) == out("client", "show", "far", *option, *here)
    for command in (("update", "nosuch", "--bound"), ("show", "nosuch")):
        assert "no client 'nosuch'" in complaint_of_usage(call("client", *command, *over))
    assert "absolute URI" in complaint(call("client", "update", "far", "--serves", "api", *over), 1)


def test_secrets_and_files_of_clients_are_applied_alike(service, over, tmp_path):
    """`client rotate-secret`, `import` and `apply` do over HTTP what they do on the database."""
    here = ("--data", service.data)
    line = '{"client_id": "%s", "scope": "read", "client_secret_sha256": "' + "a" * 64 + '"}\n'
    for name, place in (("here", here), ("there", over)):
        assert out("client", "import", "-", *place, stdin=line % name).startswith(
            f"{name}  client_secret_basic"
        )
        rotated = members("client", "rotate-secret", name, "--keep-old", "1h", *place)
        assert (rotated["tokens_revoked"], rotated["old_secret_until"] > 0) == (False, True)
        told = members("client", "show", name, *place)
        assert told["old_secret_until"] == rotated["old_secret_until"]
        file = tmp_path / f"{name}.toml"
        file.write_text(f'[clients.{name}]\nscope = "write"\nsecret_sha256 = "{"b" * 64}"\n')
        assert call("client", "apply", file, "--dry-run", *place).exit_code == 3
        assert "its tokens are revoked" in out("client", "apply", file, "--yes", *place)
        again = call("client", "apply", file, "--dry-run", *place)
        assert (again.exit_code, again.stderr.splitlines()[0]) == (0, "nothing differs")
    assert "no client 'nosuch'" in complaint_of_usage(call("client", "rotate-secret", "nosuch", *over))
    assert "the client ops, as which you administer" in complaint(
        call("client", "apply", file, "--prune", "--yes", *over), 2
    )


def complaint_of_usage(result):
    assert result.exit_code == 2, result.output
    return result.stderr


def test_keys_are_administered_alike(service, over):
    """`key list`, `rotate` and `retire` do over HTTP what they do on the database."""
    old = members("key", "list", *over)
    new = members("key", "rotate", *over)
    assert new["kid"] == old[1]["kid"]
    assert members("key", "list", *over) == members("key", "list", "--data", service.data)
    assert (
        out("key", "retire", old[0]["kid"], *over) == f"{old[0]['kid']} is retired, and its tokens with it\n"
    )
    assert members("key", "list", *over)[0]["state"] == "retired"


def test_revocations_are_made_alike(service, over, tmp_path, other_file):
    """`revoke` takes a certificate back over HTTP, and the service refuses it at once."""
    assert out("revoke", "certificate", other_file, *over).startswith("revoked certificate ")
    mine = ("--client-id", "ops", "--client-secret-file", service.secret, "--cert", other_file)
    assert "invalid_client" in complaint(call("key", "list", *service.access, *mine), 1)
    assert out("revoke", "client", "suspect", "--force", *over) == "revoked client suspect\n"
    for where in (over, ("--data", service.data)):
        assert "no client is named 'nosuch'" in complaint(call("revoke", "client", "nosuch", *where), 1)


def test_revocations_are_listed_alike(service, over):
    """`revocation list` prints the same over HTTP as on the database, of one kind or of all."""
    for kind, value in (("client", "listed"), ("subject", "alice"), ("token", "L" * 22)):
        out("revoke", kind, value, "--force", *over)
    for options in ((), ("--json",), ("--kind", "subject"), ("--kind", "subject", "--json")):
        there = out("revocation", "list", *options, *over)
        assert there == out("revocation", "list", *options, "--data", service.data)
        assert ("listed" in there, "alice" in there) == ("--kind" not in options, True)
    wrong = call("revocation", "list", "--kind", "everything", *over)
    assert "is not one of" in wrong.stderr
    assert wrong.exit_code == 2


@pytest.fixture
def other_file(tmp_path, certificate):
    """Return another client's certificate and key in one file."""
    from tests.support.certificates import certified

    other = certified("CN=other")
    file = tmp_path / "other.pem"
    file.write_bytes(other.pem + other.key_pem)
    return file


def test_refusals_say_why(service, over):
    """A refusal by the service is one line with its reason, and nothing has changed."""
    with unchanged(service):
        taken = call("client", "add", "ops", "--scope", "read", *over)
        assert "client ops exists" in complaint(taken, 1)
        current = next(k["kid"] for k in members("key", "list", *over) if k["state"] == "current")
        assert "is current" in complaint(call("key", "retire", current, *over), 1)
        assert "is unknown: see key list" in complaint(call("key", "retire", "000000000000", *over), 1)
        assert "jti" in complaint(call("revoke", "token", "short", *over), 1)


def test_no_other_client_administers(service, over, tmp_path):
    """A client without the scope admin gets no token for it, and nothing happens."""
    secret = tmp_path / "plain.secret"
    out("client", "add", "plain", "--scope", "read", "--secret-file", secret, "--data", service.data)
    with unchanged(service):
        mine = ("--client-id", "plain", "--client-secret-file", secret)
        refusal = complaint(call("key", "rotate", *over, *mine), 1)
        assert "invalid_target" in refusal


def test_one_of_the_two_ways(service, over, tmp_path):
    """The database and the HTTP interface at once, or half of the interface, are wrong usage."""
    with unchanged(service):
        both = call("key", "rotate", "--data", service.data, *over)
        assert "use one of them" in complaint_of_usage(both)
        for half in (("--issuer", service.issuer), over[:2] + over[4:6], over[2:], ("--client-id", "ops")):
            assert "together" in complaint_of_usage(call("key", "rotate", *half))
        assert "--init" in complaint_of_usage(call("key", "rotate", "--init", *over))
    assert not (tmp_path / "home").exists()


def test_a_service_that_is_away_is_said(over, certificate):
    """A service that cannot be asked is one line, and no traceback."""
    result = call("key", "list", "--issuer", "https://localhost:1", *over[2:])
    assert "no answer from https://localhost:1" in complaint(result, 1)


def test_json_is_json(over):
    """`--json` over HTTP is JSON that scripts read."""
    assert isinstance(json.loads(out("key", "list", "--json", *over)), list)
