import base64
import hashlib

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, checked_der, parse_thumbprint, thumbprint_of
from tests.support.tokens import CERTIFICATE

SHORT = b"\x30\x03\x02\x01\x07"
LONG = b"\x30\x82\x01\x00" + bytes(256)


def test_thumbprint_is_the_base64url_sha256_of_the_der_bytes():
    """A thumbprint is the unpadded base64url SHA-256 over the certificate's DER bytes."""
    expected = base64.urlsafe_b64encode(hashlib.sha256(LONG).digest()).rstrip(b"=").decode()
    assert thumbprint_of(DerCertificate(LONG)) == expected


def test_every_thumbprint_parses():
    """A thumbprint of any digest that thumbprint_of writes is read by parse_thumbprint."""
    for number in range(500):
        thumbprint = thumbprint_of(DerCertificate(number.to_bytes(2, "big")))
        assert parse_thumbprint(thumbprint) == thumbprint


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(hashlib.sha256(b"").hexdigest(), id="hex"),
        pytest.param(":".join(["AB"] * 32), id="hex with colons"),
        pytest.param(CERTIFICATE + "=", id="padded"),
        pytest.param("+" + CERTIFICATE[1:], id="standard base64 plus"),
        pytest.param("/" + CERTIFICATE[1:], id="standard base64 slash"),
        pytest.param(CERTIFICATE[:-1], id="42 characters"),
        pytest.param(CERTIFICATE + "A", id="44 characters"),
        pytest.param(CERTIFICATE[:-1] + "B", id="spare bits set"),
        pytest.param(CERTIFICATE + "\n", id="trailing newline"),
        pytest.param(" " + CERTIFICATE[1:], id="white space"),
        pytest.param("é" + CERTIFICATE[1:], id="not ASCII"),
        pytest.param("", id="empty"),
    ],
)
def test_only_43_canonical_characters_are_a_thumbprint(text):
    """Anything but 43 characters of canonical unpadded base64url is refused."""
    with pytest.raises(ValueError, match="43 characters, not hex"):
        parse_thumbprint(text)


@pytest.mark.parametrize("der", [SHORT, b"\x30\x81\x80" + bytes(128), LONG], ids=["short", "81", "82"])
def test_one_sequence_is_taken(der):
    """The outer check takes one DER SEQUENCE, whatever is in it."""
    assert checked_der(der, "no") == der


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(b"\x31" + SHORT[1:], id="not a sequence"),
        pytest.param(SHORT + b"\0", id="trailing byte"),
        pytest.param(SHORT + SHORT, id="two"),
        pytest.param(SHORT[:-1], id="truncated"),
        pytest.param(b"\x30\x80\0\0", id="indefinite length"),
        pytest.param(b"\x30\x84\0\0\0\0", id="length of 4 octets"),
        pytest.param(b"\x30\x81\x03\x02\x01\x07", id="BER: 3 in one octet too many"),
        pytest.param(b"\x30\x82\x00\x80" + bytes(128), id="BER: 128 with a zero"),
        pytest.param(b"\x30\x83\x00\x01\x00" + bytes(256), id="BER: 256 with a zero"),
    ],
)
def test_what_is_not_one_sequence_is_refused(data):
    """The outer check refuses whatever is not exactly one DER SEQUENCE."""
    with pytest.raises(ValueError, match=r"^no$"):
        checked_der(data, "no")
