"""A service whose issuer has a path, behind a real nginx that keeps the path or strips it (RFC 8414 3.1)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import Access, confirmation
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.resource import Introspection, KeyFeed, RevocationFeed, ServiceConnection
from macaroon_cbat.resource.verifier import OfflineVerifier
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.ports import free_port
from tests.support.proxies.processes import NGINX, binary_of, process, wait_for_port
from tests.support.service_process import API, Service, in_process
from tests.support.tls_servers import Client, make_client

SECRET = "a-secret-of-the-proxy"
SERVER = """\
server {{
    listen 127.0.0.1:{gate} ssl;
    ssl_certificate {data}/server.pem;
    ssl_certificate_key {data}/server.key;
    ssl_verify_client optional_no_ca;
    proxy_set_header Clientcert $ssl_client_escaped_cert;
    proxy_set_header Clientcertverify $ssl_client_verify;
    proxy_set_header Proxysecret {secret};
    proxy_http_version 1.1;
    location /auth/ {{ proxy_pass https://127.0.0.1:{port}{below}; }}
    location = /.well-known/oauth-authorization-server/auth {{ proxy_pass https://127.0.0.1:{port}; }}
}}
"""
ARRIVALS = {
    "kept": ("", {}),
    "stripped": ("/", {"MACAROON_CBAT_ROOT_PATH": "/"}),
}


@dataclass
class Below(Service):
    """A service that clients know below a path of the proxy."""

    @property
    def issuer(self) -> str:
        """The service's URL."""
        return f"https://localhost:{self.gate}/auth"


@dataclass
class World:
    service: Below
    holder: Client

    def operator(self) -> tuple[object, ...]:
        """Return the options of an administrator, the issuer with a slash that is forgiven."""
        file = self.service.data / "ops.secret"
        return (
            *("--issuer", self.service.issuer + "/", "--cacert", self.service.ca, "--cert", self.holder.file),
            *("--client-id", "ops", "--client-secret-file", file),
        )


@pytest.fixture(scope="module", params=ARRIVALS.values(), ids=ARRIVALS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    below, environment = request.param
    folder: Path = tmp_path_factory.mktemp("below")
    data = folder / "data"
    development_certificates(data)
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    believing = {
        "MACAROON_CBAT_CERTIFICATE_FORMAT": "nginx",
        "MACAROON_CBAT_TRUSTED_PROXIES": "secret",
        "MACAROON_CBAT_PROXY_SECRET_FILE": str(folder / "secret"),
    }
    service = Below(data, free_port(), {**believing, **environment}, free_port())
    service.prepare()
    service.command("client", "add", "ops", "--scope", "admin", "--secret-file", data / "ops.secret")
    text = SERVER.format(data=data, gate=service.gate, port=service.port, below=below, secret=SECRET)
    (folder / "nginx.conf").write_text(text)
    user = "user root;" if folder.owner() == "root" else ""
    (folder / "main.conf").write_text(NGINX.format(folder=folder, user=user))
    command = [binary_of("nginx"), "-e", f"{folder}/log", "-p", str(folder), "-c", f"{folder}/main.conf"]
    with service.running(), process(command, folder) as running:
        assert service.gate is not None
        wait_for_port(service.gate, running, folder)
        yield World(service, make_client(folder, "holder"))


def test_an_operator_administers_through_the_proxy(world: World):
    """Discovery, tokens and administration go by the issuer's URL, its slash forgiven."""
    listed = json.loads(in_process("client", "list", "--json", *world.operator()))
    assert "ops" in [each["client_id"] for each in listed]


def test_a_resource_server_follows_through_the_proxy(world: World):
    """Keys, revocations and introspection are found below the issuer's path."""
    service, holder = world.service, world.holder
    options = ("--serves", API + "/", "--scope", "keys revocations", "--understands-caveats")
    secret = service.add("api", *options)
    token = service.client("billing", service.add("billing", "--scope", "read", "--audience", API))()
    assert read_macaroon(token).location == service.issuer.encode()
    certificate = thumbprint_of(DerCertificate(holder.der))
    child = attenuate(token, [confirmation(certificate)])
    now = EpochSeconds(read_identifier(read_macaroon(token).identifier).iat)
    access = Access(now=now, audience=API, certificate=certificate)
    connection = ServiceConnection(
        service.issuer + "/", "api", secret, certificate=holder.file, ca=service.ca
    )
    revocations = RevocationFeed(connection)
    following = OfflineVerifier(KeyFeed(connection, API + "/"), revocations)
    asking = Introspection(service.issuer + "/", API + "/", "api", secret, ca=service.ca)
    verifiers: tuple[Any, ...] = (following, asking)
    try:
        found = [each.verify(child, access, require_certificate=True).client_id for each in verifiers]
    finally:
        revocations.stop()
        # This answers its last question, for which the service else would wait five seconds at its end.
        service.command("revoke", "client", "billing")
    assert found == ["billing", "billing"]
    assert {each.issuer for each in verifiers} == {service.issuer}
