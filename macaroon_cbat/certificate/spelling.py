"""The spellings of a certificate or its hash in a header: one each, and no X.509 is parsed.

A value that the product would not write raises AmbiguousHeader: another alphabet, padding or
line length, white space, escapes that were not needed, a second value, bytes after the certificate.
"""

import binascii
import re

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import (
    DerCertificate,
    Thumbprint,
    checked_der,
    parse_thumbprint,
    thumbprint_of,
    thumbprint_of_digest,
)
from macaroon_cbat.errors import AmbiguousHeader

LONGEST_TEXT = 65_536
"""Characters of the longest value that is looked at."""

THUMBPRINT_OF_NOTHING = thumbprint_of(DerCertificate(b""))
"""The hash of a proxy that hashes the certificate even if there is none."""

_HEX = re.compile(r"[0-9a-f]{64}\Z")
_PEM_LINE = 64


class PemSpelling(Struct, frozen=True):
    """A product's way to write PEM into one value: newlines, the last one, spaces, and other escapes."""

    newline: str
    last_newline: str
    space: str
    escapes: tuple[tuple[str, str], ...] = ()

    @property
    def begin(self) -> str:
        """The text before the base64."""
        return f"-----BEGIN{self.space}CERTIFICATE-----{self.newline}"

    @property
    def end(self) -> str:
        """The text after the base64."""
        return f"{self.newline}-----END{self.space}CERTIFICATE-----{self.last_newline}"


ESCAPED = PemSpelling("%0A", "%0A", "%20", (("+", "%2B"), ("/", "%2F"), ("=", "%3D")))
"""URL-encoded as a component: nginx, Envoy."""
HALF_ESCAPED = PemSpelling("%0A", "%0A", "%20")
"""URL-encoded but for `+`, `=` and `/`: AWS."""
IN_ONE_LINE = PemSpelling(" ", "", " ")
"""With spaces in place of newlines, the last of which HTTP removes: Apache's header."""
AS_FILED = PemSpelling("\n", "\n", " ")
"""As in a file: Apache's variables."""


def certificate_of_base64(text: str) -> DerCertificate:
    """Return the certificate whose canonical base64 this is."""
    try:
        return checked_der(_bytes_of(text), "this base64 holds no DER certificate, or more than one")
    except ValueError as error:
        raise AmbiguousHeader(str(error)) from error


def certificate_of_byte_sequence(text: str) -> DerCertificate:
    """Return the certificate of a Byte Sequence: canonical base64 between two colons (RFC 9440 2.1)."""
    if len(text) < 2 or not text[0] == text[-1] == ":":
        raise AmbiguousHeader("this is not base64 between two colons (RFC 9440 2.1)")
    return certificate_of_base64(text[1:-1])


def certificate_of_pem(text: str, spelling: PemSpelling) -> DerCertificate:
    """Return the certificate whose PEM this is."""
    begin, end = spelling.begin, spelling.end
    if not (text.startswith(begin) and text.endswith(end)) or len(text) > LONGEST_TEXT:
        raise AmbiguousHeader("this is not one PEM certificate in the spelling of the proxy")
    body = text[len(begin) : -len(end)]
    base64 = body.replace(spelling.newline, "")
    for plain, escaped in spelling.escapes:
        base64 = base64.replace(escaped, plain)
    certificate = certificate_of_base64(base64)
    if body != _pem_body(base64, spelling):
        raise AmbiguousHeader("this PEM certificate is not in the spelling of the proxy")
    return certificate


def certificates_of_pem(text: str, spelling: PemSpelling) -> list[DerCertificate]:
    """Return the certificates of a PEM chain in the order that they stand in."""
    if len(text) > LONGEST_TEXT:
        raise AmbiguousHeader("this certificate chain is too long")
    *blocks, rest = text.split(spelling.end)
    if rest or not blocks:
        raise AmbiguousHeader("this is not a chain of PEM certificates in the spelling of the proxy")
    return [certificate_of_pem(block + spelling.end, spelling) for block in blocks]


def thumbprint_of_hex(text: str) -> Thumbprint:
    """Return the thumbprint that 64 lower-case hexadecimal digits make."""
    if not _HEX.match(text):
        raise AmbiguousHeader("this is not a SHA-256 hash in 64 lower-case hexadecimal digits")
    return something(thumbprint_of_digest(bytes.fromhex(text)))


def thumbprint_of_base64(text: str) -> Thumbprint:
    """Return the thumbprint that a SHA-256 hash in standard base64 makes, padded or not."""
    try:
        digest = _bytes_of(text if len(text) == 44 else text + "=")
    except ValueError as error:
        raise AmbiguousHeader(str(error)) from error
    if len(digest) != 32:
        raise AmbiguousHeader("this is not a SHA-256 hash in base64")
    return something(thumbprint_of_digest(digest))


def thumbprint_of_x5t(text: str) -> Thumbprint:
    """Return the thumbprint that is written as x5t#S256 already."""
    try:
        return something(parse_thumbprint(text))
    except ValueError as error:
        raise AmbiguousHeader(str(error)) from error


def unescaped(text: str) -> str:
    """Return base64 whose `+`, `/` and `=` are URL-encoded, all of them and nothing else."""
    plain = text
    for character, escaped in ESCAPED.escapes:
        if character in text:
            raise AmbiguousHeader(f"this base64 has a {character} that is not URL-encoded")
        plain = plain.replace(escaped, character)
    return plain


def something(thumbprint: Thumbprint) -> Thumbprint:
    """Return the thumbprint. Raises AmbiguousHeader for that of no bytes."""
    if thumbprint == THUMBPRINT_OF_NOTHING:
        raise AmbiguousHeader("this is the SHA-256 hash of no bytes, not of a certificate")
    return thumbprint


def _bytes_of(text: str) -> bytes:
    """Return the bytes that canonical standard base64 encodes. Raises ValueError."""
    if len(text) > LONGEST_TEXT:
        raise ValueError("a certificate header is longer than any certificate")
    data = binascii.a2b_base64(text, strict_mode=True)
    if binascii.b2a_base64(data, newline=False).decode() != text:
        raise ValueError("this base64 is not in its canonical spelling")
    return data


def _pem_body(base64: str, spelling: PemSpelling) -> str:
    """Return the lines between the armour as the product writes them."""
    body = "\n".join(base64[start : start + _PEM_LINE] for start in range(0, len(base64), _PEM_LINE))
    for plain, escaped in (*spelling.escapes, ("\n", spelling.newline)):
        body = body.replace(plain, escaped)
    return body
