"""The keys of DPoP proofs: their thumbprints (RFC 7638), and the algorithms that they sign with."""

import hashlib
from collections.abc import Mapping
from typing import NewType

import msgspec

from macaroon_cbat.text.base64url import encode, spells_32_bytes

KeyThumbprint = NewType("KeyThumbprint", str)
"""jkt: 43 characters of unpadded base64url, the SHA-256 over a public JWK's required members (RFC 7638)."""

SIGNING_ALGORITHMS = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "PS256", "RS256")
"""The algorithms of DPoP proofs, by their JWS names. `EdDSA` means Ed25519 here, which RFC 9864 names so."""

LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 4096
"""Bits of an RSA modulus: fewer are weak (NIST SP 800-131A), and more would cost the verifier too much."""

THUMBPRINT_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
"""The members that a thumbprint covers, in alphabetical order (RFC 7638 3.2, RFC 8037 2)."""


def key_thumbprint(jwk: Mapping[str, str]) -> KeyThumbprint:
    """Return the thumbprint of a JWK of a kind that is known here; its key is not checked.

    Raises KeyError for another kind, or if a member is missing.
    """
    covered = {name: jwk[name] for name in THUMBPRINT_MEMBERS[jwk["kty"]]}
    return KeyThumbprint(encode(hashlib.sha256(msgspec.json.encode(covered)).digest()))


def parse_key_thumbprint(text: str) -> KeyThumbprint:
    """Return the text as a KeyThumbprint. Raises ValueError that says what is wrong with it."""
    if spells_32_bytes(text):
        return KeyThumbprint(text)
    raise ValueError(
        "a key thumbprint is the unpadded base64url SHA-256 of the JWK (RFC 7638): 43 characters, not hex"
    )
