"""The service at a Unix socket behind a real nginx: what identifies a client there, and what does not."""

import json
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
import trustme

from macaroon_cbat.macaroon.caveats import caveat_text, confirmation
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.certificates import Identity, certified
from tests.support.command_line import run, with_database
from tests.support.deploy_config import written
from tests.support.ports import free_port
from tests.support.proxies.processes import nginx_process
from tests.support.service import GRANT_TYPE, basic
from tests.support.service_process import Service

PROXY = {"MACAROON_CBAT_CERTIFICATE_FORMAT": "nginx", "MACAROON_CBAT_TRUSTED_PROXIES": "unix"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Gate:
    """The running nginx, the socket behind it, and the secret of a client whose every token is bound."""

    port: int
    folder: Path
    secret: str

    def ask(self, identity: Identity | None, **headers: str) -> tuple[int, bytes]:
        """Ask nginx for a token over a connection with this client certificate."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if identity is not None:
            file = self.folder / "client.pem"
            file.write_bytes(identity.key_pem + identity.pem)
            context.load_cert_chain(file)
        return self._asked(HTTPSConnection("localhost", self.port, context=context, timeout=60), headers)

    def ask_directly(self, **headers: str) -> tuple[int, bytes]:
        """Ask at the Unix socket itself."""
        connection = HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(os.fspath(self.folder / "service.sock"))
        return self._asked(connection, headers)

    def _asked(self, connection: HTTPConnection, headers: dict[str, str]) -> tuple[int, bytes]:
        known = {"Authorization": basic("bound", self.secret), **FORM, **headers}
        with closing(connection):
            connection.request("POST", "/oauth2/token", urlencode(GRANT_TYPE), known)
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder, port = tmp_path_factory.mktemp("gate"), free_port()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    (folder / "secret").write_text("known-to-nginx-and-service")
    (folder / "secret").chmod(0o600)
    service = Service(with_database(folder / "data"), port)
    secret = service.add("bound", "--scope", "read", "--audience", "https://api.example", "--bound")
    path = folder / "service.sock"
    written(
        "nginx-service", folder, "--listen", f"127.0.0.1:{port}", "--cert", folder / "server.pem", "--key",
        folder / "server.pem", "--secret-file", folder / "secret", "--upstream", f"unix:{path}",
    )  # fmt: skip
    variables = PROXY | {"MACAROON_CBAT_PROXY_SECRET_FILE": str(folder / "secret")}
    with (
        service.running("--host", f"unix:{path}", "--socket-mode", "666", **variables),
        nginx_process(folder, port),
    ):
        yield Gate(port, folder, secret)


def test_a_token_is_bound_to_the_certificate_of_the_proxys_client(gate: Gate) -> None:
    """A token carries the thumbprint of the certificate that the client showed to nginx."""
    holder = certified("CN=holder")
    status, body = gate.ask(holder)
    assert status == 200, body
    caveats = read_macaroon(json.loads(body)["access_token"]).caveats
    assert caveat_text(confirmation(holder.thumbprint)) in caveats


def test_a_client_without_a_certificate_gets_no_bound_token(gate: Gate) -> None:
    """A client that shows nginx none is refused, whatever headers it writes itself."""
    victim = certified("CN=victim")
    spoofed = {"Clientcert": quote(victim.pem.decode()), "Clientcertverify": "SUCCESS"}
    assert gate.ask(None)[0] == 400
    assert gate.ask(None, **spoofed)[0] == 400


def test_another_user_of_the_socket_is_no_proxy(gate: Gate) -> None:
    """A process that reaches the socket without the proxy's secret proves no certificate by a header."""
    victim = certified("CN=victim")
    spoofed = {"Clientcert": quote(victim.pem.decode()), "Clientcertverify": "SUCCESS"}
    status, body = gate.ask_directly(**spoofed)
    assert (status, json.loads(body)["error"]) == (400, "invalid_request")


def test_the_file_has_the_mode_that_was_named(gate: Gate) -> None:
    """The socket's file is as open as the operator said."""
    assert (gate.folder / "service.sock").stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize(
    ("options", "variables", "reason"),
    [
        pytest.param((), {}, "MACAROON_CBAT_TRUSTED_PROXIES to unix", id="no proxy is named"),
        pytest.param((), PROXY, "name it with --issuer", id="no issuer is named"),
        pytest.param(("--socket-mode", "9"), PROXY, "is no mode", id="no mode"),
    ],
)
def test_a_socket_without_its_proxy_is_one_line(tmp_path: Path, options, variables, reason) -> None:
    """A Unix socket needs the settings of its proxy and an issuer; nothing starts without them."""
    data = with_database(tmp_path / "data")
    done = run("serve", "--data", data, "--host", f"unix:{tmp_path}/s", *options, **variables)
    assert (done.returncode, done.stdout) == (2, b"")
    assert reason in done.stderr.decode().splitlines()[-1]
    assert not (tmp_path / "s").exists()
