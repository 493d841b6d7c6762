"""The kind of a file that is no certificate, told by its first tags, and the remedy. Nothing is verified."""

from collections.abc import Iterator

INTEGER, BIT_STRING, OCTET_STRING, OID, SEQUENCE, EXPLICIT = 0x02, 0x03, 0x04, 0x06, 0x30, 0xA0
_TIMES = (0x17, 0x18)
_PKCS7 = bytes.fromhex("2a864886f70d0107")
_JAVA = (b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce")

PKCS12 = "a PKCS#12 store: extract the certificate with openssl pkcs12 -clcerts -nokeys"
PKCS7 = "a PKCS#7 bundle: extract the certificates with openssl pkcs7 -print_certs, the client's own first"
JAVA = "a Java key store: extract the certificate with keytool -exportcert -rfc"
REQUEST = "a certificate request: name the certificate that the CA made of it"
REVOCATION_LIST = "a certificate revocation list: name the client's certificate"
PRIVATE_KEY = "a private key: name the certificate that belongs to it"
PUBLIC_KEY = "a public key: name the certificate that holds it"
CERTIFICATE = "a damaged certificate, or one with more bytes after it: export it anew"
BARE_BASE64 = (
    "base64 without boundaries: write it between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----"
)
UTF16 = "text in UTF-16, or binary and PEM in one: save it as ASCII, as openssl x509 writes it"
EMPTY = "empty: name a certificate, PEM or DER"
UNKNOWN = "neither a PEM nor a DER certificate: name the client's certificate, not another file"


def kind_of(content: bytes) -> str:
    """Return the likely kind of these bytes, which are no certificate, and the remedy."""
    if not content:
        return EMPTY
    if content.startswith(_JAVA):
        return JAVA
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or (b"\0" in content and b"BEGIN" in content):
        return UTF16
    if content.lstrip().startswith(b"MI"):
        return BARE_BASE64
    outer = next(elements(content), (0, b""))
    return _kind_of_sequence(outer[1]) if outer[0] == SEQUENCE else UNKNOWN


def _kind_of_sequence(body: bytes) -> str:
    members = list(elements(body))
    match [tag for tag, _ in members]:
        case [tag, *_] if tag == OID:
            return PKCS7 if members[0][1].startswith(_PKCS7) else UNKNOWN
        case [first, second, *rest] if first == INTEGER and second == SEQUENCE:
            return PRIVATE_KEY if OCTET_STRING in rest else PKCS12
        case [first, second, *rest] if first == INTEGER:
            return PUBLIC_KEY if second == INTEGER and not rest else PRIVATE_KEY
        case [first, second] if first == SEQUENCE:
            return {BIT_STRING: PUBLIC_KEY, OCTET_STRING: PRIVATE_KEY}.get(second, UNKNOWN)
        case [first, second, third, *_] if (first, second, third) == (SEQUENCE, SEQUENCE, BIT_STRING):
            return _kind_of_signed(members[0][1])
    return UNKNOWN


def _kind_of_signed(body: bytes) -> str:
    tags = [tag for tag, _ in elements(body)]
    if tags[:3] == [INTEGER, SEQUENCE, SEQUENCE] and tags[3:4] in ([], [EXPLICIT]):
        return REQUEST
    without_version = tags[1:] if tags[:1] == [INTEGER] else tags
    if without_version[:2] == [SEQUENCE, SEQUENCE] and without_version[2:3] and without_version[2] in _TIMES:
        return REVOCATION_LIST
    return CERTIFICATE


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of up to a dozen elements; an indefinite or broken length takes the rest."""
    position = 0
    for _ in range(12):
        if position + 2 > len(data):
            return
        tag, length, position = data[position], data[position + 1], position + 2
        if length == 0x80:
            length = len(data)
        elif length > 0x80:
            octets = length & 0x7F
            length, position = int.from_bytes(data[position : position + octets], "big"), position + octets
        yield tag, data[position : position + length]
        position += length
