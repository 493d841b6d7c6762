"""Strict reading of JSON Web Tokens (RFC 7519, RFC 8725). Nothing that is read here is authenticated yet."""

from typing import Any

from msgspec import Struct

from macaroon_cbat.service.federation.refusals import UnacceptableJwt
from macaroon_cbat.stores.trust import ALGORITHMS
from macaroon_cbat.text.base64url import NotBase64url, decode
from macaroon_cbat.text.json_text import UnusableJson, read_members
from macaroon_cbat.text.printable import quoted

MAX_JWT = 16_384
"""Characters of a JWT. Those of Entra ID with many groups have about 8,000."""

_LONGEST_KEY_ID = 256
_SEGMENTS = 3


class Jwt(Struct, frozen=True):
    """A signed JWT whose text is canonical: header, claims, and the signature over the signed bytes.

    Until `PublicKeys.verify` has returned, an attacker may have written every field.
    """

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    def __repr__(self) -> str:
        """Show the algorithm, never the token."""
        return f"<Jwt {self.algorithm}>"

    @property
    def algorithm(self) -> str:
        """The signature algorithm that the header names."""
        return str(self.header["alg"])

    @property
    def key_id(self) -> str | None:
        """The name of the key in the issuer's key set; None if the header names none."""
        return self.header.get("kid")

    @property
    def kind(self) -> str | None:
        """The media type of the token in lower case, without `application/` (RFC 7515 4.1.9)."""
        named = self.header.get("typ")
        return None if named is None else str(named).lower().removeprefix("application/")


def is_jwt_shaped(text: str) -> bool:
    """Return True if a text could be a JWT: a macaroon of this service has no dot."""
    return "." in text


def read_jwt(text: str) -> Jwt:
    """Return the unverified token, or raise UnacceptableJwt.

    The members `jwk`, `jku`, `x5u` and `x5c` of the header are ignored: a token never names its own key.
    Refused are encrypted and nested tokens, detached content, and every `crit`, as this service understands
    no extension (RFC 7515 4.1.11).
    """
    if len(text) > MAX_JWT:
        raise UnacceptableJwt(f"the JWT has more than {MAX_JWT} characters: request a smaller one")
    segments = text.split(".")
    if len(segments) != _SEGMENTS:
        raise UnacceptableJwt("the JWT is not one signed token of three segments (RFC 7515 3.1)")
    header = _members(segments[0], "header")
    _refuse_header(header)
    claims = _members(segments[1], "payload")
    signed = f"{segments[0]}.{segments[1]}".encode()
    return Jwt(header, claims, signed, _decoded(segments[2], "signature"))


def _members(segment: str, name: str) -> dict[str, Any]:
    try:
        return read_members(_decoded(segment, name))
    except UnusableJson as error:
        raise UnacceptableJwt(f"the {name} of the JWT is unusable: {error}") from error


def _decoded(segment: str, name: str) -> bytes:
    try:
        return decode(segment)
    except NotBase64url as error:
        raise UnacceptableJwt(f"the {name} of the JWT is {error}") from error


def _refuse_header(header: dict[str, Any]) -> None:
    """Raise UnacceptableJwt for a header that says more than this service understands."""
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise UnacceptableJwt("the JWT names no algorithm: its header needs alg")
    if algorithm not in ALGORITHMS:
        raise UnacceptableJwt(
            f"the JWT is signed by {quoted(algorithm)}, which is not allowed: use one of "
            + " ".join(ALGORITHMS)
        )
    for name in ("kid", "typ"):
        if name in header and not isinstance(header[name], str):
            raise UnacceptableJwt(f"the {name} in the header of the JWT is no text")
    if len(header.get("kid", "")) > _LONGEST_KEY_ID:
        raise UnacceptableJwt(f"the kid of the JWT has more than {_LONGEST_KEY_ID} characters")
    if "crit" in header:
        raise UnacceptableJwt(
            f"the JWT demands an extension that is not known here: {quoted(header['crit'])}"
        )
    for name, meaning in (("cty", "is nested in another"), ("b64", "is not encoded as base64url")):
        if name in header:
            raise UnacceptableJwt(f"the JWT has {name} in its header, so its content {meaning}")
