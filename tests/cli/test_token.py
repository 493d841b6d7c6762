"""Attenuate and inspect: pipes of files and processes, without a service."""

import json
import time

import pytest

from macaroon_cbat.macaroon.caveats import Expiry, Method, Scope, confirmation
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support import fork_server
from tests.support.certificates import certified
from tests.support.command_line import (
    API,
    COMMAND,
    ROOT,
    call,
    complaint,
    environment,
    members,
    out,
    run,
    token,
)
from tests.support.pingam import PINGAM
from tests.support.tokens import signed


def test_a_pipe_works_as_the_readme_says(keys, certificate, tmp_path):
    """Attenuate in a pipe, inspect and verify: exactly the commands of the documentation, in a shell."""
    (tmp_path / "token").write_text(token() + "\n")
    command = " ".join(COMMAND)
    script = f"""
      set -e -o pipefail
      {command} token attenuate --cert {certificate} --expires-in 60 --scope read --method GET \
          --caveat '{{"ip":"10.0.0.0/8"}}' < {tmp_path}/token > {tmp_path}/child
      {command} token inspect --json < {tmp_path}/child > {tmp_path}/inspected
      cat {tmp_path}/token | {command} token attenuate --cert {certificate} --expires-in 60 |
          {command} token verify --keys {keys} --audience {API} --cert {certificate} --scope read --json
    """
    done = fork_server.run(
        ["bash", "-c", script], capture_output=True, cwd=ROOT, env=environment(), check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["accepted"] is True
    inspected = json.loads((tmp_path / "inspected").read_text())
    kinds = [next(iter(caveat["identifier"])) for caveat in inspected["caveats"]]
    assert kinds == ["ip", "scope", "htm", "cnf", "exp"]
    assert len((tmp_path / "child").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        pytest.param(("--scope", "read"), [b'{"scope":"read"}'], id="scope"),
        pytest.param(("--audience", API), [b'{"aud":"https://api.example"}'], id="audience"),
        pytest.param(("--audience", "a:b", "--audience", "c:d"), [b'{"aud":["a:b","c:d"]}'], id="audiences"),
        pytest.param(("--method", "GET"), [b'{"htm":"GET"}'], id="method"),
        pytest.param(("--method", "GET", "--method", "HEAD"), [b'{"htm":["GET","HEAD"]}'], id="methods"),
        pytest.param(("--url", API + "/a"), [b'{"htu":"https://api.example/a"}'], id="target"),
        pytest.param(("--path", "/a"), [b'{"path":"/a"}'], id="path"),
        pytest.param(("--caveat", 'payment={"most": 5}'), [b'{"payment":{"most":5}}'], id="a custom caveat"),
        pytest.param(("--ip", "10.0.0.0/8"), [b'{"ip":"10.0.0.0/8"}'], id="network"),
        pytest.param(("--caveat", '{ "nbf": 5 }'), [b'{"nbf":5}'], id="a caveat as JSON, mended"),
        pytest.param(("--caveat", '{"nbf": 5, "exp": 9}'), [b'{"nbf":5}', b'{"exp":9}'], id="two members"),
        pytest.param(
            ("--caveat", '{"nbf":5}', "--caveat", '{"exp":9}'), [b'{"nbf":5}', b'{"exp":9}'], id="two caveats"
        ),
    ],
)
def test_each_option_is_a_caveat(options, texts):
    """Each option of `token attenuate` appends one caveat in its canonical text."""
    child = out("token", "attenuate", *options, stdin=token()).strip()
    assert list(read_macaroon(child).caveats) == texts


def test_binding_takes_pem_and_der(tmp_path, certificate, identity):
    """`--cert` binds to the certificate in a PEM or DER file."""
    der = tmp_path / "client.der"
    der.write_bytes(identity.der)
    expected = b'{"cnf":{"x5t#S256":"%s"}}' % identity.thumbprint.encode()
    for file in (certificate, der):
        child = out("token", "attenuate", "--cert", file, stdin=token()).strip()
        assert read_macaroon(child).caveats == (expected,)


def test_a_lifetime_begins_now():
    """`--expires-in` counts from now."""
    before = int(time.time())
    child = out("token", "attenuate", "--expires-in", "60", stdin=token()).strip()
    [text] = read_macaroon(child).caveats
    assert isinstance(text, bytes)
    assert before <= json.loads(text)["exp"] - 60 <= time.time()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param((), "nothing to append", id="nothing"),
        pytest.param(("--scope", " "), "scope", id="a malformed scope"),
        pytest.param(("--expires-in", "0"), "expires-in", id="no lifetime"),
        pytest.param(("--expires-in", "soon"), "expires-in", id="a lifetime that is no number"),
        pytest.param(("--caveat", '{"colour":"blue"}'), "unknown caveat", id="an unknown caveat"),
        pytest.param(("--caveat", '{"exp":1,"x":2}'), "unknown caveat 'x'", id="an unknown member"),
        pytest.param(("--caveat", '{"exp":1,"exp":2}'), "repeats the key 'exp'", id="a repeated key"),
        pytest.param(("--caveat", "exp=1"), "a meaning of its own", id="a known name"),
        pytest.param(("--caveat", 'scpoe="read"'), "did you mean scope", id="a slip of the pen"),
        pytest.param(("--caveat", "payment="), "is not usable", id="no value"),
        pytest.param(("--caveat", 'payment=1,"exp":2'), "is not usable", id="two values"),
        pytest.param(("--caveat", "[" * 3000), "", id="nested deeply"),
        pytest.param(("--ip", "10.0.0.1/8"), "host bits", id="a network with host bits"),
        pytest.param(("--url", "/a"), "htu", id="a target that is no URI"),
        pytest.param(("--path", "a"), "path", id="a path that is none"),
        pytest.param(("--path", "/a/../b"), "path", id="a path with dots"),
    ],
)
def test_a_restriction_that_is_none_is_wrong_usage(options, reason):
    """An unreadable caveat is not appended: status 2, nothing on standard output."""
    result = call("token", "attenuate", *options, stdin=token())
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr


BAD_TOKENS = [
    pytest.param(b"x", id="a letter"),
    pytest.param(b"AgE", id="half a macaroon"),
    pytest.param(PINGAM.encode() + b"===", id="too much padding"),
    pytest.param(b'"%s"' % PINGAM.encode(), id="quotes"),
    pytest.param(PINGAM.encode() + b"\nmore", id="more lines"),
    pytest.param(b"\xff\xfe\x00" * 20, id="bytes"),
    pytest.param("\u00e4".encode() * 20, id="no ASCII"),
    pytest.param(b"A" * 100_000, id="much too long"),
]


@pytest.mark.parametrize("text", BAD_TOKENS)
def test_a_malformed_token_is_one_line(text):
    """A malformed token is refused in one line, with status 1, by attenuate and inspect."""
    for command in (("attenuate", "--scope", "read"), ("inspect",), ("inspect", "--json")):
        complaint(call("token", *command, stdin=text), 1)


def test_bytes_in_a_real_pipe_are_one_line():
    """Bytes that are no text are refused in one line in a real process, too, whatever its locale."""
    for variables in ({}, {"LC_ALL": "C.UTF-8"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}):
        done = run("token", "inspect", stdin=b"\xff\xfe\x00", **variables)
        assert (done.returncode, done.stdout) == (1, b"")
        assert done.stderr.startswith(b"Error: ")
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "command", ["attenuate --scope read", "inspect", "verify --keys {keys} --audience a:b"]
)
def test_no_token_is_wrong_usage(command, keys):
    """An empty standard input is wrong usage, with status 2."""
    for text in ("", "\n", "\r\n"):
        result = call("token", *command.format(keys=keys).split(), stdin=text)
        assert result.exit_code == 2


@pytest.mark.parametrize(
    ("options", "warning"),
    [
        pytest.param(
            ("--scope", "root"), "scope 'root' is outside of what is left, 'read write'", id="scope"
        ),
        pytest.param(("--audience", "https://x.example"), "is not what the token is for", id="audience"),
        pytest.param(("--method", "get"), "write methods in capital letters, such as GET", id="method"),
        pytest.param(("--caveat", '{"exp":1767225600000}'), "looks like milliseconds", id="exp"),
        pytest.param(("--expires-in", "100000000"), "and restricts nothing", id="a long life"),
        pytest.param(("--caveat", '{"nbf":1}', "--caveat", '{"exp":1}'), "the token has expired", id="past"),
        pytest.param(
            ("--ip", "10.0.0.0/8", "--caveat", '{"ip":"192.0.2.1"}'), "is outside of", id="networks"
        ),
    ],
)
def test_a_restriction_that_does_not_what_it_seems_is_said(options, warning):
    """A caveat that leaves no use, or restricts nothing, is added, with one warning on standard error."""
    result = call("token", "attenuate", *options, stdin=token())
    assert result.exit_code == 0
    assert read_macaroon(result.stdout.strip()).caveats
    [line] = result.stderr.splitlines()
    assert line.startswith("warning: ")
    assert warning in line


def test_a_second_certificate_is_said_to_kill(certificate, tmp_path):
    """Binding a token that is bound to another certificate is done, and said to leave it no use."""
    other = tmp_path / "other.pem"
    other.write_bytes(certified("CN=other").pem)
    bound = out("token", "attenuate", "--cert", certificate, stdin=token())
    assert call("token", "attenuate", "--cert", certificate, stdin=bound).stderr == ""
    result = call("token", "attenuate", "--cert", other, stdin=bound)
    assert result.exit_code == 0
    assert "no request can use this token" in result.stderr


def test_padding_and_the_standard_alphabet_are_mended():
    """A holder's tools take a token that another program padded or wrote in the standard alphabet."""
    padded = PINGAM.replace("-", "+").replace("_", "/") + "=" * (-len(PINGAM) % 4)
    assert padded != PINGAM
    for command in (("attenuate", "--scope", "read"), ("inspect", "--json")):
        assert out("token", *command, stdin=padded) == out("token", *command, stdin=PINGAM)


def test_a_person_can_read_a_token():
    """`token inspect` says who may do what until when, and that nothing was verified."""
    text = out("token", "inspect", stdin=token(Scope("read"), Expiry(1)) + "\r\n")
    for line in ("client      billing", "scope       read write", "audience    " + API, "caveats     2"):
        assert line in text.splitlines()
    assert '   1  {"scope":"read"}' in text.splitlines()
    assert "not verified" in text.splitlines()[-1]
    assert "effective   nothing: no request can use this token" in text.splitlines()
    assert any(line.startswith("  no use      caveat 2: exp 1 is ") for line in text.splitlines())
    assert "none: this is a bearer token until it is bound" in out("token", "inspect", stdin=token())


def test_a_person_reads_what_is_left(identity):
    """`token inspect` shows what all caveats leave, and marks those that verifiers refuse."""
    left = token(Scope("read"), confirmation(identity.thumbprint), Method(("GET", "PUT")), Method("GET"))
    lines = out("token", "inspect", stdin=left).splitlines()
    for line in ("  scope       read", "  method      GET", f"  certificate {identity.thumbprint}"):
        assert line in lines
    lines = out("token", "inspect", stdin=signed(b'{"exp":1,"exp":2}')).splitlines()
    assert '   1  {"exp":1,"exp":2}  REFUSED: see below' in lines
    [why] = [line for line in lines if "it repeats the key 'exp'" in line]
    assert why.startswith("  no use      caveat 1 is refused: ")


def test_inspecting_writes_nothing_but_text():
    """A hostile token writes nothing but printable lines to the terminal, and no escape in JSON."""
    hostile = signed(b"\x1b[2J\x07\r\nadmin: yes", "\u202eevil".encode(), identifier=b"\x1b]0;x\x07")
    for line in out("token", "inspect", stdin=hostile).splitlines():
        assert line.isprintable()
    assert "\x1b" not in out("token", "inspect", "--json", stdin=hostile)
    assert members("token", "inspect", stdin=PINGAM)["caveats"] == []
