"""The OpenAPI document under Schemathesis: no answer is a 5xx, and none is undocumented."""

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.ports import free_port
from tests.support.relying.api_examination import Findings, examine
from tests.support.service import basic
from tests.support.service_process import API, Service, process
from tests.support.tls_servers import Client, make_client

RIGHTS = {"ops": ["--scope", "admin"], "api": ["--scope", "keys revocations", "--serves", API]}

READ = {
    "GET /",
    "GET /admin/clients",
    "GET /admin/keys",
    "GET /admin/grants",
}
CHANGED = {
    "POST /admin/clients",
    "POST /admin/keys/rotate",
    "POST /admin/revocations",
    "POST /oauth2/introspect",
}


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """Examine a service with every part, over mutual TLS."""
    folder = tmp_path_factory.mktemp("examined")
    service, client = Service(folder / "data", free_port()), make_client(folder, "examiner")
    development_certificates(service.data)
    service.prepare()
    service.command("key", "list", "--init")
    secrets = {name: service.add(name, *options) for name, options in RIGHTS.items()}
    command = ["tests.support.service_for_people", str(service.data), str(service.port)]
    with process(command, service.data, service.port, {}, is_killed=True):
        credentials = {
            "/admin": bound_token(service, client, "ops", secrets["ops"]),
            "/resource": bound_token(service, client, "api", secrets["api"]),
            "/oauth2": basic("api", secrets["api"]),
        }
        return examine(
            service.issuer, ca=service.ca, certificate=client.file, credentials=credentials, examples=5
        )


def bound_token(service: Service, client: Client, name: str, secret: str) -> str:
    """Return the Authorization field with a token for the service, bound to the client's certificate."""
    token = service.client(name, secret, resource=service.issuer)()
    return "Bearer " + attenuate(token, [confirmation(thumbprint_of(DerCertificate(client.der)))])


def test_every_answer_is_documented(findings: Findings):
    """Each answer has a documented status, content type and schema, and no request fits wrongly."""
    assert (findings.failures, findings.errors) == ({}, [])


def test_every_operation_is_asked(findings: Findings):
    """Each operation of the document was asked, and some of each kind with success."""
    assert findings.operations(below=600) >= findings.documented
    assert findings.operations(below=400) >= READ | CHANGED
