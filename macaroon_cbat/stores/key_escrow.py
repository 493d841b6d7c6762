"""The wrapping key, encrypted for a recipient as CMS (RFC 5652): `openssl cms -decrypt` opens it."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.stores.wrapping_key import WrappingKey, wrapping_key_text

_SHORTEST_RSA = 2048


def sealed_wrapping_key(key: WrappingKey, certificate: bytes, name: str) -> bytes:
    """Return the text of the key, encrypted for the owner of a certificate in PEM, as PEM.

    Raises SettingsError for a certificate that cannot be read, and for one without a strong RSA key.
    """
    try:
        recipient = x509.load_pem_x509_certificate(certificate)
        public = recipient.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"{name} is no certificate in PEM: name the one of the recipient") from error
    if not isinstance(public, RSAPublicKey) or public.key_size < _SHORTEST_RSA:
        raise SettingsError(
            f"{name} has no RSA key of {_SHORTEST_RSA} bits or more: make one for the recipient"
        )
    builder = pkcs7.PKCS7EnvelopeBuilder().set_data(wrapping_key_text(key).encode())
    builder = builder.add_recipient(recipient).set_content_encryption_algorithm(algorithms.AES256)
    return builder.encrypt(Encoding.PEM, [pkcs7.PKCS7Options.Binary])
