from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from macaroon_cbat.certificate.file import LONGEST_FILE, certificates_of, der_of
from tests.support.certificate_files import (
    ISSUER,
    LEAF,
    READ,
    SKIPPED,
    STRANGER,
    bundle,
    key,
    openssl_reads,
    public_key,
    relabelled,
    request,
    revocation_list,
    store,
    trusted,
    with_latin_1,
)
from tests.support.certificates import certified


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_the_leaf_is_what_openssl_reads(tmp_path, content):
    """The leaf of a file is the certificate that openssl reads of it."""
    assert der_of(content) == openssl_reads(content, tmp_path) == LEAF.der


@pytest.mark.parametrize("spelling", SKIPPED.values(), ids=SKIPPED)
@pytest.mark.parametrize("between", [b"\n", b""], ids=["on a line of its own", "at once"])
def test_an_issuer_never_takes_the_place_of_its_leaf(spelling, between):
    """A leaf in a spelling that openssl skips is an error, and not the certificate of the issuer after it."""
    with pytest.raises(ValueError, match=r"^client\.pem "):
        der_of(spelling + between + ISSUER.pem, "client.pem")


KINDS = {
    "PKCS#12": (store(None), "is a PKCS#12 store: extract the certificate with openssl pkcs12"),
    "PKCS#12 with a password": (store(b"sesame"), "is a PKCS#12 store: extract"),
    "PKCS#7": (bundle(Encoding.PEM), "a PKCS#7 bundle: extract the certificates with openssl pkcs7"),
    "PKCS#7 in DER": (bundle(Encoding.DER), "is a PKCS#7 bundle: extract"),
    "PKCS#7 labelled CERTIFICATE": (
        relabelled(bundle(Encoding.PEM), b"CERTIFICATE"),
        "is a PKCS#7 bundle: extract",
    ),
    "request": (request().public_bytes(Encoding.PEM), "is a certificate request: name"),
    "request in DER": (request().public_bytes(Encoding.DER), "is a certificate request: name"),
    "revocation list": (
        revocation_list().public_bytes(Encoding.PEM),
        "is a certificate revocation list: name",
    ),
    "revocation list in DER": (
        revocation_list().public_bytes(Encoding.DER),
        "is a certificate revocation list",
    ),
    "private key": (key("PKCS8", "PEM"), "is a private key: name the certificate"),
    "private key in DER": (key("PKCS8"), "is a private key: name the certificate"),
    "private key in SEC 1": (key("SEC1"), "is a private key: name the certificate"),
    "encrypted private key": (key("encrypted"), "is a private key: name the certificate"),
    "public key": (public_key("PEM"), "is a public key: name the certificate"),
    "public key in DER": (public_key(), "is a public key: name the certificate"),
    "Java key store": (b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01", "is a Java key store: extract"),
    "bare base64": (b"".join(LEAF.pem.splitlines()[1:-1]), "is base64 without boundaries: write"),
    "UTF-16": (LEAF.pem.decode().encode("utf-16"), "is text in UTF-16"),
    "DER and PEM": (LEAF.der + ISSUER.pem, "is text in UTF-16, or binary and PEM in one"),
    "DER, cut short": (LEAF.der[:-1], "is a damaged certificate"),
    "DER, twice": (LEAF.der + LEAF.der, "is a damaged certificate, or one with more bytes after it"),
    "DER and a newline": (LEAF.der + b"\n", "is a damaged certificate, or one with more bytes after it"),
    "PEM with a byte more": (
        trusted(LEAF).replace(b"TRUSTED ", b""),
        "is a damaged certificate, or one with more bytes after it",
    ),
    "empty": (b"", "is empty: name a certificate"),
    "text": (b"hello\n", "is neither a PEM nor a DER certificate: name"),
    "the beginning of DER": (b"\x30\x82", "is neither a PEM nor a DER certificate: name"),
    "huge": (bytes(LONGEST_FILE + 1), "is larger than 1 MiB: name"),
    "huge PEM": (b"x\n" * LONGEST_FILE + LEAF.pem, "is larger than 1 MiB: name"),
    "an attribute certificate beside": (
        LEAF.pem + relabelled(LEAF.pem, b"ATTRIBUTE CERTIFICATE"),
        "holds a PEM block ATTRIBUTE CERTIFICATE: name",
    ),
    "the issuer first": (ISSUER.pem + LEAF.pem, "begins with the certificate of an issuer: put"),
    "two leaves": (LEAF.pem + STRANGER.pem, "holds certificates that are not one chain: name"),
    "two leaves of one issuer": (
        LEAF.pem + certified("CN=another", ISSUER).pem + ISSUER.pem,
        "holds certificates that are not one chain: name",
    ),
    "a renewal after the old one": (
        LEAF.pem + certified("CN=client", ISSUER).pem,
        "holds certificates that are not one chain: name",
    ),
}


@pytest.mark.parametrize(("content", "says"), KINDS.values(), ids=KINDS)
def test_what_is_no_certificate_says_what_it_is(content, says):
    """A file that is not one leaf with its chain is an error of one line: what it is, and what to do."""
    with pytest.raises(ValueError, match=f"^client.p12 .*{says}") as refusal:
        der_of(content, "client.p12")
    assert ": " in str(refusal.value)
    assert str(refusal.value).isprintable()


def test_a_chain_comes_leaf_first():
    """The chain of a file is returned in its order, in DER, whatever stands between."""
    content = key("PKCS8", "PEM") + trusted(LEAF) + b"text\n" + relabelled(ISSUER.pem, b"X509 CERTIFICATE")
    assert certificates_of(content) == [LEAF.der, ISSUER.der]


def test_a_chain_with_names_that_openssl_alone_reads(tmp_path):
    """Names in Latin-1, which older CAs write, tell leaf and issuer apart as others do."""
    leaf, issuer = with_latin_1(tmp_path)
    assert der_of(leaf + issuer) == openssl_reads(leaf + issuer, tmp_path)
    with pytest.raises(ValueError, match="begins with the certificate of an issuer"):
        der_of(issuer + leaf)
    with pytest.raises(ValueError, match="not one chain"):
        der_of(leaf + ISSUER.pem)


HONEST = st.sampled_from(
    [
        LEAF.pem,
        trusted(LEAF),
        relabelled(LEAF.pem, b"X509 CERTIFICATE"),
        ISSUER.pem,
        key("PKCS8", "PEM"),
        request().public_bytes(Encoding.PEM),
        b"text\n",
        b"\xef\xbb\xbf",
    ]
)
SPOILED = st.sampled_from([*SKIPPED.values(), STRANGER.pem, b" ", b"-----BEGIN CERTIFICATE-----\n", b"-----"])
LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b" \n", b"\t\r\n", b"\x0b\n", b"\x0c\n", b"\xa0\n", b"\x7f\n"])
BYTES = st.sampled_from([b"", b" ", b"\n", b"=", b"-", b"\0", b"A", b":", b"\xc2\xa0", b"==\n", b"\t", b"\r"])


@st.composite
def files(draw) -> bytes:
    """Return some pieces in a row, with other line ends, and a few bytes deleted, changed or put in."""
    pieces = draw(st.lists(HONEST, min_size=1, max_size=3))
    content = b"".join(pieces).replace(b"\n", draw(LINE_ENDS)) + draw(st.just(b"") | HONEST | SPOILED)
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from([0, 1, 26, 27, 28, 29, 91, 92]) | st.integers(0, len(content)))
        content = content[:place] + draw(BYTES) + content[place + draw(st.integers(0, 2)) :]
    return content


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=files())
def test_never_another_certificate_than_openssl(tmp_path: Path, content: bytes):
    """Any file is an error or the certificate that openssl reads of it."""
    try:
        read = der_of(content)
    except ValueError as refusal:
        assert str(refusal).isprintable()
    else:
        assert read == openssl_reads(content, tmp_path)
