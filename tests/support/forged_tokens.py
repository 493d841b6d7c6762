"""Tokens with a wrong signature."""

from macaroon_cbat.text.base64url import decode, encode


def forged(token: str) -> str:
    """Return the token with one bit of its signature, its last 32 bytes, changed.

    Fixed letters in place of its last two would change nothing once in 256 tokens.
    """
    data = bytearray(decode(token))
    data[-1] ^= 1
    return encode(bytes(data))
