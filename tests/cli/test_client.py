import json

import pytest

from tests.support.certificates import certified
from tests.support.command_line import API, call, complaint, members, out, run
from tests.support.databases import every_byte
from tests.support.json_web_keys import jwk_of

SCOPE = ("--scope", "read write")


def test_a_client_is_added_as_the_readme_says(data):
    """`client add` shows id and secret once, the secret on standard output and nowhere else."""
    result = run("client", "add", "billing", *SCOPE, "--audience", API, "--data", data)
    assert result.returncode == 0
    shown = dict(line.split(": ") for line in result.stdout.decode().splitlines())
    assert shown["client_id"].strip() == "billing"
    secret = shown["client_secret"].strip()
    assert len(secret) == 43
    assert result.stderr.decode().splitlines() == [
        "The secret is not shown again.",
        f"changed the database in {data}",
    ]
    assert secret.encode() not in every_byte(data)


def test_a_client_without_audience_is_warned_of(data):
    """An operator who registers a client whose tokens name no audience is told what that means."""
    result = run("client", "add", "billing", *SCOPE, "--json", "--data", data)
    assert result.returncode == 0
    assert b"every introspecting resource server accepts its tokens" in result.stderr


def test_the_secret_may_go_to_a_file(data, tmp_path):
    """`--secret-file` writes the secret to a file of mode 0600, and nowhere else."""
    file = tmp_path / "secret"
    result = call("client", "add", "billing", *SCOPE, "--secret-file", file, "--data", data)
    secret = file.read_text().strip()
    assert len(secret) == 43
    assert file.stat().st_mode & 0o777 == 0o600
    assert result.exit_code == 0
    assert secret not in result.output


def test_a_secret_that_cannot_be_written_registers_no_client(data, tmp_path):
    """A secret that cannot be written to its file registers no client."""
    file = tmp_path / "missing" / "secret"
    result = call("client", "add", "billing", *SCOPE, "--secret-file", file, "--data", data)
    assert str(file) in complaint(result, 2)
    assert members("client", "list", "--data", data) == []


def test_a_taken_name_overwrites_no_secret_file(data, tmp_path):
    """A refused registration leaves the secret file of the existing client alone."""
    file = tmp_path / "secret"
    out("client", "add", "billing", *SCOPE, "--secret-file", file, "--data", data)
    before = file.read_bytes()
    complaint(call("client", "add", "billing", *SCOPE, "--secret-file", file, "--force", "--data", data), 1)
    assert file.read_bytes() == before


def test_json_says_what_was_registered(data):
    """`client add --json` is one object: id, secret, and the metadata in the terms of RFC 7591."""
    added = members("client", "add", "billing", *SCOPE, "--audience", API, "--data", data)
    assert len(added.pop("client_secret")) == 43
    assert added == {"client_id": "billing", "scope": "read write", "audiences": [API]}


def test_secrets_differ(data):
    """Every client gets a secret of its own."""
    secrets = {members("client", "add", n, *SCOPE, "--data", data)["client_secret"] for n in ("a", "b", "c")}
    assert len(secrets) == 3


def test_the_listing_shows_no_secret(data):
    """`client list` shows who is registered for what, and neither secrets nor their hashes."""
    secret = members("client", "add", "billing", *SCOPE, "--audience", API, "--data", data)["client_secret"]
    out("client", "add", "app", *SCOPE, "--auth", "none", "--data", data)
    listed = members("client", "list", "--data", data)
    assert [one["client_id"] for one in listed] == ["app", "billing"]
    assert listed[0]["tls_client_certificate_bound_access_tokens"] is True
    text = out("client", "list", "--data", data)
    assert text.splitlines() == [
        'app  none  "read write"  -  bound',
        f'billing  client_secret_basic  "read write"  {API}',
    ]
    for shown in (text, json.dumps(listed)):
        assert secret not in shown
        assert "secret_hash" not in shown


def test_a_resource_server_needs_no_scope(data):
    """A resource server that only introspects is registered by the audience that it serves."""
    added = members("client", "add", "api", "--serves", API, "--understands-caveats", "--data", data)
    added.pop("client_secret")
    assert added == {"client_id": "api", "serves": [API], "understands_caveats": True}
    assert out("client", "show", "api", "--data", data) == f'api  client_secret_basic  ""  -  serves {API}\n'


def test_a_resource_server_of_nothing_is_warned_of(data):
    """The operator is told that a client for keys and revocations that serves nothing gets none."""
    result = call("client", "add", "api", "--scope", "keys revocations", "--data", data)
    assert result.exit_code == 0
    assert "without --serves, it gets no keys and no revocations" in result.stderr
    assert "without --audience" not in result.stderr


@pytest.mark.parametrize("scope", ["read keys", "read admin", "admin keys", "revocations admin read"])
def test_roles_are_not_mixed(data, scope):
    """One client is not a resource server, an administrator and a caller of others at the same time."""
    result = call("client", "add", "all", "--scope", scope, "--serves", API, "--data", data)
    assert "register one for each of" in complaint(result, 1)
    assert members("client", "list", "--data", data) == []


def test_a_client_is_removed(data):
    """`client remove` removes a client once; a second time there is none."""
    out("client", "add", "billing", *SCOPE, "--data", data)
    assert out("client", "remove", "billing", "--data", data) == "removed billing\n"
    assert members("client", "list", "--data", data) == []
    assert "no client 'billing'" in call("client", "remove", "billing", "--data", data).stderr


def test_a_certificate_is_registered_by_its_thumbprint(data, tmp_path, certificate, identity):
    """`--certificate` takes PEM and DER files, and keeps their thumbprints."""
    second = certified("CN=second")
    der = tmp_path / "second.der"
    der.write_bytes(second.der)
    options = ("--auth", "self_signed_tls_client_auth", "--certificate", certificate, "--certificate", der)
    added = members("client", "add", "tls", *SCOPE, *options, "--data", data)
    assert added["certificates"] == [identity.thumbprint, second.thumbprint]
    assert "client_secret" not in added
    assert "client_secret" not in out("client", "add", "tls2", *SCOPE, *options, "--data", data)


@pytest.mark.parametrize(
    ("options", "member", "value"),
    [
        (("--subject-dn", "CN=a,O=b"), "tls_client_auth_subject_dn", "CN=a,O=b"),
        (("--san-dns", "a.example"), "tls_client_auth_san_dns", "a.example"),
        (("--san-uri", "spiffe://a/b"), "tls_client_auth_san_uri", "spiffe://a/b"),
        (("--san-ip", "192.0.2.7"), "tls_client_auth_san_ip", "192.0.2.7"),
        (("--san-email", "a@b.example"), "tls_client_auth_san_email", "a@b.example"),
    ],
    ids=["subject", "DNS name", "URI", "IP address", "e-mail address"],
)
def test_a_name_is_registered(data, options, member, value):
    """A tls_client_auth client is registered with one name of its certificate."""
    added = members("client", "add", "tls", *SCOPE, "--auth", "tls_client_auth", *options, "--data", data)
    assert added[member] == value


def test_the_flags_count(data):
    """`--bound`, `--understands-caveats` and `--checks-certificates` say what they say."""
    added = members("client", "add", "api", *SCOPE, "--bound", "--understands-caveats", "--data", data)
    assert "checks_certificates" not in added, "a promise is made by its own name only"
    assert added["tls_client_certificate_bound_access_tokens"] is True
    assert added["understands_caveats"] is True
    comparing = members("client", "add", "comparing", *SCOPE, "--checks-certificates", "--data", data)
    assert comparing["checks_certificates"] is True


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(("a b", *SCOPE), "the client name is malformed", id="a malformed name"),
        pytest.param(("a", "--scope", "read  write"), "scope", id="a malformed scope"),
        pytest.param(("a", "--scope", ""), "scope", id="an empty scope"),
        pytest.param(("a", *SCOPE, "--audience", "api"), "absolute URI", id="a malformed audience"),
        pytest.param(("a", *SCOPE, "--audience", API, "--audience", API), "twice", id="an audience twice"),
        pytest.param(("a", *SCOPE, "--auth", "tls_client_auth"), "exactly one", id="no name"),
        pytest.param(
            ("a", *SCOPE, "--auth", "self_signed_tls_client_auth"), "certificate", id="no certificate"
        ),
        pytest.param(("a", *SCOPE, "--san-dns", "x"), "tls_client_auth only", id="a name beside a secret"),
    ],
)
def test_bad_metadata_is_refused(data, arguments, reason):
    """Metadata that cannot work are refused in one line, with status 1, and no client is registered."""
    assert reason in complaint(call("client", "add", *arguments, "--data", data), 1)
    assert members("client", "list", "--data", data) == []


def test_a_taken_name_is_refused(data):
    """A name that is taken is refused in one line that says what to do; the client keeps its secret."""
    out("client", "add", "billing", *SCOPE, "--data", data)
    assert "choose another name" in complaint(call("client", "add", "billing", *SCOPE, "--data", data), 1)


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n"], ids=repr)
def test_an_unusable_certificate_is_refused(data, tmp_path, content):
    """A certificate file that cannot be read is named in one line, with status 2."""
    file = tmp_path / "x.pem"
    if content is not None:
        file.write_bytes(content)
    options = ("--auth", "self_signed_tls_client_auth", "--certificate", file)
    assert str(file) in complaint(call("client", "add", "a", *SCOPE, *options, "--data", data), 2)


@pytest.mark.parametrize(
    "arguments",
    [
        ("client", "add"),
        ("client", "add", "a"),
        ("client", "add", "a", "--scope", "read", "--auth", "magic"),
        ("client", "add", "a", "b", "--scope", "read"),
        ("client", "remove"),
        ("client", "list", "x"),
        ("client", "ad"),
        ("client", "add", "a", "--scope", "read", "--colour", "blue"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(tmp_path, arguments):
    """A command that is typed wrongly says so, with status 2, and does nothing."""
    result = call(*arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_application_is_added_with_its_grants(data, tmp_path):
    """The grants of an application and all that they need are options, listed as RFC 7591 names them."""
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [jwk_of(certified("CN=app"), kid="1")]}))
    options = (
        *("--auth", "private_key_jwt", "--jwks", keys, "--name", "Accounts", "--par", "--dpop"),
        *("--grant", "authorization_code", "--grant", "refresh_token", "--grant", "device_code"),
        *("--redirect-uri", "https://app.example/callback", "--details-type", "payment"),
        *("--refresh-idle", "3600", "--refresh-max", "86400"),
    )
    added = members("client", "add", "app", *SCOPE, *options, "--data", data)
    assert added == {
        "client_id": "app",
        "scope": "read write",
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": json.loads(keys.read_text()),
        "client_name": "Accounts",
        "require_pushed_authorization_requests": True,
        "dpop_bound_access_tokens": True,
        "grant_types": [
            "authorization_code",
            "refresh_token",
            "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "redirect_uris": ["https://app.example/callback"],
        "authorization_details_types": ["payment"],
        "refresh_idle_seconds": 3600,
        "refresh_max_seconds": 86400,
    }
    changed = members("client", "update", "app", "--no-par", "--refresh-max", "90000", "--data", data)
    assert changed["tokens_revoked"] is False
    changed = members("client", "update", "app", "--no-dpop", "--data", data)
    assert (changed["tokens_revoked"], "dpop_bound_access_tokens" in changed) == (True, False)


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        (("--grant", "authorization_code"), 1, "needs redirect URIs"),
        (("--auth", "none", "--grant", "client_credentials"), 1, "cannot use client_credentials"),
        (("--auth", "none", "--no-dpop", "--grant", "token-exchange"), 1, "cannot use urn"),
        (("--jwks-uri", "https://app.example/keys"), 1, "private_key_jwt and self_signed"),
        (("--auth", "tls_client_auth", "--spiffe-id", "spiffe://x"), 1, "names no workload"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_register_no_client(data, options, status, reason):
    """Options that contradict each other, or what the service allows, are refused with the reason."""
    assert reason in complaint(call("client", "add", "app", *SCOPE, *options, "--data", data), status)
    assert members("client", "list", "--data", data) == []


@pytest.mark.parametrize(
    "content", ["{", "", "[" * 20_000, "\ud83d"], ids=["cut", "empty", "deep", "surrogate"]
)
def test_a_file_that_is_no_key_set_is_refused(data, tmp_path, content):
    """A file of keys that is no JSON is refused in one line that names it."""
    file = tmp_path / "keys.json"
    file.write_bytes(content.encode("utf-16", "surrogatepass"))
    options = ("--auth", "private_key_jwt", "--jwks", file)
    assert str(file) in complaint(call("client", "add", "app", *SCOPE, *options, "--data", data), 2)


def test_clients_that_may_act_are_named(data):
    """`--may-act` names the clients that may exchange a client's tokens; `--no-may-act` takes it back."""
    here = ("--data", data)
    names = ("--may-act", "backend", "--may-act", "worker")
    added = members("client", "add", "shop", "--scope", "read", "--audience", API, *names, *here)
    assert added["may_act"] == ["backend", "worker"]
    assert members("client", "update", "shop", "--may-act", "backend", *here)["may_act"] == ["backend"]
    assert "may_act" not in members("client", "update", "shop", "--no-may-act", *here)
    both = call("client", "update", "shop", "--may-act", "a", "--no-may-act", *here)
    assert (both.exit_code, "contradict each other" in both.stderr) == (2, True)
    assert "may_act[0]" in complaint(call("client", "update", "shop", "--may-act", "a b", *here), 1)
