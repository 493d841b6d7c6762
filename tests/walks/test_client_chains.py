"""A real service, and clients whose certificate an intermediate issued, as step-ca and SPIRE do."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.errors import Refused
from tests.support.certificates import Identity, authority, certified
from tests.support.ports import free_port
from tests.support.service_process import Service
from tests.support.svids import domain_ca, svid

TODAY = datetime.now(UTC)
ROOT = authority("CN=Root", today=TODAY)
MIDDLE = authority("CN=Sub CA", ROOT, today=TODAY, path_length=1)
LOWER = authority("CN=Lower CA", MIDDLE, today=TODAY)
STRANGER = authority("CN=Root", today=TODAY)
DN = "CN=billing,1.3.6.1.4.1.311.60.2.1.3=BR"
PROD = domain_ca("prod.example", ROOT, TODAY)
STAGE = domain_ca("stage.example", ROOT, TODAY)
TRUSTED = {"root": (ROOT,), "intermediate": (MIDDLE,)}


@pytest.fixture(scope="module", params=TRUSTED)
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("chains")
    (folder / "trusted.pem").write_bytes(b"".join(one.pem for one in TRUSTED[request.param]))
    service = Service(folder / "data", free_port())
    service.data.mkdir()
    registered = "cn=Billing,1.3.6.1.4.1.311.60.2.1.3=#13024252"
    (folder / "prod.pem").write_bytes(ROOT.pem)
    files = {
        "MACAROON_CBAT_CLIENT_CA": str(folder / "trusted.pem"),
        "MACAROON_CBAT_SPIFFE_BUNDLES": f"prod.example={folder / 'prod.pem'}",
    }
    with service.running(**files):
        pattern = ("--spiffe-id", "spiffe://prod.example/ns/billing/*")
        service.add("workload", "--scope", "read", "--auth", "tls_client_auth", *pattern)
        service.add("it", "--scope", "read", "--auth", "tls_client_auth", "--subject-dn", registered)
        yield service


def ask(service: Service, folder: Path, shown: Identity, *sent: Identity, client: str = "it") -> str:
    """Return a token for a client that sends these certificates in its handshake."""
    file = folder / "client.pem"
    file.write_bytes(shown.key_pem + shown.pem + b"".join(one.pem for one in sent))
    return service.client(client, None, certificate=ClientCertificate(file), scope="read")()


@pytest.mark.parametrize(
    ("issuer", "sent"),
    [
        pytest.param(MIDDLE, (MIDDLE,), id="an intermediate"),
        pytest.param(MIDDLE, (MIDDLE, ROOT), id="an intermediate and the root"),
        pytest.param(LOWER, (LOWER, MIDDLE), id="two intermediates"),
        pytest.param(LOWER, (LOWER, MIDDLE, ROOT), id="the whole chain"),
    ],
)
def test_a_chain_from_the_handshake_is_followed(service: Service, tmp_path: Path, issuer: Identity, sent):
    """A client that sends its intermediates gets a token, whether their root or one of them is trusted."""
    assert ask(service, tmp_path, certified(DN, issuer, today=TODAY), *sent)


@pytest.mark.parametrize(
    ("issuer", "sent"),
    [
        pytest.param(LOWER, (), id="nothing"),
        pytest.param(STRANGER, (STRANGER,), id="an own root"),
    ],
)
def test_without_a_chain_there_is_no_token(service: Service, tmp_path: Path, issuer: Identity, sent):
    """A client that leaves out its intermediate, or sends a root of its own, is refused."""
    with pytest.raises(Refused, match="invalid_client"):
        ask(service, tmp_path, certified(DN, issuer, today=TODAY), *sent)


WORKLOAD = "spiffe://prod.example/ns/billing/sa/worker"


def test_a_workload_is_let_in_by_its_svid(service: Service, tmp_path: Path):
    """A workload that sends its SVID and the CA of its trust domain gets a token, below a shared root."""
    assert ask(service, tmp_path, svid(PROD, WORKLOAD, today=TODAY), PROD, client="workload")


@pytest.mark.parametrize(
    ("spiffe_id", "issuer"),
    [
        pytest.param("spiffe://prod.example/ns/other/sa/worker", PROD, id="another namespace"),
        pytest.param(WORKLOAD, STAGE, id="the CA of another trust domain below the root"),
    ],
)
def test_another_workload_is_refused(service: Service, tmp_path: Path, spiffe_id: str, issuer: Identity):
    """A workload of another path, or whose SVID another trust domain issued, gets no token."""
    with pytest.raises(Refused, match="invalid_client"):
        ask(service, tmp_path, svid(issuer, spiffe_id, today=TODAY), issuer, client="workload")
