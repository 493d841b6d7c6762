"""`serve` and `token mint`: the real thing over TLS, one process each."""

import json
import shlex
import socket
import ssl
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path

import pytest

from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support import fork_server
from tests.support.certificates import TODAY, certified
from tests.support.command_line import API, ROOT, call, complaint, environment, members, out, run, serving
from tests.support.ports import free_port
from tests.support.tls_servers import wait_until


@pytest.fixture(scope="session")
def client(served) -> dict[str, str]:
    """Register a client while the service runs."""
    added: dict[str, str] = members(
        "client", "add", "billing", "--scope", "read write", "--audience", API, "--data", served.data
    )
    return added


@pytest.fixture
def credentials(served, client) -> tuple[str | Path, ...]:
    return (*served.access, "--client-id", "billing", "--client-secret", client["client_secret"])


def shell(script: str) -> str:
    """Type this into a terminal of a user who has nothing but the system's own commands on the PATH."""
    typed = ["bash", "-e", "-c", script]
    variables = environment(PATH="/usr/bin:/bin", PWD=str(ROOT))
    done = fork_server.run(typed, capture_output=True, cwd=ROOT, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize("exported", [False, True], ids=["as an option", "in the environment"])
def test_the_greeting_says_what_to_type(tmp_path, exported):
    """The commands that `serve` prints can be typed as they stand: they register, mint and inspect."""
    folder = tmp_path / "my data"
    variables = {"MACAROON_CBAT_DATA": str(folder)} if exported else {}
    with serving(folder, is_exported=exported, PATH="/usr/bin:/bin", **variables) as service:
        assert service.greeting.startswith(f"macaroon-cbat serves {service.issuer}\n")
        _, _, commands = service.greeting.partition("in another terminal:\n")
        add, mint, inspect = commands.replace("\\\n", " ").strip().splitlines()
        secret = shell(add).split()[-1]
        file = shlex.quote(str(tmp_path / "token"))
        shell(mint.replace("SECRET", secret).replace("> token", f"> {file}"))
        assert "client      trial" in shell(inspect.replace("< token", f"< {file}"))


def test_the_files_of_the_service_are_its_own(served):
    """The data folder and every secret in it are for the owner of the service only."""
    assert served.data.stat().st_mode & 0o777 == 0o700
    for name in ("wrapping.key", "ca.key", "server.key"):
        assert (served.data / name).stat().st_mode & 0o777 == 0o600


def test_a_token_is_minted(served, credentials):
    """`token mint` writes one token on one line, which the exported keys verify in a pipe."""
    text = out("token", "mint", *credentials, "--resource", API, "--scope", "read")
    assert len(text.splitlines()) == 1
    keys = served.data.parent / "keys.json"
    out("key", "export", "--audience", API, "--output", keys, "--data", served.data)
    verdict = members("token", "verify", "--keys", keys, "--audience", API, "--allow-unbound", stdin=text)
    assert verdict["principal"]["scope"] == "read"
    assert json.loads(keys.read_text())["issuer"] == served.issuer


def test_json_says_what_was_granted(credentials):
    """`token mint --json` is one object with the token, its scope and when it expires."""
    minted = members("token", "mint", *credentials)
    assert set(minted) == {"access_token", "token_type", "expires_at", "scope"}
    assert minted["scope"] == "read write"


def test_the_secret_may_come_from_a_file(served, client, tmp_path):
    """`--client-secret-file` reads the secret from a file or standard input, out of the process list."""
    file = tmp_path / "secret"
    file.write_text(client["client_secret"] + "\n")
    options = ("token", "mint", *served.access, "--client-id", "billing", "--client-secret-file")
    assert read_macaroon(out(*options, file).strip())
    assert read_macaroon(out(*options, "-", stdin=client["client_secret"] + "\n").strip())


def test_a_bound_token_is_minted(served, certificate, identity):
    """A client with a certificate authenticates by it and gets a token bound to it, over real TLS."""
    out("client", "add", "tls", "--scope", "read", "--auth", "self_signed_tls_client_auth", "--certificate",
        certificate, "--bound", "--data", served.data)  # fmt: skip
    text = out("token", "mint", *served.access, "--client-id", "tls", "--cert", certificate).strip()
    assert read_macaroon(text).caveats == (b'{"cnf":{"x5t#S256":"%s"}}' % identity.thumbprint.encode(),)


def test_a_public_client_gets_no_token(served, tmp_path):
    """A public client, which any certificate proves, is told that it may not use this grant."""
    one = certified("CN=app", today=TODAY)
    (tmp_path / "c.pem").write_bytes(one.pem)
    (tmp_path / "k.pem").write_bytes(one.key_pem)
    out("client", "add", "app", "--scope", "read", "--auth", "none", "--data", served.data)
    options = (
        *served.access,
        "--client-id",
        "app",
        "--cert",
        tmp_path / "c.pem",
        "--key",
        tmp_path / "k.pem",
    )
    assert "unauthorized_client" in complaint(call("token", "mint", *options), 1)


def test_the_key_may_have_a_file_of_its_own(served, client, tmp_path):
    """A token is got over a connection whose certificate and key lie in two files."""
    one = certified("CN=app", today=TODAY)
    (tmp_path / "c.pem").write_bytes(one.pem)
    (tmp_path / "k.pem").write_bytes(one.key_pem)
    secret = ("--client-id", "billing", "--client-secret", client["client_secret"])
    pair = ("--cert", tmp_path / "c.pem", "--key", tmp_path / "k.pem")
    assert read_macaroon(out("token", "mint", *served.access, *secret, *pair).strip())


@pytest.mark.parametrize("name", ["billing", "unknown"], ids=["a wrong secret", "an unknown client"])
def test_a_wrong_secret_is_refused(served, client, name):
    """A refusal by the service is one line with its error code, status 1, and never the secret."""
    options = ("--client-id", name, "--client-secret", "wrong-secret")
    line = complaint(call("token", "mint", *served.access, *options), 1)
    assert "invalid_client" in line
    assert "wrong-secret" not in line


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param(("--scope", "admin"), "invalid_scope", id="another scope"),
        pytest.param(("--resource", "https://other"), "invalid_target", id="another resource"),
    ],
)
def test_what_is_not_registered_is_refused(credentials, options, reason):
    """A scope or resource that is not registered is refused by the service, with status 1."""
    assert reason in complaint(call("token", "mint", *credentials, *options), 1)


def test_a_service_that_cannot_be_asked_is_status_1(served):
    """A service that does not answer, or is not trusted, is one line with status 1."""
    silent = ("--issuer", f"https://localhost:{free_port()}", "--cacert", served.data / "ca.pem")
    rest = ("--client-id", "a", "--client-secret", "b")
    complaint(call("token", "mint", *silent, *rest), 1)
    complaint(call("token", "mint", "--issuer", served.issuer, *rest), 1)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--client-id", "a"), id="neither secret nor certificate"),
        pytest.param(("--client-id", "a", "--client-secret-file", "/nowhere/secret"), id="no secret file"),
        pytest.param(("--client-id", "a", "--cert", "/nowhere/cert.pem"), id="no certificate file"),
        pytest.param(("--client-id", "a", "--cert", "{pem}", "--key", "/nowhere/key.pem"), id="no key file"),
        pytest.param(("--client-id", "a", "--client-secret", "b", "--cacert", "/nowhere/ca.pem"), id="no CA"),
        pytest.param(("--client-id", "a", "--client-secret", "b", "--issuer", "http://x"), id="no https"),
    ],
)
def test_files_that_are_missing_are_wrong_usage(served, certificate, options):
    """A file that cannot be read, or no credentials at all: one line, status 2."""
    filled = [option.replace("{pem}", str(certificate)) for option in options]
    complaint(call("token", "mint", *served.access, *filled), 2)


def test_a_key_goes_with_a_certificate(served, certificate):
    """A key without a certificate is wrong usage."""
    options = ("--client-id", "a", "--client-secret", "b", "--key", certificate)
    assert call("token", "mint", *served.access, *options).exit_code == 2


def kid_of(token: str) -> str:
    return read_identifier(read_macaroon(token.strip()).identifier).kid


def test_a_rotation_counts_while_the_service_runs(served, credentials):
    """A key that a command rotates is the one that the running service mints with, a second later."""
    old = kid_of(out("token", "mint", *credentials))
    new = members("key", "rotate", "--data", served.data)["kid"]
    assert new != old
    wait_until(lambda: kid_of(out("token", "mint", *credentials)) == new)


def test_a_service_answers(served):
    """The running service answers over TLS that its own CA vouches for."""
    context = ssl.create_default_context(cafile=served.data / "ca.pem")
    with closing(HTTPSConnection("localhost", int(served.issuer.rpartition(":")[2]), context=context)) as one:
        one.request("GET", "/openapi.json")
        assert one.getresponse().status == 200


def test_a_port_in_use_is_one_line(tmp_path):
    """A port that is taken is one line that says what to do, with status 2."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        done = run("serve", "--data", tmp_path / "data", "--port", str(sock.getsockname()[1]))
    assert (done.returncode, done.stdout) == (2, b"")
    assert len(done.stderr.splitlines()) == 1
    assert b"is in use" in done.stderr


def test_the_log_of_the_service_shows_no_secret(served, client, credentials):
    """The log of the running service has a line for each token, and no secret."""
    text = out("token", "mint", *credentials)
    log = (served.data.parent / "data.log").read_text()
    assert "minted" in log
    assert client["client_secret"] not in log
    assert text.strip()[100:140] not in log
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("options", "variables", "reason"),
    [
        pytest.param(
            ("--cert", "/nowhere.pem"), {}, "--cert and --key go together: give both", id="half a certificate"
        ),
        pytest.param(
            ("--cert", "/no.pem", "--key", "/no.key"),
            {},
            "directory; name the server's certificate",
            id="no certificate",
        ),
        pytest.param(("--issuer", "http://x"), {}, "https://HOST", id="a bad issuer"),
        pytest.param(("--host", "256.1.1.1"), {}, "--host", id="no address"),
        pytest.param(
            ("--issuer", "https://"), {}, "'https://' has no plain host", id="an issuer without a host"
        ),
        pytest.param((), {"MACAROON_CBAT_PORT": "1"}, "serve as --port", id="an option as a setting"),
        pytest.param((), {"MACAROON_CBAT_ISUER": "x"}, "MACAROON_CBAT_ISUER", id="an unknown setting"),
        pytest.param((), {"MACAROON_CBAT_TOKEN_LIFETIME": "x"}, "TOKEN_LIFETIME", id="a bad setting"),
        pytest.param((), {"MACAROON_CBAT_CLIENT_CA": "/no"}, "/no cannot be read (No such", id="no CA file"),
        pytest.param((), {"MACAROON_CBAT_DATABASE_URL": "x"}, "DATABASE_URL", id="a bad URL"),
    ],
)
def test_what_cannot_work_stops_the_start(tmp_path, options, variables, reason):
    """A mistake of the deployer stops `serve` in one line on standard error, with status 2."""
    port = str(free_port())
    done = run("serve", "--data", tmp_path / "data", "--port", port, *options, **variables)
    assert (done.returncode, done.stdout) == (2, b"")
    [line] = done.stderr.decode().splitlines()
    assert reason in line
