"""The rights of a request after verification, and what a resource may require of them."""

from typing import Literal, TypeVar

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import InsufficientScope, OAuthError, RefusedGrant
from macaroon_cbat.errors.dpop import NotBound, NotKeyBound
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.conditions import Attributes
from macaroon_cbat.macaroon.custom import CustomCaveat
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint

_Refusal = TypeVar("_Refusal", bound=OAuthError)

Requirement = Literal["certificate", "dpop", "either"]
"""The confirmation that a resource server requires: by a certificate, by a DPoP key, by one of them."""


class Principal(Struct, frozen=True, kw_only=True, gc=False):
    """The rights of a request, after verification: the grant, narrowed by every caveat."""

    client_id: str
    """The client that the service minted the token for, as registered."""
    subject: str
    """The resource owner (`sub`); for client credentials, the client itself."""
    scope: frozenset[str]
    """The scope tokens that are left after all caveats; never empty."""
    token_id: str
    """The `jti`: 22 characters of base64url, by which the token is revoked and audited."""
    audience: str | None
    """The audience of the resource server that verified, an absolute URI; None if the access named none."""
    issued_at: EpochSeconds
    expires_at: EpochSeconds
    """The earliest `exp` of grant and caveats; the access may have come up to the clock skew later."""
    certificate: Thumbprint | None
    """The certificate that the token is bound to and the connection was made with; None if it is unbound."""
    declared: Attributes = ()
    """The attributes that third parties declared in discharges, each name once. A holder can add a third
    party of its own choice: they name, for a log or a page, and grant nothing."""
    proof_key: KeyThumbprint | None = None
    """The key that the token is bound to and the request's DPoP proof is signed with; None if it is bound to
    none."""
    is_attenuated: bool = False
    """True if a holder restricted the token: it has caveats beyond a confirmation, which may be minted."""
    custom: tuple[CustomCaveat, ...] = ()
    """The custom caveats of the token, none of which refused the access."""


def require_scope(principal: Principal, scope: str) -> None:
    """Raise InsufficientScope unless the principal has each of these space-separated scopes."""
    if not principal.scope.issuperset(scope.split()):
        raise _named(principal, InsufficientScope(scope, principal.scope))


def require_confirmation(principal: Principal, require: Requirement) -> None:
    """Raise NotKeyBound or NotBound unless the token is bound as required.

    `verify` itself requires the certificate, where one is required.
    """
    if require == "dpop" and principal.proof_key is None:
        raise _named(principal, NotKeyBound("the token has no cnf caveat with a jkt: bind it to a key first"))
    if require == "either" and principal.proof_key is None and principal.certificate is None:
        raise _named(
            principal, NotBound("the token has no cnf caveat: bind it to a certificate or key first")
        )


def require_key(principal: Principal) -> None:
    """Raise NotKeyBound for a token of the scheme DPoP that is not bound to a key (RFC 9449 7.1)."""
    if principal.proof_key is None:
        error = NotKeyBound("the scheme is DPoP, and no key confirms the token: send Bearer")
        if principal.certificate is not None:
            error.told = "the token is bound to a certificate alone: send it as Authorization: Bearer"
        raise _named(principal, error)


def _named(principal: Principal, error: _Refusal) -> _Refusal:
    error.grant = RefusedGrant(principal.client_id, principal.token_id)
    return error
