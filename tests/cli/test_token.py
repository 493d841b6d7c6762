"""Attenuate, inspect and verify: pipes of files and processes, without a service."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from macaroon_cbat.caveats import Expiry, Scope, confirmation
from macaroon_cbat.claims import EpochSeconds
from macaroon_cbat.identifier import Grant
from macaroon_cbat.keys import RootKey, audience_key, audience_keys, write_key_file
from macaroon_cbat.minting import attenuate, mint
from macaroon_cbat.wire import read_macaroon
from tests.cli.material import API, COMMAND, ROOT, call, complaint, environment, members, out, run
from tests.core.material import signed
from tests.service.certificates import certified
from tests.service.test_inactive import PINGAM

ISSUER = "https://as.example"
SECRET_KEY = RootKey("k1", bytes(range(32)))
KEY = audience_key(SECRET_KEY, API)


def token(*caveats, exp: int = 600) -> str:
    now = EpochSeconds(int(time.time()))
    grant = Grant(aud=API, client_id="billing", exp=now + exp, iat=now, jti="A" * 22, kid="k1",
                  scope="read write", sub="billing")  # fmt: skip
    return mint(KEY, ISSUER, grant, caveats)


@pytest.fixture
def keys(tmp_path) -> Path:
    file = tmp_path / "keys.json"
    file.write_bytes(write_key_file(audience_keys(ISSUER, API, [SECRET_KEY])))
    return file


@pytest.fixture
def verify(keys):
    """Run `token verify` for the one audience."""
    return lambda text, *options: call(
        "token", "verify", "--keys", keys, "--audience", API, *options, stdin=text
    )


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
    done = subprocess.run(
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
        pytest.param(("--ip", "10.0.0.0/8"), [b'{"ip":"10.0.0.0/8"}'], id="network"),
        pytest.param(("--caveat", '{ "nbf": 5 }'), [b'{"nbf":5}'], id="a caveat as JSON, mended"),
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
    child = out("token", "attenuate", "--expires-in", "60", stdin=token()).strip()
    [text] = read_macaroon(child).caveats
    assert isinstance(text, bytes)
    assert abs(json.loads(text)["exp"] - time.time() - 60) < 5


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param((), "nothing to append", id="nothing"),
        pytest.param(("--scope", " "), "scope", id="a malformed scope"),
        pytest.param(("--expires-in", "0"), "expires-in", id="no lifetime"),
        pytest.param(("--expires-in", "soon"), "expires-in", id="a lifetime that is no number"),
        pytest.param(("--caveat", '{"colour":"blue"}'), "unknown caveat", id="an unknown caveat"),
        pytest.param(("--caveat", '{"exp":1,"nbf":2}'), "unknown field", id="two members"),
        pytest.param(("--caveat", '{"exp":1,"exp":2}'), "repeats a key", id="a repeated key"),
        pytest.param(("--caveat", "exp=1"), "", id="no JSON"),
        pytest.param(("--caveat", "[" * 3000), "", id="nested deeply"),
        pytest.param(("--ip", "10.0.0.1/8"), "host bits", id="a network with host bits"),
        pytest.param(("--url", "/a"), "htu", id="a target that is no URI"),
        pytest.param(("--path", "a"), "path", id="a path that is none"),
        pytest.param(("--path", "/a/../b"), "path", id="a path with dots"),
    ],
)
def test_a_restriction_that_is_none_is_wrong_usage(options, reason):
    """What nobody could read is not appended: status 2, nothing on standard output."""
    result = call("token", "attenuate", *options, stdin=token())
    assert (result.exit_code, result.stdout) == (2, "")
    assert reason in result.stderr


BAD_TOKENS = [
    pytest.param(b"x", id="a letter"),
    pytest.param(b"AgE", id="half a macaroon"),
    pytest.param(PINGAM.encode() + b"=", id="padding"),
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


def test_a_person_can_read_a_token():
    """`token inspect` says who may do what until when, and that nothing was verified."""
    text = out("token", "inspect", stdin=token(Scope("read"), Expiry(1)) + "\r\n")
    for line in ("client      billing", "scope       read write", "audience    " + API, "caveats     2"):
        assert line in text.splitlines()
    assert '   1  {"scope":"read"}' in text.splitlines()
    assert "not verified" in text.splitlines()[-1]
    assert "none: anybody who has this token can use it" in out("token", "inspect", stdin=token())


def test_inspecting_writes_nothing_but_text():
    """What a token holds cannot write to the terminal anything but itself."""
    hostile = signed(b"\x1b[2J\x07\r\nadmin: yes", "\u202eevil".encode(), identifier=b"\x1b]0;x\x07")
    for line in out("token", "inspect", stdin=hostile).splitlines():
        assert line.isprintable()
    assert "\x1b" not in out("token", "inspect", "--json", stdin=hostile)
    assert members("token", "inspect", stdin=PINGAM)["caveats"] == []


def test_a_good_token_is_accepted(verify, certificate, identity):
    """A token that is bound to the certificate of the connection is accepted, with status 0."""
    bound = token(confirmation(identity.thumbprint), Scope("read"))
    accepted = verify(bound, "--cert", certificate, "--scope", "read", "--json")
    assert accepted.exit_code == 0
    principal = json.loads(accepted.stdout)["principal"]
    assert (principal["client_id"], principal["scope"]) == ("billing", "read")
    assert principal["certificate"] == identity.thumbprint
    assert verify(bound, "--cert", certificate).stdout.startswith("accepted: billing\n")


@pytest.mark.parametrize(
    ("options", "status"),
    [
        pytest.param("--method GET --url https://api.example/a/b --address 10.1.2.3", 0, id="as allowed"),
        pytest.param("--method POST --url https://api.example/a/b --address 10.1.2.3", 1, id="method"),
        pytest.param("--method GET --url https://api.example/b --address 10.1.2.3", 1, id="path"),
        pytest.param("--method GET --url https://api.example/a/b --address 11.1.2.3", 1, id="address"),
        pytest.param("", 1, id="nothing known"),
        pytest.param("--method GET --url nonsense --address 10.1.2.3", 2, id="no URL"),
    ],
)
def test_the_request_is_judged(verify, options, status):
    """Caveats about the request are judged by what the options say of it."""
    restricted = out(
        "token", "attenuate", "--method", "GET", "--path", "/a", "--ip", "10.0.0.0/8", stdin=token()
    )
    assert verify(restricted, "--allow-unbound", *options.split()).exit_code == status


def test_a_bad_token_is_refused(verify, certificate, identity, tmp_path):
    """Whatever is wrong with a token: status 1, one line that says why."""
    thief = tmp_path / "thief.pem"
    thief.write_bytes(certified("CN=thief").pem)
    bound = token(confirmation(identity.thumbprint))
    cases = [
        (bound, ("--cert", thief), "bound to certificate"),
        (bound, (), "presented none"),
        (token(), ("--cert", certificate), "no cnf caveat"),
        (token(exp=-1), ("--allow-unbound",), "expired"),
        (token()[:-4] + "AAAA", ("--allow-unbound",), "signature"),
        (attenuate(token(), [Scope("none")]), ("--allow-unbound",), "nothing of the granted scope"),
        (token(), ("--allow-unbound", "--scope", "admin"), "insufficient_scope"),
        (PINGAM, ("--allow-unbound",), "identifier"),
        ("\xff", ("--allow-unbound",), "base64url"),
    ]
    for text, options, reason in cases:
        result = verify(text, *options)
        assert result.exit_code == 1
        [line] = result.output.splitlines()
        assert line.startswith("refused: ")
        assert reason in line
        answer = json.loads(verify(text, *options, "--json").stdout)
        assert (answer["accepted"], set(answer)) == (False, {"accepted", "error", "reason"})


def test_wrong_keys_are_wrong_usage(verify, tmp_path, keys):
    """Keys that are missing, broken or for another audience are a mistake of the user: status 2."""
    for content in (None, b"", b"{}", b"\xff"):
        file = tmp_path / "other.json"
        if content is not None:
            file.write_bytes(content)
        result = call("token", "verify", "--keys", file, "--audience", API, stdin=token())
        assert str(file) in complaint(result, 2)
    result = call("token", "verify", "--keys", keys, "--audience", "https://other", stdin=token())
    assert "is for audience https://api.example" in complaint(result, 2)
