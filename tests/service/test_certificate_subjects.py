"""The one name of a tls_client_auth client, of each kind, as certificates have it (RFC 8705 2.1.2)."""

from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier

from macaroon_cbat.service.oauth2.certificate_subjects import is_named_by
from macaroon_cbat.stores import ClientMetadata
from tests.support.certificates import authority, certified
from tests.support.distinguished_names import KINDS
from tests.support.service import client_metadata

CA = authority()
OWN = ObjectIdentifier("1.3.6.1.4.1.99999.7")
UTF8, PRINTABLE, BMP = _ASN1Type.UTF8String, _ASN1Type.PrintableString, _ASN1Type.BMPString


def named(**members: str) -> ClientMetadata:
    """Return the metadata of a client that registered this name."""
    return client_metadata(
        token_endpoint_auth_method="tls_client_auth",
        **{f"tls_client_auth_{member}": value for member, value in members.items()},
    )


def subject(oid: ObjectIdentifier, value: str, kind: _ASN1Type = UTF8) -> x509.Certificate:
    """Return a certificate with this one attribute as its subject."""
    return certified(x509.Name([x509.NameAttribute(oid, value, kind)]), CA).certificate


def alternative(*names: x509.GeneralName) -> x509.Certificate:
    return certified("CN=x", CA, names=names).certificate


@pytest.mark.parametrize(("kind", "oid", "value"), KINDS, ids=[kind for kind, _, _ in KINDS])
def test_each_kind_of_attribute_is_compared(kind, oid, value):
    """An attribute of each kind is the registered one whatever its letter case, and no other one is."""
    certificate = subject(ObjectIdentifier(oid), value)
    registered = (f"{kind}={value}", f"{kind.lower()}={value.upper()}", f"{oid}={value.lower()}")
    assert [is_named_by(certificate, named(subject_dn=one)) for one in registered] == [True] * 3
    others = (f"{kind}={value[:-1]}", f"{kind}={value}x", f"1.3.6.1.4.1.99999.7={value}")
    assert [is_named_by(certificate, named(subject_dn=one)) for one in others] == [False] * 3


@pytest.mark.parametrize("kind", [UTF8, PRINTABLE, BMP], ids=lambda kind: kind.name)
@pytest.mark.parametrize("registered", ["CN=BR", "cn=br", "CN=#13024252", "CN=#0c024252", r"CN=\42R"])
def test_the_kind_of_string_is_nothing(kind, registered):
    """A value is one value in every kind of string, in the certificate and in hexadecimal."""
    assert is_named_by(subject(NameOID.COMMON_NAME, "BR", kind), named(subject_dn=registered))


def test_an_own_attribute_is_compared_as_it_is():
    """A value of a type that is not known here is compared character by character."""
    certificate = subject(OWN, "Value 7")
    found = [is_named_by(certificate, named(subject_dn=f"{OWN.dotted_string}={text}")) for text in
             ("Value 7", "value 7", "Value  7", "Value 7\\ ")]  # fmt: skip
    assert found == [True, False, False, False]


def test_a_bit_string_is_no_client_s():
    """A subject with a bit string in it is that of no client."""
    unique = NameOID.X500_UNIQUE_IDENTIFIER
    certificate = certified(
        x509.Name([x509.NameAttribute(unique, b"\x00A", _ASN1Type.BitString)]), CA
    ).certificate
    assert not is_named_by(certificate, named(subject_dn="2.5.4.45=A"))


def test_a_subject_that_was_registered_unreadably_fits_nothing(caplog):
    """A subject DN of before it was checked fits no certificate, and the log says so."""
    certificate = subject(NameOID.COMMON_NAME, "a")
    assert not is_named_by(certificate, named(subject_dn="CN=a\x01"))
    assert "cannot be read, and matches no certificate" in caplog.text


ADDRESSES = {
    "IPv4": ("192.0.2.7", ["192.0.2.7"], ["192.0.2.8", "::ffff:192.0.2.7", "::c000:207"]),
    "IPv6": ("2001:db8::7", ["2001:db8::7"], ["2001:db8::8", "2001:db8:7::"]),
    "IPv6, written out": ("2001:0DB8:0:0:0:0:0:7", ["2001:db8::7"], ["2001:db8::70"]),
    "an IPv4-mapped one": ("::ffff:192.0.2.7", ["::ffff:192.0.2.7"], ["192.0.2.7"]),
}


@pytest.mark.parametrize(("registered", "same", "others"), ADDRESSES.values(), ids=ADDRESSES)
def test_an_ip_address_is_compared_by_its_bytes(registered, same, others):
    """A registered IP address is that of a certificate with these bytes, however it is written."""
    client = named(san_ip=registered)
    assert all(is_named_by(alternative(x509.IPAddress(ip_address(one))), client) for one in same)
    assert not any(is_named_by(alternative(x509.IPAddress(ip_address(one))), client) for one in others)


def test_an_ip_address_is_no_other_kind_of_name():
    """An IP address as DNS name, URI or subject, and a network, is not the registered address."""
    client = named(san_ip="192.0.2.7")
    names = (
        x509.DNSName("192.0.2.7"),
        x509.UniformResourceIdentifier("192.0.2.7"),
        x509.RFC822Name("192.0.2.7"),
    )
    assert not is_named_by(alternative(*names), client)
    assert not is_named_by(subject(NameOID.COMMON_NAME, "192.0.2.7"), client)
    network = bytes.fromhex("300a8708c0000207ffffffff")
    assert not is_named_by(certified("CN=x", CA, raw_names=network).certificate, client)


@pytest.mark.parametrize("raw", ["300587" + "03c00002", "300787" + "05c000020700", "30028700"])
def test_an_address_of_another_length_is_none(raw):
    """A SAN IP of three, five or no bytes is no address."""
    assert not is_named_by(
        certified("CN=x", CA, raw_names=bytes.fromhex(raw)).certificate, named(san_ip="192.0.2.7")
    )


MAILBOXES = {
    "itself": ("Bill@Pay.example", True),
    "its host in another case": ("Bill@PAY.example", True),
    "its name in another case": ("bill@Pay.example", False),
    "a host below": ("Bill@a.Pay.example", False),
    "a host above": ("Bill@example", False),
    "a name with a tag": ("Bill+x@Pay.example", False),
    "a quoted name": ('"Bill"@Pay.example', False),
    "the host alone": ("Pay.example", False),
    "two at signs": ("evil@x@Pay.example", False),
    "a dot at the end": ("Bill@Pay.example.", False),
    "a display name": ("Bill <Bill@Pay.example>", False),
    "a NUL": ("Bill@Pay.example\0", False),
}


@pytest.mark.parametrize(("shown", "is_the_same"), MAILBOXES.values(), ids=MAILBOXES)
def test_an_e_mail_address_is_compared_as_a_mailbox(shown, is_the_same):
    """Only the letter case of the host means nothing in an e-mail address (RFC 5280 7.5)."""
    body = b"\x81" + bytes([len(shown)]) + shown.encode()
    certificate = certified("CN=x", CA, raw_names=b"\x30" + bytes([len(body)]) + body).certificate
    assert is_named_by(certificate, named(san_email="Bill@Pay.example")) is is_the_same


def test_an_e_mail_address_is_no_other_kind_of_name():
    """An e-mail address in the subject, as a DNS name or as a URI is not the registered one."""
    client = named(san_email="a@b.example")
    assert not is_named_by(subject(NameOID.EMAIL_ADDRESS, "a@b.example"), client)
    names = (x509.DNSName("a@b.example"), x509.UniformResourceIdentifier("mailto:a@b.example"))
    assert not is_named_by(alternative(*names), client)


URIS = {
    "itself": ("spiffe://example/billing", True),
    "its scheme in another case": ("SPIFFE://example/billing", True),
    "its host in another case": ("spiffe://EXAMPLE/billing", True),
    "its path in another case": ("spiffe://example/Billing", False),
    "a port": ("spiffe://example:443/billing", False),
    "user information": ("spiffe://a@example/billing", False),
    "a path that another host is in": ("spiffe:/EXAMPLE/billing", False),
}


@pytest.mark.parametrize(("shown", "is_the_same"), URIS.values(), ids=URIS)
def test_a_uri_is_compared_as_rfc_5280_says(shown, is_the_same):
    """Only the letter case of scheme and host means nothing in a URI (RFC 5280 4.2.1.6)."""
    certificate = alternative(x509.UniformResourceIdentifier(shown))
    assert is_named_by(certificate, named(san_uri="spiffe://example/billing")) is is_the_same
    assert is_named_by(certificate, named(san_uri=shown))


def test_the_host_behind_user_information_is_compared_as_it_is():
    """User information has letter case: a URI with it is compared as it is, but for the scheme."""
    certificate = alternative(x509.UniformResourceIdentifier("a://B@C/d"))
    found = [is_named_by(certificate, named(san_uri=one)) for one in ("A://B@C/d", "a://b@C/d", "a://B@c/d")]
    assert found == [True, False, False]


@pytest.mark.parametrize("registered", ["x", "b\u0456ll@pay.example"])
def test_what_has_no_form_to_compare_is_no_name(registered):
    """A registered e-mail address of before there was a check, which is none, is not another that is none."""
    certificate = alternative(x509.RFC822Name("y"))
    assert not is_named_by(certificate, named(san_email=registered))


FOLDED = {
    "double s for a sharp one": ("Strauß", "Strauss"),
    "capital double s for a sharp one": ("Strauß", "STRAUSS"),
    "an iota below for one beside": ("\u03a4\u1ff3", "\u03a4\u03c9\u03b9"),
    "an iota below for one beside, with accent": (
        "\u1f80\u03b4\u03b7\u03c2",
        "\u1f00\u03b9\u03b4\u03b7\u03c2",
    ),
    "old Cyrillic te": ("\u0411\u0430\u043d\u043a\u0442", "\u0411\u0430\u043d\u043a\u1c84"),
    "old Cyrillic ve": ("\u0412\u043e\u0441\u0442\u043e\u043a", "\u1c80\u043e\u0441\u0442\u043e\u043a"),
}


@pytest.mark.parametrize(("registered", "other"), FOLDED.values(), ids=FOLDED)
def test_another_spelling_in_full_case_folding_is_another_s(registered, other):
    """Two names that only full case folding makes alike are two names: a CA may know both."""
    certificate = subject(NameOID.COMMON_NAME, other)
    assert not is_named_by(certificate, named(subject_dn=f"CN={registered}"))
    assert is_named_by(certificate, named(subject_dn=f"CN={other}"))


@pytest.mark.parametrize("other", ["STRAU\u1e9e", "strauß", "ОДНА", "ΤΩ"], ids=ascii)
def test_a_letter_is_its_own_capital(other):
    """Capitals of every script are nothing, and the capital sharp s is one of them."""
    certificate = subject(NameOID.COMMON_NAME, other)
    registered = {"STRAU\u1e9e": "Strauß", "strauß": "Strauß", "ОДНА": "Одна", "ΤΩ": "Τω"}[other]
    assert is_named_by(certificate, named(subject_dn=f"CN={registered}"))
