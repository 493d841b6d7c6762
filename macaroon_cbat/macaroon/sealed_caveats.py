"""Third-party caveats that only their discharger can read: forms 2 and 3 of the macaroon bakery.

    caveat  = version (2 or 3), 4 bytes of the discharger's public key, 32 bytes of the sender's public key,
              24 bytes of nonce, box
    box     = NaCl box of: version, length and caveat key, for version 3 length and namespace, condition

Lengths are varints. We write version 2, which every discharger of the bakery reads, and read both.
"""

from msgspec import Struct
from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from macaroon_cbat.macaroon.keys import KEY_BYTES

NONCE_BYTES = 24
LONGEST_CAVEAT = 4_096
"""Bytes of an encrypted caveat."""
LEAST_KEY, MOST_KEY = 16, 64
"""Bytes of a caveat key; those of the bakery have 24, ours 32."""

_PREFIX = 4
_HEAD = 1 + _PREFIX + KEY_BYTES + NONCE_BYTES
_VERSIONS = (2, 3)
_STANDARD = "std"
"""The namespace of the bakery's own conditions."""


class CaveatRequest(Struct, frozen=True):
    """The wish of a caveat: the key of its discharge, the condition to check, and the form that it came in.

    `prefix` stands before the bakery's conditions in the discharge, as the service that reads it has them.
    """

    caveat_key: bytes
    condition: str
    version: int
    prefix: str = ""

    def __repr__(self) -> str:
        """Show the condition, never the key."""
        return f"<CaveatRequest {self.condition!r}>"


def public_key_of(private_key: bytes) -> bytes:
    """Return the Curve25519 public key of a private key; both have 32 bytes."""
    return bytes(PrivateKey(private_key).public_key)


def sealed_caveat(
    condition: str, caveat_key: bytes, discharger: bytes, *, private_key: bytes, nonce: bytes
) -> bytes:
    """Return the identifier of a third-party caveat for the discharger with this public key.

    `private_key` is the sender's, 32 random bytes for this caveat alone, `nonce` has 24. Raises ValueError
    for a condition that is empty or too long, and for a public key that is none.
    """
    if not condition.strip():
        raise ValueError("the condition is empty: write what the discharger is to check")
    secret = bytes((2, len(caveat_key))) + caveat_key + condition.encode()
    head = bytes((2,)) + discharger[:_PREFIX] + public_key_of(private_key) + nonce
    try:
        sealed = head + Box(PrivateKey(private_key), PublicKey(discharger)).encrypt(secret, nonce).ciphertext
    except (CryptoError, RuntimeError, ValueError, TypeError) as error:
        raise ValueError("the public key of the discharger is not one of Curve25519") from error
    if len(sealed) > LONGEST_CAVEAT:
        raise ValueError(f"the condition is too long: {LONGEST_CAVEAT} bytes at most once it is encrypted")
    return sealed


def is_sealed_for(caveat: bytes, public_key: bytes) -> bool:
    """Return True if the caveat names this discharger by the beginning of its public key."""
    return caveat[1 : 1 + _PREFIX] == public_key[:_PREFIX]


def opened_caveat(caveat: bytes, private_key: bytes) -> CaveatRequest:
    """Return what a caveat asks this discharger for. Raises ValueError if it is malformed or for another."""
    if not _HEAD < len(caveat) <= LONGEST_CAVEAT or caveat[0] not in _VERSIONS:
        raise ValueError("the caveat is not encrypted in form 2 or 3 of the bakery")
    start = 1 + _PREFIX
    sender, nonce = caveat[start : start + KEY_BYTES], caveat[start + KEY_BYTES : _HEAD]
    try:
        secret = Box(PrivateKey(private_key), PublicKey(sender)).decrypt(caveat[_HEAD:], nonce)
    except (CryptoError, RuntimeError, ValueError, TypeError) as error:
        raise ValueError("the caveat does not decrypt") from error
    return _read(secret, caveat[0])


def _read(secret: bytes, version: int) -> CaveatRequest:
    if secret[:1] != bytes((version,)):
        raise ValueError("the encrypted part is of another form")
    key, rest = _sized(secret[1:])
    prefix = ""
    if version == 3:
        namespace, rest = _sized(rest)
        prefix = _prefix_in(namespace)
    if not LEAST_KEY <= len(key) <= MOST_KEY:
        raise ValueError(f"the caveat key has {len(key)} bytes: {LEAST_KEY} to {MOST_KEY} are taken")
    condition = rest.decode()
    if not condition.strip() or not condition.isprintable():
        raise ValueError("the condition is empty or does not print")
    return CaveatRequest(key, condition, version, prefix)


def _sized(data: bytes) -> tuple[bytes, bytes]:
    """Return the bytes after their length, and the rest. Raises ValueError if they are not all there."""
    if not data:
        raise ValueError("the encrypted part is truncated")
    length, start = data[0], 1
    if length & 0x80:
        length, start = (length & 0x7F) | (data[1] << 7 if len(data) > 1 and data[1] < 0x80 else 1 << 30), 2
    if start + length > len(data):
        raise ValueError("the encrypted part is truncated")
    return data[start : start + length], data[start + length :]


def _prefix_in(namespace: bytes) -> str:
    """Return the prefix of the bakery's own conditions in a namespace such as `std: http://x:y`."""
    prefixes = dict(pair.rpartition(":")[::2] for pair in namespace.decode().split())
    prefix = prefixes.get(_STANDARD, "")
    return f"{prefix}:" if prefix else ""
