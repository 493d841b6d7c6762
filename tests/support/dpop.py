"""A second writer of DPoP proofs, which shares no code with the package and writes any nonsense."""

import base64
import hashlib
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from tests.support.rsa_keys import rsa_key
from tests.support.tokens import API, NOW, to_text

URL = f"{API}/invoices"
_CURVES = {
    "ES256": ("P-256", ec.SECP256R1(), SHA256(), 32),
    "ES384": ("P-384", ec.SECP384R1(), SHA384(), 48),
    "ES512": ("P-521", ec.SECP521R1(), SHA512(), 66),
}
_MEMBERS = {"EC": "crv kty x y", "OKP": "crv kty x", "RSA": "e kty n"}


def key(algorithm: str = "ES256", name: str = "holder") -> Any:
    """Return the private key of this name for an algorithm, the same each time."""
    return _key(algorithm, name)


@cache
def _key(algorithm: str, _name: str) -> Any:
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm][1])
    if algorithm in ("EdDSA", "Ed25519"):
        return ed25519.Ed25519PrivateKey.generate()
    return rsa_key()


def number(value: int, size: int | None = None) -> str:
    return to_text(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def jwk(private: Any) -> dict[str, str]:
    """Return the public JWK of a private key."""
    public = private.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}
    if isinstance(public, ed25519.Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": to_text(public.public_bytes_raw())}
    point = public.public_numbers()
    size = (public.key_size + 7) // 8
    return {
        "kty": "EC",
        "crv": f"P-{public.key_size}",
        "x": number(point.x, size),
        "y": number(point.y, size),
    }


def jkt(private: Any) -> str:
    """Return the thumbprint of a key (RFC 7638)."""
    public = jwk(private)
    covered = {name: public[name] for name in _MEMBERS[public["kty"]].split()}
    return to_text(hashlib.sha256(json.dumps(covered, separators=(",", ":")).encode()).digest())


def sign(private: Any, message: bytes, algorithm: str) -> bytes:
    if algorithm in _CURVES:
        *_, digest, size = _CURVES[algorithm]
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(digest)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    if algorithm in ("EdDSA", "Ed25519"):
        return bytes(private.sign(message))
    scheme: Any = padding.PSS(padding.MGF1(SHA256()), 32) if algorithm == "PS256" else padding.PKCS1v15()
    return bytes(private.sign(message, scheme, SHA256()))


def ath(token: str) -> str:
    return to_text(hashlib.sha256(token.encode()).digest())


def part(members: dict[str, Any]) -> str:
    """Return an object as a part of a JWT, without the members that are None."""
    return to_text(json.dumps({name: value for name, value in members.items() if value is not None}).encode())


_count = iter(range(1 << 40))


def proof(
    token: str | None = None,
    *,
    private: Any = None,
    algorithm: str = "ES256",
    header: dict[str, Any] | None = None,
    **claims: Any,
) -> str:
    """Return a proof for GET of URL, now, with this token; members of header and claims changed as told."""
    private = private or key(algorithm)
    heading = {"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk(private), **(header or {})}
    members = {
        "jti": f"proof-{next(_count)}",
        "htm": "GET",
        "htu": URL,
        "iat": NOW,
        "ath": None if token is None else ath(token),
        **claims,
    }
    signed = f"{part(heading)}.{part(members)}"
    return f"{signed}.{to_text(sign(private, signed.encode(), algorithm))}"


def decoded(part: str) -> dict[str, Any]:
    """Return the members of a part of a JWT."""
    return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))
