"""Two processes of the service behind a real nginx, with the configuration that deploy-config writes."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import quote, urlencode

import msgspec
import pytest
import trustme

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.macaroon.caveats import caveat_text, confirmation
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service import create_app
from macaroon_cbat.stores import ClientStore, open_stores
from tests.support.certificates import Identity, certified
from tests.support.databases import NOW, WRAPPING_KEY, url_in
from tests.support.deploy_config import written
from tests.support.ports import free_port
from tests.support.proxies.processes import nginx_process
from tests.support.proxies.upstreams import on_waitress
from tests.support.service import GRANT_TYPE, SECRETS, basic, client_metadata, make_database, settings_in

SECRET = "known-to-nginx-and-service"


@dataclass
class Gate:
    """The running nginx, and the processes behind it."""

    port: int
    folder: Path
    first: ExitStack
    """Ends the first process of the service."""

    def ask(
        self, method: str, path: str, identity: Identity | None = None, **headers: str
    ) -> tuple[int, bytes]:
        """Send a request over a connection of its own with this client certificate."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if identity is not None:
            file = self.folder / "client.pem"
            file.write_bytes(identity.key_pem + identity.pem)
            context.load_cert_chain(file)
        connection = HTTPSConnection("localhost", self.port, context=context, timeout=60)
        headers = {"Content-Type": "application/x-www-form-urlencoded", **headers}
        with closing(connection):
            connection.request(method, path, urlencode(GRANT_TYPE) if method == "POST" else None, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()


def register_bound(url: str) -> None:
    """Make the database, with a client whose every token is bound to its certificate."""
    make_database(url)
    with closing(open_stores(url, WRAPPING_KEY, NOW).database) as database:
        metadata = client_metadata(tls_client_certificate_bound_access_tokens=True)
        ClientStore(database).add("bound", metadata, secret=SECRETS["billing"], now=NOW)


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder, port = tmp_path_factory.mktemp("gate"), free_port()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    (folder / "secret").write_text(SECRET)
    register_bound(url_in(folder))
    trust = trusted_proxies(["127.0.0.1/32"], secret=SECRET)
    settings = settings_in(folder, certificate_source=Forwarded("nginx", trust=trust))
    with ExitStack() as stack:
        ports = []
        ends = [stack.enter_context(ExitStack()) for _ in range(2)]
        for each in ends:
            app = create_app(settings)
            each.enter_context(closing(app.extensions["macaroon_cbat"].database))
            ports.append(each.enter_context(on_waitress(app)))
        options = [part for one in ports for part in ("--upstream", f"127.0.0.1:{one}")]
        written(
            "nginx-service", folder, "--listen", f"127.0.0.1:{port}", "--cert", folder / "server.pem",
            "--key", folder / "server.pem", "--secret-file", folder / "secret", *options,
        )  # fmt: skip
        stack.enter_context(nginx_process(folder, port))
        yield Gate(port, folder, ends[0])


def test_a_token_is_bound_to_the_clients_certificate(gate: Gate):
    """A client's token carries the thumbprint of the certificate that it showed to nginx."""
    holder = certified("CN=holder")
    authorization = basic("bound", SECRETS["billing"])
    status, body = gate.ask("POST", "/oauth2/token", holder, Authorization=authorization)
    assert status == 200, body
    caveats = read_macaroon(msgspec.json.decode(body)["access_token"]).caveats
    assert caveat_text(confirmation(holder.thumbprint)) in caveats


def test_a_spoofed_certificate_binds_nothing(gate: Gate):
    """A client without a certificate that writes nginx's headers itself gets no token."""
    victim = certified("CN=victim")
    headers = {
        "Authorization": basic("bound", SECRETS["billing"]),
        "Clientcert": quote(victim.pem.decode()),
        "Clientcertverify": "SUCCESS",
        "Proxysecret": SECRET,
    }
    status, body = gate.ask("POST", "/oauth2/token", None, **headers)
    assert (status, b"present a client certificate" in body) == (400, True), body


def test_the_secret_is_private(gate: Gate):
    """The file that holds the secret is its owner's alone."""
    assert (gate.folder / "nginx.conf").stat().st_mode & 0o777 == 0o600


def test_the_other_process_serves_on(gate: Gate):
    """Requests are answered by the other process when one of the service has ended."""
    gate.first.close()
    path = "/.well-known/oauth-authorization-server"
    assert {gate.ask("GET", path)[0] for _ in range(6)} == {200}
