"""The key of a holder that has no certificate, and the DPoP proofs that it signs (RFC 9449 4)."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.macaroon.dpop_proof import token_hash
from macaroon_cbat.macaroon.proof_keys import LEAST_RSA_BITS, MOST_RSA_BITS, KeyThumbprint, key_thumbprint
from macaroon_cbat.text.base64url import encode

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

_CURVES: dict[str, tuple[str, str, HashAlgorithm]] = {
    "secp256r1": ("ES256", "P-256", SHA256()),
    "secp384r1": ("ES384", "P-384", SHA384()),
    "secp521r1": ("ES512", "P-521", SHA512()),
}
_LARGEST_FILE = 64 * 1024
_JTI_BYTES = 16


class ProofKey(Protocol):
    """A key that signs proofs. A key that never leaves a device is one that signs there."""

    @property
    def thumbprint(self) -> KeyThumbprint:
        """The thumbprint of the public key, by which tokens are bound to it."""

    def proof(self, method: str, uri: str, *, token: str | None = None, nonce: str | None = None) -> str:
        """Return a proof for one request, with the text of its access token and the server's nonce."""


class DpopKey:
    """A private key in memory: P-256, P-384, P-521, Ed25519, or RSA of 2,048 to 4,096 bits."""

    def __init__(self, key: PrivateKey) -> None:
        """Take the key, or raise SettingsError for one of another kind."""
        self._key = key
        self._algorithm, self._jwk = _described(key)
        self.thumbprint = key_thumbprint(self._jwk)

    @classmethod
    def generate(cls) -> Self:
        """Return a new key on the curve P-256."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, file: Path | str) -> Self:
        """Return the key in a PEM file that other users cannot use, or raise SettingsError."""
        file = Path(file)
        try:
            with open_private(file, "DPoP key") as stream:
                return cls(load_pem_private_key(stream.read(_LARGEST_FILE), None))  # type: ignore[arg-type]
        except OSError as error:
            raise SettingsError(
                f"the DPoP key {file} cannot be read ({error.strerror}): name its file"
            ) from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise SettingsError(
                f"{file} holds no private key in PEM without a passphrase: openssl genpkey -algorithm EC "
                "-pkeyopt ec_paramgen_curve:P-256 -out FILE makes one"
            ) from error

    def __repr__(self) -> str:
        """Show the public key's thumbprint alone."""
        return f"<DpopKey {self.thumbprint}>"

    def pem(self) -> bytes:
        """Return the private key in PEM, for a file that no other user can read."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def proof(self, method: str, uri: str, *, token: str | None = None, nonce: str | None = None) -> str:
        """Return a new proof for one request; the query and fragment of `uri` do not take part."""
        header = {"typ": "dpop+jwt", "alg": self._algorithm, "jwk": self._jwk}
        claims: dict[str, object] = {
            "jti": encode(os.urandom(_JTI_BYTES)),
            "htm": method,
            "htu": uri.partition("#")[0].partition("?")[0],
            "iat": int(time.time()),
        }
        if token is not None:
            claims["ath"] = token_hash(token)
        if nonce is not None:
            claims["nonce"] = nonce
        signed = ".".join(encode(msgspec.json.encode(part)) for part in (header, claims))
        return f"{signed}.{encode(_signature(self._key, signed.encode()))}"


def _described(key: object) -> tuple[str, Mapping[str, str]]:
    """Return the algorithm of a key, and its public JWK."""
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        algorithm, curve, _ = _CURVES[key.curve.name]
        point, size = key.public_key().public_numbers(), _octets(key)
        x, y = (encode(number.to_bytes(size, "big")) for number in (point.x, point.y))
        return algorithm, {"kty": "EC", "crv": curve, "x": x, "y": y}
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "EdDSA", {"kty": "OKP", "crv": "Ed25519", "x": encode(key.public_key().public_bytes_raw())}
    if isinstance(key, rsa.RSAPrivateKey) and LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
        numbers = key.public_key().public_numbers()
        e, n = (encode(each.to_bytes((each.bit_length() + 7) // 8, "big")) for each in (numbers.e, numbers.n))
        return "PS256", {"kty": "RSA", "n": n, "e": e}
    raise SettingsError(
        "a DPoP key is of the curve P-256, P-384, P-521 or Ed25519, or RSA of "
        f"{LEAST_RSA_BITS} to {MOST_RSA_BITS} bits: make one of these"
    )


def _signature(key: PrivateKey, message: bytes) -> bytes:
    """Return the signature as JWS has it (RFC 7518 3)."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        halves = decode_dss_signature(key.sign(message, ec.ECDSA(_CURVES[key.curve.name][2])))
        return b"".join(number.to_bytes(_octets(key), "big") for number in halves)
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PSS(padding.MGF1(SHA256()), SHA256.digest_size), SHA256())
    return key.sign(message)


def _octets(key: ec.EllipticCurvePrivateKey) -> int:
    return (key.curve.key_size + 7) // 8
