"""The development certificate of `serve`: its names, its renewal while the service runs, its warnings."""

import socket
import ssl
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.certificates import certified
from tests.support.command_line import members, serving
from tests.support.metrics import scrape
from tests.support.ports import free_port
from tests.support.running_services import ask, await_log, connect, eventually, hang_up, log_of, port_of
from tests.support.tls_servers import wait_until

EXPIRY = "server_certificate_expiry_timestamp_seconds{}"
FOREIGN = "is from the development CA, which clients do not trust: name your own with --cert and --key"


def is_accepted(data: Path, port: int, name: str) -> bool:
    """Return True if a client that asks for this name accepts the service's certificate."""
    trusting = ssl.create_default_context(cafile=data / "ca.pem")
    with closing(socket.create_connection(("127.0.0.1", port))) as sock:
        try:
            trusting.wrap_socket(sock, server_hostname=name).close()
        except ssl.SSLCertVerificationError:
            return False
    return True


@pytest.mark.parametrize(
    ("options", "variables", "names"),
    [
        pytest.param(
            ("--host", "0.0.0.0", "--issuer", "https://auth:8443"),
            {},
            ("auth", "localhost", "127.0.0.1", "0.0.0.0"),
            id="a container's name",
        ),
        pytest.param(
            (), {"MACAROON_CBAT_ISSUER": "https://Auth.Example"}, ("auth.example",), id="by setting"
        ),
        pytest.param(
            ("--issuer", "https://auth.example"),
            {"MACAROON_CBAT_MTLS_URL": "https://mtls.auth.example:8444"},
            ("auth.example", "mtls.auth.example"),
            id="both URLs",
        ),
        pytest.param(("--issuer", "https://[fd00::1]:8443"), {}, ("fd00::1", "::1"), id="an IPv6 address"),
    ],
)
def test_the_certificate_names_the_issuer(data, options, variables, names):
    """Clients that reach the service under its issuer's host, or the --host, accept its certificate."""
    with serving(data, *options, **variables) as service:
        accepted = {name: is_accepted(data, port_of(service), name) for name in (*names, "other.example")}
    assert accepted == {**dict.fromkeys(names, True), "other.example": False}


@pytest.mark.parametrize("issuer", ["https://auth:8443", "https://auth.example", "https://192.0.2.7"])
def test_a_foreign_issuer_is_warned_of(data, issuer):
    """With an issuer on another machine and no certificate of one's own, one line says what to do."""
    with serving(data, "--issuer", issuer) as service:
        [warning] = [line for line in log_of(service).splitlines() if "WARNING" in line]
        assert f"the server certificate for {issuer} {FOREIGN}" in warning
        assert str(data / "ca.pem") in warning


@pytest.mark.parametrize(
    ("options", "variables"),
    [
        pytest.param((), {}, id="no issuer"),
        pytest.param(("--issuer", "https://127.0.0.2:8443"), {}, id="loopback"),
        pytest.param(("--issuer", "https://auth.localhost"), {}, id="below localhost"),
        pytest.param(
            ("--issuer", "https://auth.example"),
            {
                "MACAROON_CBAT_CERTIFICATE_FORMAT": "rfc9440",
                "MACAROON_CBAT_TRUSTED_PROXIES": "10.0.0.0/8",
            },
            id="behind a proxy",
        ),
    ],
)
def test_no_warning_without_need(data, options, variables):
    """A local issuer is no reason to warn, nor is a proxy that shows clients its own certificate."""
    with serving(data, *options, **variables) as service:
        assert "WARNING" not in log_of(service)


def test_ones_own_certificate_is_no_reason_to_warn(data, tmp_path):
    """With --cert and --key any issuer is fine, and the folder gets no development CA."""
    own = certified("CN=auth.example", today=datetime.now(UTC))
    files = [tmp_path / "own.pem", tmp_path / "own.key"]
    files[0].write_bytes(own.pem)
    files[1].write_bytes(own.key_pem)
    options = ("--issuer", "https://auth.example", "--cert", str(files[0]), "--key", str(files[1]))
    with serving(data, *options) as service:
        assert "WARNING" not in log_of(service)
    assert not (data / "ca.pem").exists()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_is_renewed_while_the_service_runs(data, workers):
    """A development certificate that expires within 30 days is issued anew for its names, and presented."""
    metrics = free_port()
    options = ("--issuer", "https://auth:8443", "--workers", workers, "--management-port", str(metrics))
    with serving(data, *options) as service:
        soon = let_expire(data, days=29)
        eventually(lambda: {scrape(metrics)[EXPIRY] for _ in range(8)}, {soon})
        hang_up(service)  # as each hour does by itself
        wait_until(lambda: min(scrape(metrics)[EXPIRY] for _ in range(8)) > soon + 300 * 86_400)
        assert is_accepted(data, port_of(service), "auth")


def test_a_lost_development_ca_ends_nothing(data):
    """A renewal that cannot be, as without the CA's key, is a warning; the certificate is presented on."""
    with serving(data) as service:
        (data / "ca.key").unlink()
        hang_up(service)
        await_log(service, "the development certificate cannot be renewed: half of the development CA")
        assert is_accepted(data, port_of(service), "localhost")


def let_expire(data: Path, days: int) -> int:
    """Have the development CA issue a certificate that is about to expire; return when it expires."""
    key = serialization.load_pem_private_key((data / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    old = x509.load_pem_x509_certificate((data / "server.pem").read_bytes())
    now = datetime.now(UTC).replace(microsecond=0)
    issued = x509.CertificateBuilder(
        old.issuer,
        old.subject,
        old.public_key(),
        x509.random_serial_number(),
        now - timedelta(days=1),
        now + timedelta(days=days),
        list(old.extensions),
    ).sign(key, hashes.SHA256())
    draft = data / "draft.pem"
    draft.write_bytes(issued.public_bytes(serialization.Encoding.PEM))
    draft.replace(data / "server.pem")
    return int(issued.not_valid_after_utc.timestamp())


@pytest.mark.parametrize("metrics_host", ["127.0.0.1", "::"])
def test_every_address_is_that_of_both_families(data, tmp_path, metrics_host):
    """`--host ::` serves IPv6 and IPv4, and the audit log names an IPv4 client by its IPv4 address."""
    audit = tmp_path / "audit.log"
    secret = members("client", "add", "billing", "--scope", "read", "--data", data)["client_secret"]
    metrics = free_port()
    options = ("--host", "::", "--management-port", str(metrics), "--management-host", metrics_host)
    with serving(data, *options, MACAROON_CBAT_AUDIT_LOG=str(audit)) as service:
        for host in ("127.0.0.1", "::1"):
            with closing(connect(service, host=host)) as connection:
                assert ask(connection, client_id="billing", client_secret=secret)[0] == 200
        assert scrape(metrics)["tokens_minted_total{bound=no}"] == 2
    lines = audit.read_text().splitlines()
    assert ['"address":"127.0.0.1"' in lines[0], '"address":"::1"' in lines[1]] == [True, True]
