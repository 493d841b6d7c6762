"""The root of the errors that leave as an HTTP answer, and the codes of OAuth's endpoints."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from macaroon_cbat.errors.texts import Answered

NOTHING_FURTHER: Mapping[str, object] = MappingProxyType({})


class RefusedGrant(NamedTuple):
    """The names of a token that is refused although its signature holds, as its identifier has them."""

    client_id: str
    token_id: str


class OAuthError(Answered):
    """A refusal that leaves as an HTTP answer."""

    status: ClassVar[int] = 400
    code: ClassVar[str | None] = "invalid_request"
    grant: RefusedGrant | None = None
    """The refused token, once its signature has been verified; None before that, and without a token."""
    further: Mapping[str, object] = NOTHING_FURTHER
    """Further members of the answer, for clients of another protocol than OAuth's."""


class InvalidRequest(OAuthError):
    """The request itself is malformed (RFC 6749 5.2, RFC 6750 3.1)."""


class UnsupportedMediaType(InvalidRequest):
    """The body is of another content type than the endpoint reads."""

    status = 415


class NotFound(InvalidRequest):
    """Nothing has this name."""

    status = 404
    code = "not_found"


class Conflict(InvalidRequest):
    """The request contradicts the present state, such as the removal of a key that still mints."""

    status = 409
    code = "conflict"


class PreconditionFailed(InvalidRequest):
    """The thing was changed since the caller read it (RFC 9110 13.1.1)."""

    status = 412
    code = "precondition_failed"


class AmbiguousHeader(InvalidRequest):
    """A header came twice, under a second name as well, or malformed: perhaps an attacker wrote one."""

    fixed_description = "the client certificate that this request came with cannot be told"


class InvalidClient(OAuthError):
    """Client authentication failed (RFC 6749 5.2): unknown client and wrong secret get the same answer."""

    status = 401
    code = "invalid_client"
    fixed_description = "client authentication failed"


class InvalidGrant(OAuthError):
    """The grant is invalid or was issued to another client (RFC 6749 5.2)."""

    code = "invalid_grant"


class UnauthorizedClient(OAuthError):
    """This client may not use this grant type (RFC 6749 5.2)."""

    code = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """The service does not know this grant type (RFC 6749 5.2)."""

    code = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """The scope is malformed, unknown or not granted to this client (RFC 6749 5.2)."""

    code = "invalid_scope"


class InvalidTarget(OAuthError):
    """The resource is malformed, unknown or not open to this client (RFC 8707 2)."""

    code = "invalid_target"


class InvalidClientMetadata(OAuthError):
    """The metadata of a client are malformed or contradict each other (RFC 7591 3.2.2)."""

    code = "invalid_client_metadata"


class ClientExists(InvalidClientMetadata):
    """Another client has this name."""

    status = 409


class UnsupportedResponseType(OAuthError):
    """The authorization endpoint does not give this kind of answer (RFC 6749 4.1.2.1)."""

    code = "unsupported_response_type"


class InvalidAuthorizationDetails(OAuthError):
    """The authorization details are malformed, of an unknown type or not open to this client (RFC 9396 5)."""

    code = "invalid_authorization_details"


class InvalidRedirectUri(OAuthError):
    """A redirect URI in a registration is malformed or not allowed (RFC 7591 3.2.2)."""

    code = "invalid_redirect_uri"


class AuthorizationPending(OAuthError):
    """The user has not decided yet about this device (RFC 8628 3.5)."""

    code = "authorization_pending"


class SlowDown(OAuthError):
    """A device polls too often: its interval grows by 5 seconds (RFC 8628 3.5)."""

    code = "slow_down"


class ExpiredDeviceCode(OAuthError):
    """The device code has expired before the user decided (RFC 8628 3.5)."""

    code = "expired_token"


class InvalidDpopProof(OAuthError):
    """The DPoP proof is missing, malformed, replayed or for another request (RFC 9449 5)."""

    code = "invalid_dpop_proof"


class UseDpopNonce(InvalidDpopProof):
    """The DPoP proof lacks a recent nonce of this server; `nonce` is one (RFC 9449 8)."""

    code = "use_dpop_nonce"

    def __init__(self, nonce: str) -> None:
        super().__init__("the DPoP proof has no recent nonce of this server: put that of DPoP-Nonce into it")
        self.nonce = nonce


class TooManyRequests(OAuthError):
    """A client or address sends more than its limit allows; `retry_after` counts seconds (RFC 6585 4)."""

    status = 429
    code = "too_many_requests"

    def __init__(self, reason: str, retry_after: int = 60) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
