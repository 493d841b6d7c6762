"""RSA keys, made once in each process: a key costs up to a second."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the key of this size, the same each time."""
    return rsa.generate_private_key(65537, bits)
