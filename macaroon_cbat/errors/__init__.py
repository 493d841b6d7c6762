"""The errors of this package, as one tree. One that leaves as an HTTP answer has an OAuth code and a status.

MacaroonError
├── OAuthError                     leaves as an HTTP answer: .status .code .description
│   ├── MissingToken          401  no error code when no credentials came (RFC 6750 3.1)
│   ├── InvalidRequest        400  ── UnsupportedMediaType 415, NotFound 404, Conflict 409, AmbiguousHeader
│   ├── InvalidToken          401  ── MalformedMacaroon, UnknownKey, SignatureMismatch, NotDischarged,
│   │                                 Revoked, CaveatsNotMet(.unmet .told), NotCertificateBound, Inactive
│   ├── InsufficientScope     403  with .scope
│   ├── AccessDenied          403  ── NoRule, Unguarded, UntrustedProxy, NotServed: the caller lacks the right
│   ├── TooManyRequests       429  with .retry_after
│   └── the codes of RFC 6749 4.1.2.1 and 5.2, RFC 7009, RFC 7591, RFC 8628, RFC 8707, RFC 9396, RFC 9449
├── Refused                        client side: the service answered with an error
├── Unavailable               503  neither yes nor no ── ServerMisconfigured, ProxyMisconfigured
└── SettingsError                  at start-up only ── extras.MissingExtra, an ImportError too

`str(error)` is the whole reason, for the log; `description` is the part that the client may learn.
"""

from typing import ClassVar

from macaroon_cbat.errors.oauth import AmbiguousHeader as AmbiguousHeader
from macaroon_cbat.errors.oauth import AuthorizationPending as AuthorizationPending
from macaroon_cbat.errors.oauth import ClientExists as ClientExists
from macaroon_cbat.errors.oauth import Conflict as Conflict
from macaroon_cbat.errors.oauth import ExpiredDeviceCode as ExpiredDeviceCode
from macaroon_cbat.errors.oauth import InvalidAuthorizationDetails as InvalidAuthorizationDetails
from macaroon_cbat.errors.oauth import InvalidClient as InvalidClient
from macaroon_cbat.errors.oauth import InvalidClientMetadata as InvalidClientMetadata
from macaroon_cbat.errors.oauth import InvalidDpopProof as InvalidDpopProof
from macaroon_cbat.errors.oauth import InvalidGrant as InvalidGrant
from macaroon_cbat.errors.oauth import InvalidRedirectUri as InvalidRedirectUri
from macaroon_cbat.errors.oauth import InvalidRequest as InvalidRequest
from macaroon_cbat.errors.oauth import InvalidScope as InvalidScope
from macaroon_cbat.errors.oauth import InvalidTarget as InvalidTarget
from macaroon_cbat.errors.oauth import NotFound as NotFound
from macaroon_cbat.errors.oauth import OAuthError as OAuthError
from macaroon_cbat.errors.oauth import PreconditionFailed as PreconditionFailed
from macaroon_cbat.errors.oauth import RefusedGrant as RefusedGrant
from macaroon_cbat.errors.oauth import SlowDown as SlowDown
from macaroon_cbat.errors.oauth import TooManyRequests as TooManyRequests
from macaroon_cbat.errors.oauth import UnauthorizedClient as UnauthorizedClient
from macaroon_cbat.errors.oauth import UnsupportedGrantType as UnsupportedGrantType
from macaroon_cbat.errors.oauth import UnsupportedMediaType as UnsupportedMediaType
from macaroon_cbat.errors.oauth import UnsupportedResponseType as UnsupportedResponseType
from macaroon_cbat.errors.oauth import UseDpopNonce as UseDpopNonce
from macaroon_cbat.errors.texts import MacaroonError as MacaroonError  # for others to import
from macaroon_cbat.errors.unavailable import ProxyMisconfigured as ProxyMisconfigured
from macaroon_cbat.errors.unavailable import ServerMisconfigured as ServerMisconfigured
from macaroon_cbat.errors.unavailable import Unavailable as Unavailable


class MissingToken(OAuthError):
    """The request has no credentials; the challenge has no error code (RFC 6750 3.1)."""

    status = 401
    code = None
    fixed_description = "send a certificate-bound macaroon as Authorization: Bearer"


class InvalidToken(OAuthError):
    """The token is malformed, forged, expired, revoked or meant for another request (RFC 6750 3.1)."""

    status = 401
    code = "invalid_token"
    fixed_description = "the token is not valid"


class MalformedMacaroon(InvalidToken):
    """The text is not one canonical version 2 macaroon of this issuer's kind."""

    fixed_description = "the token is malformed"


class UnknownKey(InvalidToken):
    """The verifier has no key that could have minted this macaroon."""

    fixed_description = "the token was made with a key that is not known here: get one for this audience"


class SignatureMismatch(InvalidToken):
    """The HMAC chain does not end in the signature: forged, tampered with, or another audience's key."""

    fixed_description = "the signature of the token does not match"


class NotDischarged(InvalidToken):
    """A third-party caveat of an authentic macaroon has no discharge that fits it."""

    fixed_description = "a third-party caveat of the token is not discharged"


class Revoked(InvalidToken):
    """The token, its client, subject, family or key, or the certificate of the connection is revoked."""

    fixed_description = "the token is revoked"


class CaveatsNotMet(InvalidToken):
    """The caveats of an authentic macaroon refuse this access.

    `unmet` has every reason, for the log, and `told` the answer to the client. `lacks_certificate_alone` is
    True if a client certificate on the connection is all that is missing.
    """

    fixed_description = "the token does not allow this request"

    def __init__(
        self, unmet: tuple[str, ...], told: tuple[str, ...] = (), *, lacks_certificate_alone: bool = False
    ) -> None:
        super().__init__("; ".join(unmet))
        self.unmet, self.lacks_certificate_alone = unmet, lacks_certificate_alone
        self.told = f"{self.fixed_description}: {'; '.join(told)}" if told else None


class Inactive(InvalidToken):
    """The service calls the token inactive, without a reason (RFC 7662 2.2)."""

    fixed_description = "the service calls the token inactive"


class NotCertificateBound(InvalidToken):
    """An authentic macaroon has no confirmation, and the resource server requires one."""

    fixed_description = (
        "the token is not certificate-bound: append a cnf caveat with the client certificate's x5t#S256"
    )


class InsufficientScope(OAuthError):
    """The principal lacks a scope that the resource requires (RFC 6750 3.1)."""

    status = 403
    code = "insufficient_scope"
    fixed_description = "the token does not have the scope this resource requires"

    def __init__(self, scope: str, granted: frozenset[str] = frozenset()) -> None:
        super().__init__(f"requires scope {scope!r}, and the token has {' '.join(sorted(granted))!r}")
        self.scope = scope


class AccessDenied(OAuthError):
    """This client may not use this resource with any token (RFC 6749 4.1.2.1)."""

    status = 403
    code = "access_denied"
    fixed_description: ClassVar[str | None] = "this client may not use this resource"


class NotServed(AccessDenied):
    """A client requests what only the audience's resource server may have; it learns the remedy."""

    fixed_description = None


class NoRule(AccessDenied):
    """No rule of the gateway allows this method on this path."""


class Unguarded(AccessDenied):
    """A guard that denies by default has no requirement, and no public path, for the request."""


class UntrustedProxy(AccessDenied):
    """A question to a gateway came from another sender than its trusted proxies."""


class Refused(MacaroonError):
    """The service answered a client of this package with an error, or with 200 and an unusable body."""

    def __init__(self, status: int, code: str | None, description: str) -> None:
        answer = f"the service answered {f'{status} {code}' if code else status}: "
        super().__init__(description if status == 200 else answer + description)
        self.status, self.code, self.description = status, code, description


class SettingsError(MacaroonError):
    """A setting, file or argument is unusable; the message is one line that says what to do."""
