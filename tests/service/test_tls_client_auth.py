"""tls_client_auth: a CA-signed certificate and one name in it (RFC 8705 2.1)."""

from ipaddress import ip_address

import pytest
from cryptography import x509

from macaroon_cbat.errors import SettingsError
from tests.support.certificates import CLIENT_AUTH, SERVER_AUTH, authority, certified, with_version
from tests.support.clients_by_name import CLIENTS, DN, DNS, IP, URI
from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, Service, client_metadata, refused, settings_in


@pytest.fixture
def trusting(trusting_ca) -> Service:
    """Start a service that trusts the one CA, and three clients known by the names in their certificates."""
    service: Service = trusting_ca
    for name, members in CLIENTS.items():
        metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", **members)
        service.stores.clients.add(name, metadata, secret=None, now=NOW)
    return service


def ask(service, client, certificate):
    return service.post("/oauth2/token", GRANT_TYPE | {"client_id": client}, None, certificate)


@pytest.mark.parametrize(
    ("client", "subject", "names"),
    [
        pytest.param("by-dn", DN, (), id="its subject"),
        pytest.param("by-dn", DN, (x509.DNSName("x.example"),), id="its subject, beside another name"),
        pytest.param("by-dn", "CN=Billing,O=EXAMPLE", (), id="its subject in another case"),
        pytest.param("by-dns", "CN=any", (x509.DNSName(DNS),), id="its DNS name"),
        pytest.param("by-dns", "CN=any", (x509.DNSName(DNS.upper()),), id="its DNS name in another case"),
        pytest.param("by-dns", "", (x509.DNSName("a.example"), x509.DNSName(DNS)), id="one of its DNS names"),
        pytest.param("by-uri", "", (x509.UniformResourceIdentifier(URI),), id="its URI"),
        pytest.param("by-ip", "", (x509.IPAddress(ip_address(IP)),), id="its IP address"),
        pytest.param("by-email", "", (x509.RFC822Name("billing@mail.EXAMPLE"),), id="its e-mail address"),
    ],
)
def test_the_registered_name_is_right(trusting, ca, client, subject, names):
    """A certificate of the trusted CA with the registered name lets its client in."""
    assert ask(trusting, client, certified(subject, ca, names=names)).status_code == 200


@pytest.mark.parametrize(
    ("client", "subject", "names"),
    [
        pytest.param("by-dn", "CN=payroll,O=Example", (), id="another common name"),
        pytest.param("by-dn", "CN=billing", (), id="part of the subject"),
        pytest.param("by-dn", "CN=billing,O=Example,C=DE", (), id="more than the subject"),
        pytest.param("by-dn", "O=Example,CN=billing", (), id="the subject in another order"),
        pytest.param("by-dn", "CN=billing+O=Example", (), id="the subject in one part"),
        pytest.param("by-dn", "", (x509.DNSName(DNS),), id="no subject"),
        pytest.param("by-dn", "CN=a", (x509.DirectoryName(x509.Name.from_rfc4514_string(DN)),), id="as SAN"),
        pytest.param("by-dns", f"CN={DNS}", (), id="the DNS name as common name"),
        pytest.param("by-dns", "CN=a", (x509.DNSName("evil." + DNS),), id="a DNS name below"),
        pytest.param("by-dns", "CN=a", (x509.DNSName("*.example"),), id="a wildcard"),
        pytest.param("by-dns", "CN=a", (x509.UniformResourceIdentifier("dns:" + DNS),), id="DNS as URI"),
        pytest.param("by-uri", "CN=a", (x509.UniformResourceIdentifier(URI + "/x"),), id="a URI below"),
        pytest.param("by-uri", "CN=a", (x509.UniformResourceIdentifier(URI.upper()),), id="in another case"),
        pytest.param("by-uri", "CN=a", (x509.DNSName("example"),), id="a DNS name instead of a URI"),
        pytest.param("by-ip", "CN=a", (x509.IPAddress(ip_address("2001:db8::8")),), id="another address"),
        pytest.param("by-ip", "CN=a", (x509.DNSName("2001-db8--7.example"),), id="a DNS name for an address"),
        pytest.param("by-ip", f"CN={IP}", (), id="the address as common name"),
        pytest.param("by-email", "CN=a", (x509.RFC822Name("Billing@mail.example"),), id="another mailbox"),
        pytest.param("by-email", "CN=a", (x509.RFC822Name("billing@mail.example.evil"),), id="another host"),
        pytest.param("by-email", "CN=a,1.2.840.113549.1.9.1=billing@mail.example", (), id="as an attribute"),
    ],
)
def test_another_name_is_wrong(trusting, ca, client, subject, names):
    """A certificate of the trusted CA that has another name admits no client."""
    refused(ask(trusting, client, certified(subject, ca, names=names)), 401, "invalid_client")


def test_a_certificate_of_another_client_is_wrong(trusting, ca):
    """Each client is let in by the kind of name that it registered, and by no other one."""
    certificate = certified(DN, ca)
    assert ask(trusting, "by-dn", certificate).status_code == 200
    for client in ("by-dns", "by-uri"):
        refused(ask(trusting, client, certificate), 401, "invalid_client")


OTHER_CA = authority()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda ca: certified(DN, ca, days=(-30, -1)), id="expired"),
        pytest.param(lambda ca: certified(DN, ca, days=(1, 30)), id="not yet valid"),
        pytest.param(lambda ca: certified(DN), id="self-signed with the same subject"),
        pytest.param(lambda ca: certified(DN, OTHER_CA), id="of another CA of the same name"),
        pytest.param(lambda ca: certified(DN, ca, usage=SERVER_AUTH), id="for servers"),
        pytest.param(lambda ca: certified(DN, certified("CN=x", ca)), id="issued by a client of the CA"),
        pytest.param(lambda ca: certified(DN, authority("CN=Sub CA", ca)), id="of an unknown intermediate"),
        pytest.param(lambda ca: ca, id="the CA itself"),
    ],
)
def test_a_certificate_that_is_not_trusted_is_wrong(trusting, ca, make):
    """A certificate with the right name admits no client unless the trusted CA issued it, for use now."""
    refused(ask(trusting, "by-dn", make(ca)), 401, "invalid_client")


def test_a_forged_issuer_is_noticed(trusting, ca):
    """A certificate that names the trusted CA as its issuer, but is signed by another key, is not trusted."""
    forger = authority()
    assert forger.certificate.subject == ca.certificate.subject
    refused(ask(trusting, "by-dn", certified(DN, forger)), 401, "invalid_client")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda one: one.der[:-1], id="cut short"),
        pytest.param(lambda one: one.der + b"\0", id="with a byte more"),
        pytest.param(lambda one: one.der[:-5] + bytes([one.der[-5] ^ 1]) + one.der[-4:], id="a bit changed"),
        pytest.param(lambda one: with_version(one, 0), id="of version 1"),
        pytest.param(lambda one: with_version(one, 7), id="of version 8"),
        pytest.param(lambda one: b"0\x03abc", id="nonsense"),
        pytest.param(lambda one: one.der.replace(b"\x55\x1d\x0e", b"\x55\x1d\x23"), id="an extension twice"),
        pytest.param(
            lambda one: one.der.replace(b"\x2a\x86\x48\xce\x3d\x02\x01", b"\x2a\x86\x48\xce\x3d\x02\x09"),
            id="a key of an unknown kind",
        ),
    ],
)
def test_a_damaged_certificate_is_wrong(trusting, ca, damage):
    """Bytes that are no certificate of the CA are invalid_client, never a failure of the service."""
    refused(ask(trusting, "by-dn", damage(certified(DN, ca))), 401, "invalid_client")


@pytest.mark.parametrize("client", ["by-dns", "by-uri"])
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(bytes.fromhex("3006a50430020c00"), id="names of an odd kind"),
        pytest.param(bytes.fromhex("3003820180"), id="a name that is no ASCII"),
        pytest.param(b"\xff", id="no names at all"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_odd_names_are_wrong(trusting, ca, client, names):
    """Unreadable alternative names, though the CA signed them, are invalid_client."""
    refused(ask(trusting, client, certified(DN, ca, raw_names=names)), 401, "invalid_client")


def test_an_intermediate_in_the_file_may_sign(start, ca, tmp_path):
    """Intermediates in the CA file complete a chain, and are no anchors of trust by themselves."""
    intermediate = authority("CN=Sub CA", ca)
    stray = authority("CN=Stray CA", OTHER_CA)
    file = tmp_path / "clients-ca.pem"
    file.write_bytes(ca.pem + intermediate.pem + stray.pem)
    service = start(client_ca=file)
    metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", **CLIENTS["by-dn"])
    service.stores.clients.add("by-dn", metadata, secret=None, now=NOW)
    assert ask(service, "by-dn", certified(DN, intermediate)).status_code == 200
    refused(ask(service, "by-dn", certified(DN, stray)), 401, "invalid_client")


def test_without_a_ca_no_client_is_trusted(service, ca):
    """No certificate lets a tls_client_auth client in while no CA is set."""
    metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", **CLIENTS["by-dn"])
    service.stores.clients.add("by-dn", metadata, secret=None, now=NOW)
    for certificate in (certified(DN, ca), certified(DN)):
        refused(ask(service, "by-dn", certificate), 401, "invalid_client")


def test_validity_is_judged_by_the_clock(trusting, ca):
    """A certificate lets its client in until the second at which it expires, by the service's clock."""
    certificate = certified(DN, ca, days=(0, 1), usage=CLIENT_AUTH)
    for second, status in ((-1, 401), (0, 200), (86_399, 200), (86_401, 401)):
        trusting.now = NOW + second
        assert ask(trusting, "by-dn", certificate).status_code == status


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", id="nonsense"),
        pytest.param(certified(DN, OTHER_CA).pem, id="no CA"),
        pytest.param(OTHER_CA.der, id="DER"),
        pytest.param(None, id="missing"),
    ],
)
def test_an_unusable_ca_file_is_refused_at_the_start(start, tmp_path, content):
    """A CA file without a CA is a SettingsError in one line that names the variable and the file."""
    file = tmp_path / "clients-ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=f"MACAROON_CBAT_CLIENT_CA: {file}") as wrong:
        start(client_ca=file)
    assert "\n" not in str(wrong.value)
    assert settings_in(tmp_path).client_ca is None
