"""Paths from a client's certificate up to a trusted CA, over intermediates that the client may have sent.

A signature is checked only with the key of a CA that a trusted one vouches for, so a client's own keys cost
nothing. Extensions and algorithms are not judged here: `client_certificates` judges them path by path. A path
holds each key once: trying every order of a client's certificates would take minutes.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.service.oauth2.key_strength import weakness_in

MOST_SENT = 8
"""Certificates beside its own that are read of a client; further ones are ignored."""
_MOST_PATHS, _LONGEST_PATH = 8, 8

Certificates = Sequence[x509.Certificate]


def read_sent(certificates: Iterable[DerCertificate]) -> list[x509.Certificate]:
    """Return the CAs with strong keys among the first MOST_SENT certificates that a client sent.

    Unreadable ones are left out: clients send all that lies beside their certificate.
    """
    found = []
    for der in islice(certificates, MOST_SENT):
        try:
            one = x509.load_der_x509_certificate(der)
            if is_authority(one):
                found.append(one)
        except (ValueError, x509.InvalidVersion):
            continue
    return found


def is_authority(certificate: x509.Certificate) -> bool:
    """Return True if a certificate is that of a CA and its key is strong."""
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False
    return basic.ca and weakness_in(certificate) is None


def vouched_for(candidates: Certificates, trusted: Certificates) -> list[x509.Certificate]:
    """Return the candidates that a trusted CA issued, directly or through other candidates."""
    waiting, issuers = list(candidates), list(trusted)
    for issuer in issuers:
        for one in [each for each in waiting if is_issued_by(each, issuer)]:
            waiting.remove(one)
            issuers.append(one)
    return issuers[len(trusted) :]


def paths(
    leaf: x509.Certificate, trusted: Certificates, intermediates: Certificates
) -> Iterator[list[x509.Certificate]]:
    """Yield the intermediates of each path from a certificate to a trusted one, up to a bound.

    Each intermediate is one that `vouched_for` returned.
    """
    issued = cache(is_issued_by)

    def climb(path: list[x509.Certificate]) -> Iterator[list[x509.Certificate]]:
        last = path[-1]
        if last in trusted or any(issued(last, one) for one in trusted):
            yield path[1:]
        if len(path) < _LONGEST_PATH:
            keys = {_key(one) for one in path}
            for one in intermediates:
                if _key(one) not in keys and issued(last, one):
                    yield from climb([*path, one])

    return islice(climb([leaf]), _MOST_PATHS)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return True if the issuer's name and key fit; its right to issue is not checked."""
    try:
        if certificate.issuer != issuer.subject:
            return False
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _key(certificate: x509.Certificate) -> bytes:
    try:
        return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return b""  # only the leaf can be of an unknown kind, and its weakness is reported later
