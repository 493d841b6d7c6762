"""The public keys of DPoP proofs: untrusted JWKs (RFC 7517, 7518 6, 8037), and their signatures.

A key has one spelling, so that it has one thumbprint: coordinates of full length, an RSA modulus without
leading zeros, canonical base64url throughout.
"""

from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from msgspec import Struct

from macaroon_cbat.macaroon.proof_keys import (
    LEAST_RSA_BITS,
    MOST_RSA_BITS,
    THUMBPRINT_MEMBERS,
    KeyThumbprint,
    key_thumbprint,
)
from macaroon_cbat.text.base64url import NotBase64url, decode

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey

_CURVES: dict[str, tuple[str, int, ec.EllipticCurve, HashAlgorithm]] = {
    "ES256": ("P-256", 32, ec.SECP256R1(), SHA256()),
    "ES384": ("P-384", 48, ec.SECP384R1(), SHA384()),
    "ES512": ("P-521", 66, ec.SECP521R1(), SHA512()),
}
_KINDS = {"ES256": "EC", "ES384": "EC", "ES512": "EC", "EdDSA": "OKP", "Ed25519": "OKP"}
"""The `kty` of each algorithm; RSA of the others."""

_PRIVATE = frozenset(("d", "p", "q", "dp", "dq", "qi", "oth", "k"))
_MOST_EXPONENT_BYTES = 4
"""Bytes of an RSA exponent: a verifier computes with as many bits as it has."""
_PSS = padding.PSS(padding.MGF1(SHA256()), SHA256.digest_size)  # RFC 7518 3.5: salt as long as the hash


class JwkError(ValueError):
    """The value is no usable public JWK; the message follows the words "its jwk"."""


class PublicJwk(Struct, frozen=True):
    """A public key of a kind that is known here, as a client wrote it; possession is not proved."""

    kty: str
    members: tuple[tuple[str, str], ...]
    """The members of the key itself, which its thumbprint covers."""

    @property
    def thumbprint(self) -> KeyThumbprint:
        """The thumbprint of the key (RFC 7638)."""
        return key_thumbprint(dict(self.members))

    def has_signed(self, algorithm: str, message: bytes, signature: bytes) -> bool:
        """Return True if the signature over the message is by this key; an unusable key signed nothing."""
        try:
            key = _public_key(algorithm, self.members)
            if isinstance(key, ec.EllipticCurvePublicKey):
                _verify_ecdsa(key, algorithm, message, signature)
            elif isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
            else:
                key.verify(signature, message, _PSS if algorithm == "PS256" else padding.PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True


def read_public_jwk(jwk: object, algorithm: str) -> PublicJwk:
    """Return the public key that a JWK says, for this algorithm, or raise JwkError."""
    if not isinstance(jwk, dict):
        raise JwkError("is missing: put the public key into the header")
    if _PRIVATE & jwk.keys():
        raise JwkError("holds a private or a symmetric key: make a new key, and send its public part alone")
    kind = _KINDS.get(algorithm, "RSA")
    if jwk.get("kty") != kind:
        raise JwkError(f"is no {kind} key, which {algorithm} signs with")
    if algorithm in _CURVES:
        curve, size, *_ = _CURVES[algorithm]
        _check_curve(jwk, curve, {"x": size, "y": size})
    elif kind == "OKP":
        _check_curve(jwk, "Ed25519", {"x": 32})
    else:
        _check_rsa(jwk)
    return PublicJwk(kind, tuple((name, jwk[name]) for name in THUMBPRINT_MEMBERS[kind]))


def _check_curve(jwk: dict[str, Any], curve: str, sizes: dict[str, int]) -> None:
    if jwk.get("crv") != curve:
        raise JwkError(f"is not of the curve {curve}, which its alg signs with")
    for name, octets in sizes.items():
        if len(_octets(jwk, name)) != octets:
            raise JwkError(f"has {name} of another length than {octets} bytes")


def _check_rsa(jwk: dict[str, Any]) -> None:
    modulus, exponent = _octets(jwk, "n"), _octets(jwk, "e")
    if not modulus or not exponent or 0 in (modulus[0], exponent[0]):
        raise JwkError("has n or e with leading zeros, or none: write each in its shortest form")
    if len(exponent) > _MOST_EXPONENT_BYTES:
        raise JwkError("has a long e: use 65537 (AQAB)")
    bits = int.from_bytes(modulus, "big").bit_length()
    if not LEAST_RSA_BITS <= bits <= MOST_RSA_BITS:
        raise JwkError(f"has {bits} bits: use an RSA key of {LEAST_RSA_BITS} to {MOST_RSA_BITS}")


def _octets(jwk: dict[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str):
        raise JwkError(f"has no {name}: write the whole public key")
    try:
        return decode(value)
    except NotBase64url as error:
        raise JwkError(f"has {name} that is {error}") from None


@lru_cache(maxsize=1024)
def _public_key(algorithm: str, members: tuple[tuple[str, str], ...]) -> PublicKey:
    """Return the key, or raise ValueError for a point off the curve and an unusable RSA key."""
    octets = {name: decode(value) for name, value in members if name in ("x", "y", "n", "e")}
    numbers = {name: int.from_bytes(value, "big") for name, value in octets.items()}
    if algorithm in _CURVES:
        return ec.EllipticCurvePublicNumbers(numbers["x"], numbers["y"], _CURVES[algorithm][2]).public_key()
    if "n" in numbers:
        return rsa.RSAPublicNumbers(numbers["e"], numbers["n"]).public_key()
    return ed25519.Ed25519PublicKey.from_public_bytes(octets["x"])


def _verify_ecdsa(key: ec.EllipticCurvePublicKey, algorithm: str, message: bytes, signature: bytes) -> None:
    """Raise InvalidSignature or ValueError unless the signature is R and S, both whole (RFC 7518 3.4)."""
    _, size, _, digest = _CURVES[algorithm]
    if len(signature) != 2 * size:
        raise InvalidSignature
    halves = (int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big"))
    key.verify(encode_dss_signature(*halves), message, ec.ECDSA(digest))
