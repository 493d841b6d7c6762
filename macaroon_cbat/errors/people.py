"""Errors of requests that a person decides about: at the authorization endpoint, the login and the codes."""

from macaroon_cbat.errors import AccessDenied, InvalidGrant, OAuthError, Unavailable

_INVALID_CODE = "this code is not valid: begin the authorization again"


class RequestNotSupported(OAuthError):
    """The request is wrapped in a JWT (RFC 9101), which this service does not read."""

    code = "request_not_supported"


class InvalidRequestUri(OAuthError):
    """A request_uri is unknown, used, over, of another client, or not of this service (RFC 9101 7)."""

    code = "invalid_request_uri"


class LoginRequired(OAuthError):
    """The client wants no page, and the person has not logged in (OpenID Connect Core 3.1.2.6)."""

    code = "login_required"


class ConsentRequired(OAuthError):
    """The client wants no page to be shown, and the person has not consented in this session."""

    code = "consent_required"


class LoginRefused(AccessDenied):
    """The provider does not vouch for this login, or for a person who may log in here."""

    fixed_description = "this login is not accepted: begin again, or ask the operator of this service"


class UnknownCode(InvalidGrant):
    """No live code is spelled so, or it belongs to another client."""

    fixed_description = _INVALID_CODE


class CodeUsedTwice(InvalidGrant):
    """A code has been used already: it was stolen, or the first use was by the thief."""

    fixed_description = _INVALID_CODE

    def __init__(self, client_id: str, subject: str, family: str) -> None:
        super().__init__(f"a code of {client_id} was used twice: the tokens of its first use are revoked")
        self.client_id, self.subject, self.family = client_id, subject, family


class LoginUnavailable(Unavailable):
    """The upstream provider is out of reach, or answers what no provider may answer."""

    fixed_description = "the login provider of this service cannot be used right now: try again later"
