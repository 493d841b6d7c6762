"""The public keys and certificates of a client, as it registers them in a JWK Set (RFC 7517)."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, parse_thumbprint, thumbprint_of
from macaroon_cbat.macaroon.audiences import audience_mistake
from macaroon_cbat.text.base64url import decode

MOST_KEYS, MOST_BYTES = 20, 1 << 14
"""Keys in a set, and bytes of a set as JSON, at most."""
_DEEPEST = 8
LEAST_RSA_BITS, MOST_RSA_BITS = 2048, 8192

_CURVES: dict[object, ec.EllipticCurve] = {
    "P-256": ec.SECP256R1(),
    "P-384": ec.SECP384R1(),
    "P-521": ec.SECP521R1(),
}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

_PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def refuse_keys(jwks: Mapping[str, Any]) -> None:
    """Raise ValueError for a JWK Set that is not one of strong public keys alone."""
    if not _is_shallow(jwks, _DEEPEST):
        raise ValueError("jwks is nested too deeply: write a list of flat keys")
    if len(msgspec.json.encode(jwks)) > MOST_BYTES:
        raise ValueError(f"jwks has more than {MOST_BYTES:,} bytes: send what is needed, or use jwks_uri")
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not keys or len(keys) > MOST_KEYS:
        raise ValueError(f"jwks is no list of 1 to {MOST_KEYS} keys: write an object with the member keys")
    for number, key in enumerate(keys, 1):
        if problem := _problem_of(key):
            raise ValueError(f"key {number} in jwks {problem}")
    named = [key["kid"] for key in keys if "kid" in key]
    if len(set(named)) != len(named):
        raise ValueError("two keys in jwks have the same kid: name each by its own")


def refuse_keys_uri(uri: str) -> None:
    """Raise ValueError for a jwks_uri that is not one plain https URL."""
    if not uri.startswith("https://") or audience_mistake(uri) is not None:
        raise ValueError("jwks_uri is not plain: write it as https://HOST[:PORT][/PATH]")


def certificates_in(jwks: Mapping[str, Any]) -> frozenset[Thumbprint]:
    """Return the thumbprints of the certificates in a JWK Set (RFC 8705 2.2.2).

    A key names its certificate by `x5c`, whose first one is its own (RFC 7517 4.7), or by `x5t#S256`. A key
    that names none authenticates no certificate: RFC 8705 2.2 compares certificates, and possession of a key
    is another method, private_key_jwt. A malformed key names none.
    """
    keys = jwks.get("keys")
    found = map(_certificate_of, keys if isinstance(keys, list) else ())
    return frozenset(one for one in found if one is not None)


def _is_shallow(value: object, levels: int) -> bool:
    """Return True unless a value is nested so deeply that it might be stored and never read again."""
    if not isinstance(value, dict | list):
        return True
    members = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_shallow(one, levels - 1) for one in members)


def _problem_of(key: object) -> str | None:
    """Return why a key must not be registered, as a predicate that says what to do, or None."""
    if not isinstance(key, dict):
        return "is no JSON object: write a JSON Web Key (RFC 7517)"
    if private := sorted(_PRIVATE & key.keys()):
        return f"has {private[0]!r}, of a private or symmetric key: send the public key alone"
    if not isinstance(key.get("kid", ""), str) or key.get("use", "sig") != "sig":
        return "has a kid that is no text, or a use that is not sig: correct or leave out"
    try:
        public = _public_key(key)
        return "is of no kind that is verified" if public is None else _contradiction_in(key, public)
    except (KeyError, TypeError, ValueError, UnsupportedAlgorithm):
        return f"is malformed, or weaker than RSA of {LEAST_RSA_BITS} bits: write it as RFC 7518 6 says"


def _public_key(key: Mapping[str, Any]) -> _PublicKey | None:
    """Return the key, None for one of a kind that is not verified, or raise an error for a malformed one."""
    kty, curve = key.get("kty"), key.get("crv")
    if kty == "RSA":
        modulus, exponent = (int.from_bytes(decode(key[name])) for name in ("n", "e"))
        if not LEAST_RSA_BITS <= modulus.bit_length() <= MOST_RSA_BITS:
            raise ValueError("its modulus has too few bits, or too many")
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    if kty == "EC" and isinstance(curve, str) and curve in _CURVES:
        x, y = (int.from_bytes(decode(key[name])) for name in ("x", "y"))
        return ec.EllipticCurvePublicNumbers(x, y, _CURVES[curve]).public_key()
    if (kty, curve) == ("OKP", "Ed25519"):
        return ed25519.Ed25519PublicKey.from_public_bytes(decode(key["x"]))
    return None


def _contradiction_in(key: Mapping[str, Any], public: _PublicKey) -> str | None:
    """Return a predicate if the certificate that a key names is not that of the key, or raise an error."""
    if "x5t#S256" in key:
        parse_thumbprint(key["x5t#S256"])
    if "x5c" not in key:
        return None
    leaf = _leaf_of(key)
    if x509.load_der_x509_certificate(leaf).public_key() != public:
        return "is not that of the certificate in its x5c: send those that belong together"
    if key.get("x5t#S256", thumbprint_of(leaf)) != thumbprint_of(leaf):
        return "has an x5t#S256 that is not of the certificate in its x5c: correct it"
    return None


def _certificate_of(key: object) -> Thumbprint | None:
    if not isinstance(key, dict):
        return None
    try:
        if "x5c" in key:
            return thumbprint_of(_leaf_of(key))
        return parse_thumbprint(key["x5t#S256"]) if "x5t#S256" in key else None
    except (TypeError, ValueError):
        return None


def _leaf_of(key: Mapping[str, Any]) -> DerCertificate:
    """Return the first certificate of `x5c`, which is base64 (RFC 7517 4.7), or raise an error."""
    chain = key["x5c"]
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        raise TypeError("x5c is no list of certificates")
    return DerCertificate(b64decode(chain[0], validate=True))
