"""What was granted: the claims in a macaroon's identifier, written by the service only.

The identifier is compact JSON with its members in alphabetical order, and the MAC covers it:
once the signature holds, it says who the client is and what it may do at most.
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


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most a macaroon can say: client, subject, scope, audience, lifetime.

    `aud` is absent or an array when the macaroon is keyed for the issuer; `fam` names a refresh
    family where there is one. Before `verify_signature` every field is only what somebody wrote.
    """

    aud: AudienceText | Annotated[tuple[AudienceText, ...], Meta(min_length=1)] | UnsetType = UNSET
    client_id: NonEmpty
    exp: Seconds
    fam: NonEmpty | UnsetType = UNSET
    iat: Seconds
    jti: TokenId
    kid: NonEmpty
    scope: NonEmpty
    sub: NonEmpty
    v: Literal[1] = 1

    @property
    def audience(self) -> str | None:
        """The one resource server this macaroon is keyed for; None when keyed for the issuer."""
        return self.aud if isinstance(self.aud, str) else None

    @property
    def expires_at(self) -> EpochSeconds:
        """The second from which on the macaroon is refused."""
        return EpochSeconds(self.exp)


_FOREIGN = "no service of this kind minted it"
_decode = msgspec.json.Decoder(Grant).decode
_encode = msgspec.json.Encoder().encode


def read_identifier(identifier: bytes) -> Grant:
    """Return the unverified grant, or raise MalformedMacaroon. Nothing in it is authenticated."""
    try:
        grant = _decode(identifier)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise malformed(f"the identifier is not one of this issuer: {error}", _FOREIGN) from error
    if _encode(grant) != identifier:
        raise malformed("the identifier is not in its canonical form", _FOREIGN)
    return grant


def identifier_text(grant: Grant) -> bytes:
    """Return the identifier that says this grant: canonical UTF-8 JSON."""
    return _encode(grant)
