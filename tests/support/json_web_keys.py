"""JSON Web Keys of clients, good and bad ones."""

from base64 import b64encode
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from macaroon_cbat.text.base64url import encode
from tests.support.certificates import Identity


def whole(number: int, size: int | None = None) -> str:
    """Return a number as a JSON Web Key spells it."""
    return encode(number.to_bytes(size or (number.bit_length() + 7) // 8))


def public_jwk(key: Any) -> dict[str, Any]:
    """Return the JSON Web Key of a public key (RFC 7518 6, RFC 8037 2)."""
    match key:
        case rsa.RSAPublicKey():
            numbers = key.public_numbers()
            return {"kty": "RSA", "n": whole(numbers.n), "e": whole(numbers.e)}
        case ec.EllipticCurvePublicKey():
            size, point = (key.curve.key_size + 7) // 8, key.public_numbers()
            curve = {256: "P-256", 384: "P-384", 521: "P-521"}.get(key.curve.key_size, key.curve.name)
            return {"kty": "EC", "crv": curve, "x": whole(point.x, size), "y": whole(point.y, size)}
        case ed25519.Ed25519PublicKey():
            raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
            return {"kty": "OKP", "crv": "Ed25519", "x": encode(raw)}
    raise TypeError(type(key).__name__)


def jwk_of(identity: Identity, **members: Any) -> dict[str, Any]:
    """Return the key of a certificate, with the certificate in `x5c`."""
    chain = [b64encode(identity.der).decode()]
    return public_jwk(identity.key.public_key()) | {"x5c": chain} | members
