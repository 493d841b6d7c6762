"""Audience keys, which HKDF derives from root keys, and the key ring of an audience.

The service alone has root keys. An audience key verifies the macaroons of one audience offline, and cannot
mint for another. A macaroon of another use (`refresh`, `discharge`, `registration`) can never verify as an
access token, because the use is part of the derivation.
"""

import hmac
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal, Protocol, Self

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import UNSET, Struct

from macaroon_cbat.errors import SettingsError, UnknownKey
from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.text.base64url import decode, encode, spells_32_bytes
from macaroon_cbat.text.json_text import UnusableJson, read_json_text
from macaroon_cbat.text.plain_text import text_of

KEY_BYTES = 32
INNER, INNER_REST = bytes(byte ^ 0x36 for byte in range(256)), b"\x36" * 32
OUTER, OUTER_REST = bytes(byte ^ 0x5C for byte in range(256)), b"\x5c" * 32
"""The translation of a key of 32 bytes into each block of HMAC-SHA256, and the rest of it (RFC 2104)."""

KeyUse = Literal["access", "refresh", "discharge", "nonce", "registration"]


class MacaroonKey(bytes):
    """32 bytes that start the HMAC chain of a macaroon: HMAC("macaroons-key-generator", audience key)."""

    inner: bytes
    """The block that HMAC hashes before a message."""
    outer: bytes
    """The block that HMAC hashes before the inner hash."""

    def __new__(cls, key: bytes) -> Self:
        """Make the two blocks, once for all tokens."""
        made = super().__new__(cls, key)
        made.inner, made.outer = key.translate(INNER) + INNER_REST, key.translate(OUTER) + OUTER_REST
        return made


class RootKey(Struct, frozen=True):
    """A secret of the service, 32 random bytes, from which every audience key derives; `kid` names it."""

    kid: str
    secret: bytes

    def __repr__(self) -> str:
        """Show which key it is, never the key."""
        return f"<RootKey {self.kid}>"


class AudienceKey(Struct, frozen=True):
    """A key of one audience, 32 bytes; the audience None is the issuer itself."""

    kid: str
    audience: str | None
    secret: bytes
    macaroon_key: MacaroonKey

    def __repr__(self) -> str:
        """Show which key it is, never the key."""
        return f"<AudienceKey {self.kid} for {self.audience}>"


class KeySource(Protocol):
    """Finds the key that could have minted a macaroon."""

    def key_for(self, unverified: Grant, /) -> AudienceKey:
        """Return the audience key for this unverified grant.

        Raises UnknownKey if there is none, and Unavailable if that cannot be told.
        """


class AudienceKeys(Struct, frozen=True):
    """The key ring of one audience, which `macaroon-cbat key export` writes and a resource server reads."""

    issuer: str
    audience: str
    keys: dict[str, AudienceKey]

    def key_for(self, unverified: Grant, /) -> AudienceKey:
        """Return the key that the grant names, or raise UnknownKey; a foreign audience never has one."""
        if unverified.aud != self.audience:
            if unverified.audience is None:
                raise _keyed_for_the_issuer(unverified)
            raise UnknownKey(
                f"minted for {unverified.audience!r}; the keys here are for {self.audience!r}: "
                "ask for a token with that resource"
            )
        key = self.keys.get(unverified.kid)
        if key is None:
            raise UnknownKey(f"no key {unverified.kid!r} for {self.audience!r}: export the keys again")
        return key


def _keyed_for_the_issuer(unverified: Grant) -> UnknownKey:
    """Return the refusal of a token for several audiences, or for any; the holder learns the remedy."""
    audiences = "any audience" if unverified.aud is UNSET else f"{len(unverified.aud)} audiences"
    error = UnknownKey(
        f"minted for {audiences} and keyed for the service, which alone can verify it: introspect it, or ask "
        "for a token with one resource"
    )
    error.told = f"the token is for {audiences} and must be introspected: get a token for this resource alone"
    return error


def audience_key(root: RootKey, audience: str | None, use: KeyUse = "access") -> AudienceKey:
    """Derive an audience's key: HKDF-SHA256 (RFC 5869), info = version, use and audience as JSON.

    The audience is taken letter by letter: identifiers and key rings have its canonical spelling. The issuer
    is not part of the derivation: an issuer that moves to another URL keeps its tokens and exported keys.
    """
    info = msgspec.json.encode(["macaroon_cbat", 1, use, audience])
    secret = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(root.secret)
    return _audience_key(root.kid, audience, secret)


def audience_keys(issuer: str, audience: str, roots: Iterable[RootKey]) -> AudienceKeys:
    """Derive the key ring of one audience from every root key that may still have live tokens."""
    audience = canonical_audience(audience)
    return AudienceKeys(issuer, audience, {root.kid: audience_key(root, audience) for root in roots})


def _audience_key(kid: str, audience: str | None, secret: bytes) -> AudienceKey:
    return AudienceKey(
        kid, audience, secret, MacaroonKey(hmac.digest(b"macaroons-key-generator", secret, "sha256"))
    )


class _KeyEntry(Struct, forbid_unknown_fields=True, omit_defaults=True):
    kid: str
    k: str
    state: str | None = None


class _KeyFile(Struct, forbid_unknown_fields=True):
    issuer: str
    audience: str
    keys: list[_KeyEntry]


def write_key_file(ring: AudienceKeys, states: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """Return the key file of an audience: JSON, each key as 43 characters of base64url in `k`.

    `states` has the state of each key by kid (next, current or retiring), for operators.
    """
    entries = [_KeyEntry(key.kid, encode(key.secret), states.get(key.kid)) for key in ring.keys.values()]
    return msgspec.json.format(msgspec.json.encode(_KeyFile(ring.issuer, ring.audience, entries))) + b"\n"


def read_key_file(content: bytes, name: str = "the key file") -> AudienceKeys:
    """Return the key ring in a key file. Raises SettingsError that begins with `name`."""
    try:
        file = read_json_text(text_of(content, name).encode(), _KeyFile)
    except SettingsError as error:
        raise SettingsError(f"{error}, or {_EXPORT}") from error
    except UnusableJson as error:
        raise SettingsError(f"{name} is not a key file ({error}): {_EXPORT}") from error
    if file.audience != canonical_audience(file.audience):
        raise SettingsError(
            f"{name} has keys of another spelling of {canonical_audience(file.audience)}: {_EXPORT}"
        )
    keys = {}
    for entry in file.keys:
        if not spells_32_bytes(entry.k) or entry.kid in keys:
            raise SettingsError(f"{name}: key {entry.kid!r} is damaged or repeated: {_EXPORT}")
        keys[entry.kid] = _audience_key(entry.kid, file.audience, decode(entry.k))
    if not keys:
        raise SettingsError(f"{name} holds no key: {_EXPORT}")
    return AudienceKeys(file.issuer, file.audience, keys)


_EXPORT = "write it anew with macaroon-cbat key export --audience URL --output FILE"
