"""Audience keys that no service has."""

import secrets

from macaroon_cbat.macaroon.keys import KEY_BYTES, AudienceKeys, RootKey, audience_keys

AUDIENCE = "https://api.example"
ISSUER = "https://as.example"


def fake_keys(audience: str = AUDIENCE, *, issuer: str = ISSUER) -> AudienceKeys:
    """Return the keys of an audience, derived from a root key that is random at each call.

    `audience` and `issuer` are absolute URIs. Pass the result to a guard as `keys`, or write it to a file
    with `write_key_file`. Raises ValueError if `audience` is not an absolute URI.
    """
    # Random, not fixed: an application that is deployed with such keys must not accept what others can mint.
    return audience_keys(issuer, audience, [RootKey("test", secrets.token_bytes(KEY_BYTES))])
