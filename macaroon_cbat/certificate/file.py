"""The client certificate in a file: PEM, with text, a key and a chain beside it, or DER.

The first certificate of a file counts: it is what TLS presents, and what `openssl x509` shows. A file that
OpenSSL reads only by skipping a block is refused, for what is left then is the certificate of an issuer. It
serves clients, the command line and the service; a resource server parses no certificate that it is shown.
"""

from typing import TYPE_CHECKING

from macaroon_cbat.certificate import der_kinds
from macaroon_cbat.certificate.pem_blocks import PemBlock, decoded, pem_blocks
from macaroon_cbat.certificate.thumbprint import DerCertificate, checked_der, sequence_and_rest

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

LONGEST_FILE = 1024 * 1024
"""Bytes of the largest file that is read."""

MOST_CERTIFICATES = 16
"""Certificates of the longest chain that is read: the rest of such a file is no chain of a client."""

_TRUSTED = "TRUSTED CERTIFICATE"
_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE", _TRUSTED)
_BESIDE = {
    "PRIVATE KEY": der_kinds.PRIVATE_KEY,
    "ENCRYPTED PRIVATE KEY": der_kinds.PRIVATE_KEY,
    "RSA PRIVATE KEY": der_kinds.PRIVATE_KEY,
    "EC PRIVATE KEY": der_kinds.PRIVATE_KEY,
    "DSA PRIVATE KEY": der_kinds.PRIVATE_KEY,
    "OPENSSH PRIVATE KEY": der_kinds.PRIVATE_KEY,
    "EC PARAMETERS": der_kinds.PRIVATE_KEY,
    "DH PARAMETERS": der_kinds.PRIVATE_KEY,
    "PUBLIC KEY": der_kinds.PUBLIC_KEY,
    "RSA PUBLIC KEY": der_kinds.PUBLIC_KEY,
    "CERTIFICATE REQUEST": der_kinds.REQUEST,
    "NEW CERTIFICATE REQUEST": der_kinds.REQUEST,
    "X509 CRL": der_kinds.REVOCATION_LIST,
}
"""Labels of blocks that may stand beside a certificate, with the name of a file that has those alone."""

_BUNDLES = ("PKCS7", "CMS", "PKCS #7 SIGNED DATA")


def der_of(content: bytes, name: str = "this") -> DerCertificate:
    """Return the leaf in the content of a PEM or DER file. Raises ValueError about `name`."""
    return certificates_of(content, name)[0]


def certificates_of(content: bytes, name: str = "this") -> list[DerCertificate]:
    """Return the leaf and its chain in the content of a PEM or DER file, the leaf first.

    Raises ValueError for anything else, a chain in another order and two leaves included; it says what
    the file with this name is, and what to do. Neither validity nor any signature is checked.
    """
    if len(content) > LONGEST_FILE:
        raise ValueError(f"{name} is larger than 1 MiB: name a file with the client's certificate alone")
    if b"-----BEGIN" not in content:
        return [_certificate(content, name)[0]]
    if b"\0" in content:
        raise ValueError(f"{name} is {der_kinds.UTF16}")
    try:
        found = [_of_block(block, name) for block in _certificate_blocks(content, name)]
    except _PemError as error:
        raise ValueError(f"{name} is not well-formed PEM, {error}: export the certificate anew") from error
    _refuse_disorder([parsed for _, parsed in found], name)
    return [certificate for certificate, _ in found]


class _PemError(Exception):
    pass


def _certificate_blocks(content: bytes, name: str) -> list[PemBlock]:
    """Return the blocks that are labelled as certificates, of which there is at least one."""
    try:
        blocks = pem_blocks(content)
    except ValueError as error:
        raise _PemError(error) from error
    for block in blocks:
        if block.label in _BUNDLES:
            raise ValueError(f"{name} holds {der_kinds.PKCS7}")
        if block.label not in (*_CERTIFICATES, *_BESIDE):
            raise ValueError(f"{name} holds a PEM block {block.label[:40]}: name a file without it")
    certificates = [block for block in blocks if block.label in _CERTIFICATES]
    if not certificates:
        raise ValueError(f"{name} is {_BESIDE[blocks[-1].label] if blocks else der_kinds.UNKNOWN}")
    return certificates


def _of_block(block: PemBlock, name: str) -> "tuple[DerCertificate, Certificate]":
    try:
        data = decoded(block)
    except ValueError as error:
        raise _PemError(error) from error
    if block.label == _TRUSTED:  # what OpenSSL trusts it for follows the certificate
        certificate, rest = sequence_and_rest(data)
        if not rest or sequence_and_rest(rest)[1:] == (b"",):
            data = certificate
    return _certificate(data, name)


def _certificate(data: bytes, name: str) -> "tuple[DerCertificate, Certificate]":
    """Return the DER certificate that these bytes are. Raises ValueError that says what they are instead.

    The parser takes strict DER only, so OpenSSL, which writes a certificate anew, presents the same bytes.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    otherwise = f"{name} is {der_kinds.kind_of(data)}"
    certificate = checked_der(data, otherwise)
    try:
        parsed = x509.load_der_x509_certificate(certificate)
        is_the_same = parsed.public_bytes(Encoding.DER) == certificate
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise ValueError(otherwise) from error
    if not is_the_same:
        raise ValueError(otherwise)
    return certificate, parsed


def _refuse_disorder(found: "list[Certificate]", name: str) -> None:
    """Raise ValueError unless the first certificate issued no other, and each other issued another."""
    leaf, *others = dict.fromkeys(found)
    if len(others) >= MOST_CERTIFICATES:
        raise ValueError(f"{name} holds {len(found)} certificates: name a file with the client's own first")
    if any(_may_have_issued(leaf, other) for other in others):
        raise ValueError(f"{name} begins with the certificate of an issuer: put the client's own first")
    if not all(any(_may_have_issued(other, one) for one in found if one != other) for other in others):
        raise ValueError(
            f"{name} holds certificates that are not one chain: name a file with the client's own, or with "
            "that and its issuers"
        )


def _may_have_issued(one: "Certificate", other: "Certificate") -> bool:
    """Return True if the names say so and the signature, where it can be verified, does not contradict."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    if _names(one)[1] != _names(other)[0]:
        return False
    try:
        other.verify_directly_issued_by(one)
    except InvalidSignature:
        return False
    except (TypeError, ValueError, UnsupportedAlgorithm):  # names or a key that cannot be read here
        return True
    return True


def _names(certificate: "Certificate") -> tuple[object, object]:
    """Return issuer and subject; as encoded, where they hold text that only OpenSSL reads (T61String)."""
    try:
        return certificate.issuer, certificate.subject
    except ValueError:
        [(_, body)] = der_kinds.elements(certificate.tbs_certificate_bytes)
        parts = list(der_kinds.elements(body))
        at = 3 if parts[0][0] == der_kinds.EXPLICIT else 2  # after version, serial number and algorithm
        return parts[at], parts[at + 2]
