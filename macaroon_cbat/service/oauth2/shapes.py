"""The shapes of the OAuth endpoints: the forms that they read, and their answers."""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from macaroon_cbat.macaroon.claims import SCOPE_PATTERN, ScopeText
from macaroon_cbat.macaroon.confirmations import ThumbprintText
from macaroon_cbat.macaroon.identifier import TOKEN_ID_PATTERN, Actor
from macaroon_cbat.stores.clients import CLIENT_NAME
from macaroon_cbat.text.base64url import PATTERN_OF_32_BYTES

# A form is read as any text: what these patterns refuse has an OAuth error and a description of its own.
ClientName = Annotated[str, Meta(extra_json_schema={"pattern": CLIENT_NAME})]
RequestedScope = Annotated[str, Meta(extra_json_schema={"pattern": SCOPE_PATTERN})]
_NamedThumbprint = Annotated[str, Meta(extra_json_schema={"pattern": PATTERN_OF_32_BYTES})]
_JwtId = Annotated[str, Meta(pattern=TOKEN_ID_PATTERN)]


class TokenAnswer(Struct, frozen=True):
    """A new macaroon (RFC 6749 5.1); `expires_in` counts seconds. `issued_token_type`: RFC 8693 2.2.1."""

    access_token: str
    token_type: Literal["Bearer", "DPoP"]
    expires_in: int
    scope: ScopeText
    refresh_token: str | UnsetType = UNSET
    issued_token_type: str | UnsetType = UNSET
    authorization_details: list[dict[str, Any]] | UnsetType = UNSET


class IntrospectionForm(Struct, frozen=True):
    """A token to introspect (RFC 7662 2.1).

    `client_certificate` is the thumbprint of the client certificate that the token came with. A resource
    server that is not registered with `checks_certificates` must send it to learn that a bound token is
    active. `dpop_jkt` is the thumbprint of the key whose DPoP proof came with the token and was verified by
    the resource server; without it no token that is bound to a key is active. The discharges of third-party
    caveats come in the headers X-Discharge-Macaroon or Macaroons, as they came with the token.
    """

    token: str
    token_type_hint: str | None = None
    client_certificate: _NamedThumbprint | None = None
    dpop_jkt: _NamedThumbprint | None = None


class IntrospectionAnswer(Struct, frozen=True):
    """The claims of a token that the caller may know (RFC 7662 2.2, RFC 8705 3.2)."""

    active: bool
    iss: str | None = None
    client_id: str | None = None
    sub: str | None = None
    aud: str | list[str] | None = None
    scope: str | None = None
    exp: int | None = None
    iat: int | None = None
    jti: _JwtId | None = None
    token_type: Literal["Bearer", "DPoP"] | None = None
    cnf: dict[Literal["x5t#S256", "jkt"], ThumbprintText] | None = None
    caveats: list[Raw] | None = None
    authorization_details: list[dict[str, Any]] | None = None
    declared: dict[str, str] | None = None
    act: Actor | None = None


class RevocationForm(Struct, frozen=True):
    """A token to revoke (RFC 7009 2.1); every hint is ignored."""

    token: str
    token_type_hint: str | None = None
