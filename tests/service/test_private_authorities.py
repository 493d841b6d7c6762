"""tls_client_auth with the certificates that people's own CAs really make."""

import subprocess
import time
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.errors import InvalidClient, SettingsError
from macaroon_cbat.service.oauth2.certificate_subjects import is_named_by
from macaroon_cbat.service.oauth2.client_certificates import ClientTrust
from tests.support.certificate_files import CURVE, with_latin_1
from tests.support.service import client_metadata


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def signed_by_openssl(folder: Path, authority: str, client: str) -> None:
    """Make ca.pem and client.pem with these lines of openssl's extension syntax."""
    added = [part for line in authority.splitlines() for part in ("-addext", line)]
    openssl(folder, "req", "-x509", *CURVE, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=CA", *added)
    openssl(folder, "req", *CURVE, "-keyout", "client.key", "-out", "client.csr", "-subj", "/CN=billing")
    (folder / "extensions").write_text(client)
    signing = ("x509", "-req", "-in", "client.csr", "-CA", "ca.pem", "-CAkey", "ca.key")
    openssl(folder, *signing, "-extfile", "extensions", "-out", "client.pem")


def verify(folder: Path) -> None:
    certificate = der_of((folder / "client.pem").read_bytes())
    ClientTrust(folder / "ca.pem").verified(certificate, int(time.time()))


@pytest.mark.parametrize(
    ("authority", "client"),
    [
        pytest.param("", "extendedKeyUsage=clientAuth", id="a CA as req -x509 makes it"),
        pytest.param("", "extendedKeyUsage=critical,clientAuth", id="a critical extended key usage"),
        pytest.param("", "extendedKeyUsage=serverAuth,clientAuth", id="more usages than this one"),
        pytest.param("", "keyUsage=digitalSignature", id="no extended key usage, which allows any"),
        pytest.param(
            "keyUsage=critical,keyCertSign", "keyUsage=digitalSignature", id="a CA with a key usage"
        ),
    ],
)
def test_a_private_ca_is_held_to_rfc_5280(tmp_path, authority, client):
    """A client certificate that RFC 5280 allows for client authentication is trusted."""
    signed_by_openssl(tmp_path, authority, client)
    verify(tmp_path)


@pytest.mark.parametrize(
    ("authority", "client"),
    [
        pytest.param("", "extendedKeyUsage=serverAuth", id="a server's certificate"),
        pytest.param("", "extendedKeyUsage=critical,codeSigning", id="a certificate for signing code"),
        pytest.param("keyUsage=digitalSignature", "keyUsage=digitalSignature", id="a CA that may not sign"),
        pytest.param("", "basicConstraints=critical,CA:TRUE", id="another CA's certificate as the client's"),
    ],
)
def test_usages_that_are_stated_count(tmp_path, authority, client):
    """A certificate whose stated usage is another one is not trusted."""
    signed_by_openssl(tmp_path, authority, client)
    with pytest.raises(InvalidClient, match="not trusted"):
        verify(tmp_path)


def test_a_trustme_certificate_is_trusted(tmp_path):
    """A certificate with a critical extended key usage, as trustme makes them, is trusted."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("billing@example.org").cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    verify(tmp_path)


def test_a_name_that_cannot_be_read_is_no_clients(tmp_path):
    """A subject in Latin-1, though a trusted CA signed it, is that of no client, and no failure."""
    leaf = x509.load_pem_x509_certificate(with_latin_1(tmp_path)[0])
    for member in ("tls_client_auth_subject_dn", "tls_client_auth_san_dns", "tls_client_auth_san_uri"):
        metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", **{member: "CN=a"})
        assert not is_named_by(leaf, metadata)


def test_a_ca_whose_name_cannot_be_read_is_refused_at_the_start(tmp_path):
    """A CA file with a name in Latin-1 is a SettingsError that names the file."""
    with_latin_1(tmp_path)
    with pytest.raises(SettingsError, match=rf"MACAROON_CBAT_CLIENT_CA: {tmp_path}/ca\.pem"):
        ClientTrust(tmp_path / "ca.pem")
