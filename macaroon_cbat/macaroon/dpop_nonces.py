"""The nonces that a server gives for DPoP proofs (RFC 9449 8): an HMAC of the time, and nothing is stored.

Servers with the same secret accept each other's. A nonce is good for one to two minutes, for any number of
proofs: it dates a proof by the server's clock, and `jti` makes it good for one use.
"""

import hmac

from msgspec import Struct

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.text.base64url import encode

NONCE_SECONDS = 60
"""Seconds until the next nonce is given; the one before is accepted for as long."""

LEAST_SECRET_BYTES = 32


class DpopNonces(Struct, frozen=True):
    """The nonces of one server. `secret` is 32 random bytes or more, the same in each of its processes."""

    secret: bytes

    def __post_init__(self) -> None:
        """Refuse a secret that could be guessed, or that no request could be answered with."""
        if not isinstance(self.secret, bytes):
            raise TypeError("the secret of nonces is text: give bytes, as secret.encode() does")
        if len(self.secret) < LEAST_SECRET_BYTES:
            raise ValueError(f"the secret of nonces has {LEAST_SECRET_BYTES} random bytes at least")

    def __repr__(self) -> str:
        """Show no secret."""
        return "<DpopNonces>"

    def current(self, now: EpochSeconds) -> str:
        """Return the nonce to give now: 22 characters of base64url."""
        return self._of(now // NONCE_SECONDS)

    def has(self, nonce: object, now: EpochSeconds) -> bool:
        """Return True for the nonce of this minute or the one before."""
        if not isinstance(nonce, str) or not nonce.isascii():
            return False
        slot = now // NONCE_SECONDS
        return any(hmac.compare_digest(nonce, self._of(slot - back)) for back in (0, 1))

    def _of(self, slot: int) -> str:
        return encode(hmac.digest(self.secret, b"DPoP-Nonce " + slot.to_bytes(8, "big"), "sha256")[:16])
