"""tls_client_auth against attackers who get certificates with names of their choice (RFC 8705 2.1.2)."""

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.stores.clients import metadata_from
from tests.support.certificates import authority, certified
from tests.support.clients_by_name import CLIENTS, DN, DNS, URI
from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, client_metadata, refused

CN, ORG, EMAIL = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.EMAIL_ADDRESS
PUBLIC_CA = authority("CN=Public CA")


BY_NAME = {"token_endpoint_auth_method": "tls_client_auth", "scope": "x"}


def name(*attributes: tuple[x509.ObjectIdentifier, str, object]) -> x509.Name:
    """Return a name of these attributes, each with its kind of string, in the order of their encoding."""
    return x509.Name([x509.NameAttribute(oid, value, kind) for oid, value, kind in attributes])


UTF8, PRINTABLE, BMP = _ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BMPString
HONEST = {
    "UTF8String": name((ORG, "Example", UTF8), (CN, "billing", UTF8)),
    "PrintableString": name((ORG, "Example", PRINTABLE), (CN, "billing", PRINTABLE)),
    "BMPString": name((ORG, "Example", UTF8), (CN, "billing", BMP)),
    "another case, which is the same (RFC 5280 7.1)": name((ORG, "Example", UTF8), (CN, "BILLING", UTF8)),
    "a blank at the end, which is nothing (RFC 4518 2.6.1)": name(
        (ORG, "Example", UTF8), (CN, "billing ", UTF8)
    ),
}
HOSTILE = {
    "a NUL and more": name((ORG, "Example", UTF8), (CN, "billing\0.evil", UTF8)),
    "a NUL at the end": name((ORG, "Example", UTF8), (CN, "billing\0", UTF8)),
    "a blank within": name((ORG, "Example", UTF8), (CN, "bil ling", UTF8)),
    "full-width letters": name((ORG, "Example", UTF8), (CN, "\uff42illing", UTF8)),
    "a no-break space at the end": name((ORG, "Example", UTF8), (CN, "billing\u00a0", UTF8)),
    "a tab at the end": name((ORG, "Example", UTF8), (CN, "billing\t", UTF8)),
    "a soft hyphen": name((ORG, "Example", UTF8), (CN, "bil\u00adling", UTF8)),
    "a dotless i": name((ORG, "Example", UTF8), (CN, "b\u0131lling", UTF8)),
    "a capital i with a dot": name((ORG, "Example", UTF8), (CN, "B\u0130LLING", UTF8)),
    "a variation selector": name((ORG, "Example", UTF8), (CN, "billing\ufe0f", UTF8)),
    "the name in two cases": x509.Name(
        [
            x509.RelativeDistinguishedName([x509.NameAttribute(ORG, "Example")]),
            x509.RelativeDistinguishedName(
                [x509.NameAttribute(CN, "billing"), x509.NameAttribute(CN, "BILLING")]
            ),
        ]
    ),
    "a letter of another script": name((ORG, "Example", UTF8), (CN, "b\u0456lling", UTF8)),
    "an invisible letter": name((ORG, "Example", UTF8), (CN, "billing\u200b", UTF8)),
    "the DN in one attribute": name((CN, "billing,O=Example", UTF8)),
    "an escaped DN in one attribute": name((CN, "billing\\,O\\=Example", UTF8)),
    "another order": name((CN, "billing", UTF8), (ORG, "Example", UTF8)),
    "the name twice": name((ORG, "Example", UTF8), (CN, "billing", UTF8), (CN, "billing", UTF8)),
    "its own name besides": name((ORG, "Example", UTF8), (CN, "evil", UTF8), (CN, "billing", UTF8)),
    "its own name after": name((ORG, "Example", UTF8), (CN, "billing", UTF8), (CN, "evil", UTF8)),
    "an address besides": name((ORG, "Example", UTF8), (CN, "billing", UTF8), (EMAIL, "a@b.example", UTF8)),
    "less": name((CN, "billing", UTF8)),
    "a wildcard": name((ORG, "Example", UTF8), (CN, "*", UTF8)),
}


def alternative(*names: bytes) -> bytes:
    """Return the extension's value with DNS names of these very bytes."""
    body = b"".join(b"\x82" + bytes([len(one)]) + one for one in names)
    return b"\x30" + bytes([len(body)]) + body


HOSTILE_NAMES = {
    "a NUL and more": alternative(b"billing.example\0.evil.example"),
    "a NUL at the end": alternative(b"billing.example\0"),
    "a NUL before": alternative(b"\0billing.example"),
    "a wildcard": alternative(b"*.example"),
    "a partial wildcard": alternative(b"b*.example"),
    "a wildcard alone": alternative(b"*"),
    "a dot at the end": alternative(b"billing.example."),
    "a dot at the beginning": alternative(b".billing.example"),
    "a Kelvin sign for a letter": alternative("\u212ailling.example".encode()),
    "a name above": alternative(b"example"),
    "a name below": alternative(b"a.billing.example"),
    "two names in one": alternative(b"evil.example,billing.example"),
    "two names in one, by a blank": alternative(b"evil.example billing.example"),
    "a line end": alternative(b"billing.example\n"),
    "UTF-8": alternative("b\u0456lling.example".encode()),
    "its IDN": alternative(b"xn--blling-5of.example"),
    "as a URI": b"\x30\x11\x86\x0fbilling.example",
    "as an address": b"\x30\x11\x81\x0fbilling.example",
    "as another name": b"\x30\x11\x88\x0fbilling.example",
}
HOSTILE_URIS = {
    "a NUL and more": URI.encode() + b"\0/evil",
    "a path below": URI.encode() + b"/evil",
    "a query": URI.encode() + b"?",
    "a fragment": URI.encode() + b"#",
    "a slash": URI.encode() + b"/",
    "another case of the path": b"spiffe://example/Billing",
    "another case behind user information": b"spiffe://a@Example/billing",
    "encoded": b"spiffe://example/b%69lling",
    "a dot segment": b"spiffe://example/x/../billing",
    "user information": b"spiffe://a@example/billing",
    "a port": b"spiffe://example:443/billing",
    "a prefix": b"x" + URI.encode(),
}


@pytest.fixture(scope="module")
def trusting(lasting_trusting_ca):
    service = lasting_trusting_ca
    for client, members in CLIENTS.items():
        metadata = client_metadata(token_endpoint_auth_method="tls_client_auth", **members)
        service.stores.clients.add(client, metadata, secret=None, now=NOW)
    return service


def ask(service, client, certificate):
    return service.post("/oauth2/token", GRANT_TYPE | {"client_id": client}, None, certificate)


@pytest.mark.parametrize("subject", HONEST.values(), ids=HONEST)
def test_a_name_may_be_in_any_kind_of_string(trusting, ca, subject):
    """A subject is compared by its text: CAs encode the same name differently."""
    assert ask(trusting, "by-dn", certified(subject, ca)).status_code == 200


@pytest.mark.parametrize("subject", HOSTILE.values(), ids=HOSTILE)
def test_a_subject_like_the_registered_one_is_another(trusting, ca, subject):
    """An attacker whose subject from the trusted CA only resembles the registered one is not let in."""
    refused(ask(trusting, "by-dn", certified(subject, ca)), 401, "invalid_client")


@pytest.mark.parametrize("names", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
def test_a_dns_name_like_the_registered_one_is_another(trusting, ca, names):
    """An attacker whose DNS name from the trusted CA only resembles the registered one is not let in."""
    refused(
        ask(trusting, "by-dns", certified("CN=billing.example", ca, raw_names=names)), 401, "invalid_client"
    )


def test_the_exact_names_in_raw_bytes_are_right(trusting, ca):
    """With the exact name in such an extension, the client is let in."""
    for client, tag, exact in (
        ("by-dns", b"\x82", DNS),
        ("by-dns", b"\x82", "Billing.Example"),
        ("by-uri", b"\x86", URI),
        ("by-uri", b"\x86", "SPIFFE://Example/billing"),
    ):
        body = tag + bytes([len(exact)]) + exact.encode()
        shown = certified("CN=x", ca, raw_names=b"\x30" + bytes([len(body)]) + body)
        assert ask(trusting, client, shown).status_code == 200


@pytest.mark.parametrize("uri", HOSTILE_URIS.values(), ids=HOSTILE_URIS)
def test_a_uri_like_the_registered_one_is_another(trusting, ca, uri):
    """An attacker whose URI from the trusted CA only resembles the registered one is not let in."""
    body = b"\x86" + bytes([len(uri)]) + uri
    names = b"\x30" + bytes([len(body)]) + body
    refused(ask(trusting, "by-uri", certified("CN=x", ca, raw_names=names)), 401, "invalid_client")


@pytest.mark.parametrize("client", CLIENTS)
def test_a_public_ca_names_no_client(trusting, client):
    """A certificate with the very names of a client admits no client when another CA issued it."""
    names = (x509.DNSName(DNS), x509.UniformResourceIdentifier(URI))
    refused(ask(trusting, client, certified(DN, PUBLIC_CA, names=names)), 401, "invalid_client")


@pytest.mark.parametrize(
    "registered",
    [
        "*.example",
        "*",
        "billing.example.",
        ".example",
        "a..b",
        "b\u0456lling.example",
        "a b",
        "a\0.b",
        " ",
        "a" * 64,
    ],
)
def test_a_dns_name_that_is_none_is_not_registered(registered):
    """A DNS name that could match no certificate, or another one than it looks like, is not registered."""
    members = {
        "token_endpoint_auth_method": "tls_client_auth",
        "scope": "x",
        "tls_client_auth_san_dns": registered,
    }
    with pytest.raises(InvalidClientMetadata, match="SAN DNS name is compared as a whole"):
        metadata_from(members)


@pytest.mark.parametrize(
    "registered", ["billing", "spiffe:", "a:b#c", "spiffe://b\u0456lling/x", "a:b c", "a:\0"]
)
def test_a_uri_that_is_none_is_not_registered(registered):
    """A SAN URI that is no absolute URI is not registered as the name of a certificate."""
    members = {
        "token_endpoint_auth_method": "tls_client_auth",
        "scope": "x",
        "tls_client_auth_san_uri": registered,
    }
    with pytest.raises(InvalidClientMetadata, match="SAN URI is compared as a whole"):
        metadata_from(members)
