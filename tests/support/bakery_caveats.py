"""Third-party caveats as the macaroon bakery encrypts them, and the form that asks for their discharge."""

import os
from base64 import b64decode, b64encode, urlsafe_b64encode
from typing import Any

import nacl.public
from macaroonbakery import bakery, checkers

from macaroon_cbat.macaroon.wire import ThirdPartyCaveat, read_macaroon

KEY = bakery.generate_key()
"""The key pair of the holder who adds a caveat."""


def encrypted(
    condition: str, public_key: str, *, version: int = 3, secret: bytes = b"r" * 24, prefix: str = ""
) -> bytes:
    """Return a caveat for the discharger with this public key, in the form of this version."""
    discharger = bakery.ThirdPartyInfo(version=version, public_key=bakery.PublicKey.deserialize(public_key))
    namespace = checkers.Namespace({"std": prefix})
    sealed: bytes = bakery.encode_caveat(condition, secret, discharger, KEY, namespace)
    return sealed


def form_of(caveat: bytes, identifier: bytes | None = None, **more: str) -> dict[str, str]:
    """Return the form by which a client of the bakery asks for the discharge."""
    if identifier is None:
        return {"id64": b64encode(caveat).decode(), **more}
    payload = urlsafe_b64encode(caveat).rstrip(b"=").decode()
    return {"id": identifier.decode(), "caveat64": payload, **more}


def decrypted(identifier: bytes, private_key: bytes) -> Any:
    """Return what the bakery reads in a caveat for this key."""
    return bakery.decode_caveat(bakery.PrivateKey(nacl.public.PrivateKey(private_key)), identifier)


def caveat_of(token: str) -> ThirdPartyCaveat:
    """Return the one third-party caveat of a token."""
    (caveat,) = (each for each in read_macaroon(token).caveats if not isinstance(each, bytes))
    return caveat


def discharged(answer: dict[str, Any]) -> bakery.Macaroon:
    """Return the discharge in an answer, as a client of the bakery reads it."""
    return bakery.Macaroon.from_dict(answer["Macaroon"])


def random_key() -> bytes:
    return os.urandom(32)


def plain_key(text: str) -> bytes:
    return b64decode(text)
