"""The grant: the claims in a macaroon's identifier, which the service alone writes.

The identifier is compact JSON with its members in alphabetical order. The MAC covers it: once the signature
holds, it names the client and the most that it may do.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from macaroon_cbat.macaroon.claims import AudienceText, EpochSeconds, Seconds
from macaroon_cbat.macaroon.token_forms import malformed

TokenId = Annotated[str, Meta(min_length=22, max_length=22)]
NonEmpty = Annotated[str, Meta(min_length=1)]

TOKEN_ID_BYTES = 16
"""128 random bits: 22 characters of unpadded base64url."""
TOKEN_ID_PATTERN = r"^[A-Za-z0-9_-]{22}\Z"


class Actor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A party that acts for the subject, and the actor before it (RFC 8693 4.1)."""

    act: "Actor | UnsetType" = UNSET
    sub: NonEmpty


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The most a macaroon allows: client, subject, scope, audience, lifetime.

    Until `verify_signature` has returned, an attacker may have written every field.
    """

    act: Actor | UnsetType = UNSET
    """The party that acts for the subject, in a macaroon that was exchanged; absent without one."""
    aud: AudienceText | Annotated[tuple[AudienceText, ...], Meta(min_length=1)] | UnsetType = UNSET
    """The audience, an absolute URI in its canonical spelling; absent or an array in a macaroon that is keyed
    for the issuer."""
    client_id: NonEmpty
    """The client that the macaroon was minted for."""
    exp: Seconds
    """The second from which on the macaroon is refused, as seconds since the epoch."""
    fam: NonEmpty | UnsetType = UNSET
    """The family of refresh tokens that the macaroon descends from; absent without one."""
    iat: Seconds
    """The second in which the macaroon was minted, as seconds since the epoch."""
    jti: TokenId
    """The token id: 22 characters of base64url, 128 random bits."""
    kid: NonEmpty
    """The name of the root key that the audience key derives from."""
    scope: NonEmpty
    """Scope tokens with one space between two (RFC 6749 3.3)."""
    sub: NonEmpty
    """The resource owner; for client credentials, the client itself."""
    v: Literal[1] = 1
    """The version of this identifier."""

    @property
    def audience(self) -> str | None:
        """The one resource server this macaroon is keyed for; None when keyed for the issuer."""
        return self.aud if isinstance(self.aud, str) else None

    @property
    def is_refresh_token(self) -> bool:
        """Whether it is a refresh token's: the key of a family has the family's name."""
        return self.fam == self.kid

    @property
    def expires_at(self) -> EpochSeconds:
        """The second from which on the macaroon is refused."""
        return EpochSeconds(self.exp)


_FOREIGN = "no service of this kind minted it"
_decode = msgspec.json.Decoder(Grant).decode
_encode = msgspec.json.Encoder().encode


def read_identifier(identifier: bytes) -> Grant:
    """Return the unverified grant. Nothing in it is authenticated.

    Raises MalformedMacaroon for an identifier of another kind, and for another spelling of one.
    """
    try:
        grant = _decode(identifier)
        is_canonical = _encode(grant) == identifier
    except RecursionError:  # an attacker nests actors; deep in a caller's own stack that is too much
        raise malformed("the identifier is nested too deeply", _FOREIGN) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise malformed(f"the identifier is not one of this issuer: {error}", _FOREIGN) from error
    if not is_canonical:
        raise malformed("the identifier is not in its canonical form", _FOREIGN)
    return grant


def identifier_text(grant: Grant) -> bytes:
    """Return the identifier of a grant: canonical UTF-8 JSON."""
    return _encode(grant)
