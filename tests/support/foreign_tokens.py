"""JWTs of foreign issuers, signed by hand: what an issuer signs, and what an attacker writes."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

PrivateKey = (
    rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
)
_HASHES = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}


def spelled(data: bytes) -> str:
    """Return unpadded base64url."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def segment(members: Mapping[str, Any] | str | bytes) -> str:
    """Return one part of a token: members as compact JSON, or text as it is."""
    text = members if isinstance(members, str | bytes) else json.dumps(members, separators=(",", ":"))
    return spelled(text if isinstance(text, bytes) else text.encode())


def signed_jwt(
    header: Mapping[str, Any] | str,
    claims: Mapping[str, Any] | str,
    key: Any,
    algorithm: str | None = None,
) -> str:
    """Return a token signed by the algorithm in its header, or by another one."""
    signing = f"{segment(header)}.{segment(claims)}"
    if algorithm is None:
        algorithm = str(json.loads(header)["alg"] if isinstance(header, str) else header["alg"])
    return f"{signing}.{spelled(signature(signing.encode(), key, algorithm))}"


def signature(data: bytes, key: Any, algorithm: str) -> bytes:
    """Return the signature of RFC 7518 3; the key of HS256 is bytes."""
    kind, bits = algorithm[:2], algorithm[2:]
    match kind:
        case "HS":
            return hmac.new(key, data, getattr(hashlib, f"sha{bits}")).digest()
        case "RS":
            return key.sign(data, padding.PKCS1v15(), _HASHES[bits])
        case "PS":
            digest = _HASHES[bits]
            return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
        case "ES":
            r, s = decode_dss_signature(key.sign(data, ec.ECDSA(_HASHES[bits], deterministic_signing=True)))
            size = (key.curve.key_size + 7) // 8
            return r.to_bytes(size) + s.to_bytes(size)
        case "no":
            return b""
    return key.sign(data)  # Ed25519, Ed448, EdDSA


@cache
def ec_key(scalar: int = 7, curve: str = "P-256") -> ec.EllipticCurvePrivateKey:
    """Return the key with this secret number, the same each time."""
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.derive_private_key(scalar, curves[curve])


@cache
def ed25519_key(number: int = 7) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def public_jwk(key: PrivateKey, kid: str | None = None, **members: Any) -> dict[str, Any]:
    """Return the public half of a key as a JWK (RFC 7517)."""
    named = {} if kid is None else {"kid": kid}
    return {**_material(key.public_key()), **named, **members}


def _material(key: Any) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    if isinstance(key, ec.EllipticCurvePublicKey):
        size, at = (key.curve.key_size + 7) // 8, key.public_numbers()
        curve = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}[key.curve.name]
        return {"kty": "EC", "crv": curve, "x": number(at.x, size), "y": number(at.y, size)}
    curve = "Ed448" if isinstance(key, ed448.Ed448PublicKey) else "Ed25519"
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"kty": "OKP", "crv": curve, "x": spelled(raw)}


def number(value: int, size: int | None = None) -> str:
    """Return a number as base64url (RFC 7518 2)."""
    return spelled(value.to_bytes(size or (value.bit_length() + 7) // 8))


def pem_of(key: PrivateKey) -> bytes:
    """Return the public half as PEM: the text that an attacker takes for an HMAC secret."""
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def key_set(*keys: dict[str, Any]) -> dict[str, Any]:
    return {"keys": list(keys)}
