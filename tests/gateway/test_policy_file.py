"""The policy file: every mistake is one line that says where it is."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from macaroon_cbat.cli import main
from macaroon_cbat.gateway.question import KINDS
from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.tokens import KEYS

GOOD = """
audience = "https://api.example"
keys = "keys.json"
[listen]
http = "unix:gateway.sock"
[proxy]
kind = "nginx"
trust = ["unix"]
[[rule]]
path = "/invoices"
methods = ["GET", "HEAD"]
scope = "read"
[[rule]]
path = "/health"
exact = true
public = true
[[rule]]
path = "/any"
scope = ""
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "keys.json").write_bytes(write_key_file(KEYS))
    (tmp_path / "keys.json").chmod(0o600)
    return tmp_path


def checked(folder: Path, text: str) -> tuple[int, str, str]:
    """Run `macaroon-cbat gateway --check`; return exit status, standard output and error."""
    (folder / "gateway.toml").write_text(text)
    done = CliRunner().invoke(main, ["gateway", "--check", str(folder / "gateway.toml")])
    return done.exit_code, done.stdout, done.stderr


@pytest.mark.parametrize("spelling", ["https://api.example/", "HTTPS://API.example:443"])
def test_the_audience_is_shown_as_tokens_have_it(folder: Path, spelling: str):
    """`--check` shows the audience in the one spelling that tokens have, whatever the file's."""
    status, out, _ = checked(folder, GOOD.replace("https://api.example", spelling))
    assert (status, out.splitlines()[0].split()[-1]) == (0, "https://api.example")


def test_a_good_file_is_summed_up(folder: Path):
    """`--check` prints whose tokens are good, who may ask, and each rule as it is understood."""
    status, out, err = checked(folder, GOOD)
    assert (status, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0].endswith("tokens of https://as.example for https://api.example")
    assert f"http unix:{folder}/gateway.sock" in lines
    assert "asked by nginx, from unix" in lines
    assert "/invoices[/...] GET HEAD scope read" in lines
    assert "/health any method public" in lines
    assert "/any[/...] any method any token" in lines
    assert lines[-1] == "every other request is refused"


MISTAKES = {
    "many digits": (f"a = {'9' * 5000}", "is no TOML"),
    "nested deeply": ("a = " + "[" * 5000, "is no TOML"),
    "no toml": ("audience = \n", "is no TOML"),
    "unknown member": (
        GOOD.replace("[listen]", "colour = 1\n[listen]"),
        "colour is unknown: correct its name, or leave it out",
    ),
    "unknown member of a table": (
        GOOD.replace("kind =", "sort = 1\nkind ="),
        "[proxy], sort is unknown: correct its name, or leave it out",
    ),
    "unknown member of a rule": (
        GOOD.replace('scope = "read"', 'scop = "read"'),
        "[[rule]] number 1, scop is unknown: correct its name",
    ),
    "wrong type": (
        GOOD.replace('path = "/health"', "path = 7"),
        "[[rule]] number 2, path is a whole number: write text",
    ),
    "method in small letters": (
        GOOD.replace('"GET"', '"get"'),
        "[[rule]] number 1, methods number 1 is invalid: write methods in capital letters",
    ),
    "no methods": (
        GOOD.replace('["GET", "HEAD"]', "[]"),
        "[[rule]] number 1, methods is invalid: write methods",
    ),
    "no scope": (GOOD.replace('scope = "read"', ""), "[[rule]] number 1: '/invoices' needs either a scope"),
    "scope and public": (
        GOOD.replace("exact = true", 'scope = "x"'),
        "[[rule]] number 2: '/health' needs either",
    ),
    "scope that is none": (
        GOOD.replace('"read"', '"read  write"'),
        "[[rule]] number 1, scope is invalid: write words",
    ),
    "path that is not plain": (
        GOOD.replace('"/any"', '"/any/../x"'),
        "[[rule]] number 3: '/any/../x' can be read",
    ),
    "relative path": (
        GOOD.replace('"/any"', '"any"'),
        "[[rule]] number 3, path is invalid: write a path that begins with /",
    ),
    "rules about the same": (
        GOOD.replace('"/any"', '"/invoices"').replace('scope = ""', 'methods = ["GET"]\nscope = ""'),
        "two rules cover GET of '/invoices'",
    ),
    "no rule": (GOOD.partition("[[rule]]")[0], "[[rule]] is missing: add it"),
    "no listen": (
        GOOD.replace('[listen]\nhttp = "unix:gateway.sock"\n', ""),
        "[listen] is missing: add it",
    ),
    "listening nowhere": (GOOD.replace('http = "unix:gateway.sock"', ""), "[listen] needs http or grpc"),
    "listening on nonsense": (
        GOOD.replace("unix:gateway.sock", "gateway"),
        "[listen], http: 'gateway' is neither",
    ),
    "listening on no port": (GOOD.replace("unix:gateway.sock", "localhost:http"), "[listen], http"),
    "port too high": (GOOD.replace("unix:gateway.sock", "localhost:65536"), "[listen], http"),
    "socket with a long name": (GOOD.replace("gateway.sock", "g" * 120), "too long for a Unix socket"),
    "metrics over a socket": (GOOD.replace("http =", 'metrics = "unix:m.sock"\nhttp ='), "[listen], metrics"),
    "grpc for nginx": (
        GOOD.replace("http =", 'grpc = "unix:g.sock"\nhttp ='),
        "[listen] grpc is how Envoy asks",
    ),
    "unknown kind": (
        GOOD.replace('"nginx"', '"apache"'),
        "[proxy], kind is invalid: write one of nginx, traefik",
    ),
    "unknown format": (GOOD.replace("trust =", 'format = "x"\ntrust ='), "unknown certificate format 'x'"),
    "a companion that the format has not": (
        GOOD.replace("trust =", 'format = "haproxy"\ncompanion = "X"\ntrust ='),
        "haproxy has no companion",
    ),
    "a companion that could be folded": (
        GOOD.replace("trust =", 'companion = "Ssl_Client_Verify"\ntrust ='),
        "'Ssl_Client_Verify' is no name for a certificate header",
    ),
    "trusting everybody": (GOOD.replace('["unix"]', '["0.0.0.0/0"]'), "is every network"),
    "trusting no proxy": (
        GOOD.replace('["unix"]', "[]"),
        "[proxy], trust is invalid: write one trusted proxy at least",
    ),
    "trusting nonsense": (GOOD.replace('["unix"]', '["nginx"]'), "'nginx' is no trusted proxy"),
    "trusting a certificate": (GOOD.replace('["unix"]', f'["x5t#S256={"A" * 43}"]'), "no TLS"),
    "no proxy could ask": (
        GOOD.replace('["unix"]', '["127.0.0.1/32"]'),
        "trust names no proxy that can connect to",
    ),
    "no secret file": (GOOD.replace("trust =", 'secret_file = "x"\ntrust ='), "the secret file"),
    "no keys": (GOOD.replace('keys = "keys.json"', ""), "name one of keys, [service] and [introspection]"),
    "keys of another audience": (
        GOOD.replace("https://api", "https://other"),
        "not for audience https://other.example",
    ),
    "missing key file": (GOOD.replace("keys.json", "k.json"), "k.json cannot be read"),
    "clock skew": (
        GOOD.replace("keys =", "clock_skew = 301\nkeys ="),
        "clock_skew is invalid: write whole seconds, 0 to 300",
    ),
    "origin with a path": (
        GOOD.replace("keys =", 'origin = "https://api.example/x"\nkeys ='),
        "the origin must be",
    ),
    "audience with a line end": (GOOD.replace('api.example"', 'api.example\\n"'), "audience"),
    "keys and service": (
        GOOD.replace(
            "[proxy]", '[service]\nissuer = "https://as.example"\nclient_id = "a"\ncertificate = "c"\n[proxy]'
        ),
        "name one of keys",
    ),
    "service over http": (
        GOOD.replace('keys = "keys.json"', "").replace(
            "[proxy]", '[service]\nissuer = "http://as.example"\nclient_id = "a"\ncertificate = "c"\n[proxy]'
        ),
        "https://HOST",
    ),
}


@pytest.mark.parametrize(("text", "why"), MISTAKES.values(), ids=MISTAKES)
def test_each_mistake_is_one_line(folder: Path, text: str, why: str):
    """A file that cannot be meant is refused with status 1 and one line that names file, table and member."""
    status, out, err = checked(folder, text)
    assert (status, out) == (1, "")
    assert why in err
    assert len(err.splitlines()) == 1
    assert not any(word in err for word in ("Expected", "Object ", "enum", "`", "field")), "a parser's words"


def test_every_kind_of_proxy_is_offered(folder: Path):
    """A policy of an unknown kind of proxy names every kind that there is."""
    _, _, err = checked(folder, GOOD.replace('"nginx"', '"apache"'))
    assert all(kind in err for kind in KINDS)


MEMBERS = {
    "audit_refusals = -1": "audit_refusals is invalid: write a whole number of lines",
    'audit_refusals = "all"': "audit_refusals is text: write a whole number",
    'audit_log = ""': "audit_log is invalid: write the name of a file",
    'origin = "a b"': "origin is invalid: write visible ASCII characters without a space",
    'require_certificate = "no"': "require_certificate is text: write true or false",
    "[introspection]\nissuer = 'https://as.example'\nclient_id = 'a'\ncache_seconds = -1": (
        "[introspection], cache_seconds is invalid: write seconds, 0 or more"
    ),
    "[service]\nissuer = 'https://as.example'\nclient_id = 'a'": "[service], certificate is missing: add it",
}


@pytest.mark.parametrize(("lines", "message"), MEMBERS.items(), ids=MEMBERS)
def test_a_member_is_named_with_what_to_write(folder: Path, lines: str, message: str):
    """A mistake in a member is its table and name, the problem, and what to write there."""
    _, _, err = checked(folder, GOOD.replace("[listen]", f"{lines}\n[listen]"))
    assert f"gateway.toml: {message}" in err


def test_a_missing_file_is_said(folder: Path):
    """A policy file that is not there is one line, too."""
    done = CliRunner().invoke(main, ["gateway", "--check", str(folder / "nothing.toml")])
    assert done.exit_code == 1
    assert "nothing.toml cannot be read" in done.stderr


def test_files_are_found_beside_the_policy(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Relative names are relative to the policy file, wherever the command is run."""
    monkeypatch.chdir("/")
    assert checked(folder, GOOD)[0] == 0


@pytest.mark.parametrize("spelling", ["https://api.example/", "https://API.example:443"])
def test_an_audience_may_be_spelled_otherwise(folder: Path, spelling: str):
    """A policy may spell its audience in any equivalent way; the keys are those of the same audience."""
    status, _, err = checked(folder, GOOD.replace("https://api.example", spelling))
    assert (status, err) == (0, "")


MISTAKEN = {
    "https://api.example//": "audience: 'https://api.example//' has an empty segment",
    "https://other.example": "has keys for https://api.example, not for audience https://other.example",
    "https://api.example/%zz": "audience: 'https://api.example/%zz' has a %",
}


@pytest.mark.parametrize(("audience", "message"), MISTAKEN.items(), ids=MISTAKEN)
def test_another_audience_is_a_mistake(folder: Path, audience: str, message: str):
    """An audience that only looks like that of the keys, or that servers read differently, is refused."""
    status, _, err = checked(folder, GOOD.replace("https://api.example", audience))
    assert (status, message in err) == (1, True), err


@pytest.mark.parametrize("table", ["service", "introspection"])
def test_an_issuer_that_is_none_is_named(folder: Path, table: str):
    """A mistake in an issuer names the file, its table and what to do."""
    section = f'[{table}]\nissuer = "http://as.example"\nclient_id = "x"\ncertificate = "c.pem"\n'
    status, _, err = checked(
        folder, GOOD.replace('keys = "keys.json"', "").replace("[listen]", section + "[listen]")
    )
    assert (status, f"[{table}], issuer: 'http://as.example' does not begin with https://" in err) == (
        1,
        True,
    ), err
