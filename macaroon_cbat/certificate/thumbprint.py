"""The certificate thumbprint x5t#S256 (RFC 8705 3.1), a hash over bytes; no X.509 is parsed."""

import hashlib
from typing import NewType

from macaroon_cbat.text.base64url import encode, spells_32_bytes

DerCertificate = NewType("DerCertificate", bytes)
"""One X.509 certificate as its DER bytes. Nothing about it has been validated."""

Thumbprint = NewType("Thumbprint", str)
"""x5t#S256: 43 characters of unpadded base64url, the SHA-256 over a DerCertificate. Case-sensitive."""

_LONG_LENGTH = 0x80


def thumbprint_of(certificate: DerCertificate) -> Thumbprint:
    """Return the x5t#S256 thumbprint of a certificate."""
    return thumbprint_of_digest(hashlib.sha256(certificate).digest())


def thumbprint_of_digest(digest: bytes) -> Thumbprint:
    """Return the thumbprint that a SHA-256 digest of 32 bytes makes."""
    return Thumbprint(encode(digest))


def parse_thumbprint(text: str) -> Thumbprint:
    """Return the text as a Thumbprint. Raises ValueError that says what is wrong with it."""
    if spells_32_bytes(text):
        return Thumbprint(text)
    raise ValueError(
        "a thumbprint is the unpadded base64url SHA-256 of the DER certificate: 43 characters, not hex"
    )


def checked_der(data: bytes, otherwise: str) -> DerCertificate:
    """Return the bytes when they are one DER SEQUENCE and nothing else, or raise ValueError(otherwise)."""
    if not data or _end_of_sequence(data) != len(data):
        raise ValueError(otherwise)
    return DerCertificate(data)


def sequence_and_rest(data: bytes) -> tuple[bytes, bytes]:
    """Return the DER SEQUENCE that the bytes begin with and what follows; without one, nothing and all."""
    end = _end_of_sequence(data)
    return data[:end], data[end:]


def _end_of_sequence(data: bytes) -> int:
    """Return where the DER SEQUENCE ends that the bytes begin with, else 0: a length check, not a parse."""
    if len(data) < 4 or data[0] != 0x30:
        return 0
    length, start = data[1], 2
    if length & _LONG_LENGTH:
        octets = length & 0x7F
        if not 1 <= octets <= 3:
            return 0
        length, start = int.from_bytes(data[2 : 2 + octets], "big"), 2 + octets
        if length < max(_LONG_LENGTH, 1 << 8 * (octets - 1)):
            return 0  # DER writes a length in one way (X.690 10.1)
    return start + length
