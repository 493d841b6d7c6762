import ssl
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.tls.development_ca import DevelopmentCertificates, development_certificates
from tests.support.tls_servers import running


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file of the folder that is not a lock."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in {".pem", ".key"}}


def names(certificate: Path) -> set[str]:
    """Return the names that a certificate is good for."""
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    found = loaded.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))}


def test_strict_clients_trust_it(tmp_path: Path) -> None:
    """A client with the CA alone verifies the server, also with the strict flag that Python 3.13 sets."""
    with running(tmp_path) as server:
        context = server.context()
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        assert server.ask(context=context).status == 200


@pytest.mark.parametrize("host", ["localhost", "10.1.2.3", "fd00::1", "Service.Example", "bücher.example"])
def test_it_covers_localhost_and_the_host(tmp_path: Path, host: str) -> None:
    """The certificate is good for localhost by name and number, and for the host that was named."""
    found = names(development_certificates(tmp_path, host).certificate)
    expected = {"Service.Example": "service.example", "bücher.example": "xn--bcher-kva.example"}.get(
        host, host
    )
    assert found == {"localhost", "127.0.0.1", "::1", expected}


def test_keys_are_private(tmp_path: Path) -> None:
    """Keys and the folder are readable by their owner only."""
    folder = tmp_path / "a" / "b"
    files = development_certificates(folder)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (files.key, folder / "ca.key", folder)}
    assert modes == {files.key: 0o600, folder / "ca.key": 0o600, folder: 0o700}


def test_nothing_changes_without_need(tmp_path: Path) -> None:
    """A second start finds everything as it is."""
    development_certificates(tmp_path)
    before = contents(tmp_path)
    development_certificates(tmp_path)
    assert contents(tmp_path) == before
    assert set(before) == {"ca.pem", "ca.key", "server.pem", "server.key"}


def test_another_host_is_added(tmp_path: Path) -> None:
    """A host not covered leads to a new certificate, which still covers the old ones; the CA stays."""
    development_certificates(tmp_path, "one.example")
    before = contents(tmp_path)
    files = development_certificates(tmp_path, "two.example")
    assert names(files.certificate) == {"localhost", "127.0.0.1", "::1", "one.example", "two.example"}
    assert contents(tmp_path)["ca.pem"] == before["ca.pem"]
    assert contents(tmp_path)["server.pem"] != before["server.pem"]


def _remove_certificate(files: DevelopmentCertificates) -> None:
    files.certificate.unlink()


def _remove_key(files: DevelopmentCertificates) -> None:
    files.key.unlink()


def _spoil_certificate(files: DevelopmentCertificates) -> None:
    files.certificate.write_bytes(b"garbage")


def _exchange_key(files: DevelopmentCertificates) -> None:
    files.key.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))


def _let_it_expire(files: DevelopmentCertificates) -> None:
    _reissue(files, files.ca.with_suffix(".key"), days=29)


def _issue_by_another_ca(files: DevelopmentCertificates) -> None:
    other = files.ca.with_name("other.key")
    other.write_bytes(_pem(ec.generate_private_key(ec.SECP256R1())))
    _reissue(files, other, days=300)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _reissue(files: DevelopmentCertificates, signer: Path, *, days: int) -> None:
    old = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    key = serialization.load_pem_private_key(signer.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    builder = x509.CertificateBuilder(
        old.issuer,
        old.subject,
        old.public_key(),
        x509.random_serial_number(),
        datetime.now(UTC) - timedelta(days=1),
        datetime.now(UTC) + timedelta(days=days),
        list(old.extensions),
    )
    files.certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize(
    "spoil",
    [
        _remove_certificate, _remove_key, _spoil_certificate, _exchange_key, _let_it_expire,
        _issue_by_another_ca,
    ],
)  # fmt: skip
def test_a_server_certificate_that_is_no_good_is_replaced(tmp_path: Path, spoil: object) -> None:
    """A server certificate that clients would refuse is issued anew, by the same CA."""
    files = development_certificates(tmp_path)
    authority = files.ca.read_bytes()
    assert callable(spoil)
    spoil(files)
    development_certificates(tmp_path)
    assert files.ca.read_bytes() == authority
    leaf = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    assert leaf.not_valid_after_utc - datetime.now(UTC) > timedelta(days=300)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)


@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
@pytest.mark.parametrize("content", [None, b"garbage", "of another"])
def test_the_authority_is_never_replaced(tmp_path: Path, name: str, content: bytes | str | None) -> None:
    """A CA that is half, unreadable or mixed up is refused in a line that names the file, and left alone."""
    development_certificates(tmp_path / "other")
    folder = tmp_path / "own"
    development_certificates(folder)
    if content is None:
        (folder / name).unlink()
    elif isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        (folder / name).write_bytes((tmp_path / "other" / name).read_bytes())
    before = contents(folder)
    with pytest.raises(SettingsError) as caught:
        development_certificates(folder)
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert contents(folder) == before


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """A folder that cannot be made is refused in one line."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match="choose a folder"):
        development_certificates(tmp_path / "file" / "folder")


@pytest.mark.parametrize("host", ["", "a..b", "x" * 300])
def test_a_host_that_is_none_is_refused(tmp_path: Path, host: str) -> None:
    """A text that is neither a host name nor an address is refused."""
    with pytest.raises(SettingsError, match="neither a host name nor an IP address"):
        development_certificates(tmp_path, host)


def test_processes_that_start_together_agree(tmp_path: Path) -> None:
    """Processes that start at once end with one CA and one server certificate that belong together."""
    with get_context("spawn").Pool(4) as pool:
        found = pool.map(_authority_of, [tmp_path / "new"] * 4)
    assert len(set(found)) == 1
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        ".lock", "ca.pem", "ca.key", "server.pem", "server.key",
    }  # fmt: skip


def test_threads_that_start_together_agree(tmp_path: Path) -> None:
    """Threads of one process wait for each other too."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(_authority_of, [tmp_path] * 8))
    assert len(set(found)) == 1


def _authority_of(folder: Path) -> tuple[bytes, bytes]:
    files = development_certificates(folder)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key)
    return files.ca.read_bytes(), files.certificate.read_bytes()
