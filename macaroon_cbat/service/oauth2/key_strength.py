"""The strength of the keys in certificates."""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

from macaroon_cbat.certificate.thumbprint import DerCertificate

LEAST_RSA_BITS, LEAST_CURVE_BITS = 2048, 224


def weakness_of(certificate: DerCertificate) -> str | None:
    """Return the weakness of the key of a registered certificate, or None."""
    try:
        return weakness_in(x509.load_der_x509_certificate(certificate))
    except (ValueError, x509.InvalidVersion):
        return "a form that cannot be read"


def weakness_in(certificate: x509.Certificate) -> str | None:
    """Return the weakness of the key, or None: it needs 112 bits of security (NIST SP 800-57)."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "a key of an unknown kind or curve"
    match key:
        case rsa.RSAPublicKey():
            is_weak = key.key_size < LEAST_RSA_BITS or key.public_numbers().e < 3
            return f"an RSA key of {key.key_size} bits, less than {LEAST_RSA_BITS}" if is_weak else None
        case ec.EllipticCurvePublicKey():
            is_weak = key.curve.key_size < LEAST_CURVE_BITS
            return f"a key on the curve {key.curve.name}, which is too small" if is_weak else None
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return None
    return f"a key of a kind that is not accepted: {type(key).__name__}"
