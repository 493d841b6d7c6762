"""Macaroon + grant + access -> Principal. Signature first, meaning second."""

from collections.abc import Sequence
from typing import TypeVar

from msgspec import UNSET, Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import (
    CaveatsNotMet,
    InsufficientScope,
    NotCertificateBound,
    NotDischarged,
    OAuthError,
    RefusedGrant,
    Revoked,
)
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Caveat,
    Confirmation,
    Expiry,
    Scope,
    remembered_caveats,
)
from macaroon_cbat.macaroon.claims import EpochSeconds, scope_tokens
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.keys import KeySource
from macaroon_cbat.macaroon.revocation import RevocationSource
from macaroon_cbat.macaroon.signature import AuthenticCaveats, verify_signature
from macaroon_cbat.macaroon.unmet import not_met
from macaroon_cbat.macaroon.wire import read_discharges, read_macaroon

_Refusal = TypeVar("_Refusal", bound=OAuthError)


class Principal(Struct, frozen=True, kw_only=True):
    """Who is asking, after verification: the grant, narrowed by every caveat."""

    client_id: str
    subject: str
    scope: frozenset[str]
    token_id: str
    audience: str | None
    issued_at: EpochSeconds
    expires_at: EpochSeconds
    certificate: Thumbprint | None
    """The certificate that the token is bound to and the connection was made with."""
    is_attenuated: bool = False
    """Somebody restricted it further: it has caveats beyond the confirmation that the service may mint."""


def verify(
    text: str,
    keys: KeySource,
    access: Access,
    *,
    require_certificate: bool = True,
    revocations: RevocationSource | None = None,
    discharges: Sequence[str] = (),
) -> Principal:
    """Return who presents this token, or raise an InvalidToken that says why nobody does."""
    macaroon = read_macaroon(text)
    grant = read_identifier(macaroon.identifier)
    key = keys.key_for(grant)
    try:
        caveats = verify_signature(macaroon, key, read_discharges(discharges))
    except NotDischarged as error:
        _of(grant, error)
        raise
    if revocations is not None:
        refuse_revoked(grant, access.certificate, revocations)
    return judge(grant, caveats, access, require_certificate=require_certificate)


def refuse_revoked(grant: Grant, certificate: Thumbprint | None, revocations: RevocationSource) -> None:
    """Raise Revoked when grant or certificate was taken back by somebody entitled to it."""
    if reason := revocations.reason(grant, certificate):
        raise _of(grant, Revoked(reason))


def judge(
    grant: Grant, texts: AuthenticCaveats, access: Access, *, require_certificate: bool = True
) -> Principal:
    """Return the grant narrowed by its caveats, or raise CaveatsNotMet with every reason."""
    unmet: list[str] = []
    caveats: list[Caveat] = [Expiry(grant.exp)]
    if grant.aud is not UNSET:
        caveats.append(Audience(grant.aud))
    for text in texts:
        try:
            caveats += remembered_caveats(text)
        except ValueError as error:
            unmet.append(str(error))
    for caveat in caveats:
        if reason := caveat.prohibits(access):
            unmet.append(reason)  # noqa: PERF401 # a comprehension costs more where nothing is unmet
    if unmet:
        raise _of(grant, not_met(unmet, caveats, access))
    principal = _narrowed(grant, caveats, access)
    if require_certificate and principal.certificate is None:
        unbound = NotCertificateBound(
            "the token has no cnf caveat: bind it first, as macaroon-cbat token attenuate --cert FILE does"
        )
        raise _of(grant, unbound)
    return principal


def _narrowed(grant: Grant, caveats: Sequence[Caveat], access: Access) -> Principal:
    """Return the grant as its caveats narrow it: scope = intersection, exp = minimum."""
    scope = scope_tokens(grant.scope)
    expires_at, certificate = grant.exp, None
    for caveat in caveats:
        if type(caveat) is Expiry:  # isinstance costs three times as much on a Struct that is none
            expires_at = min(expires_at, caveat.exp)
        elif type(caveat) is Scope:
            scope &= scope_tokens(caveat.scope)
        elif type(caveat) is Confirmation:
            certificate = access.certificate
    if not scope:
        nothing = ("the scope caveats leave nothing of the granted scope",)
        raise _of(grant, CaveatsNotMet(nothing, nothing))
    appended = len(caveats) - (1 if grant.aud is UNSET else 2)  # those in front say what was granted
    return Principal(
        client_id=grant.client_id,
        subject=grant.sub,
        scope=scope,
        token_id=grant.jti,
        audience=access.audience,
        issued_at=EpochSeconds(grant.iat),
        expires_at=EpochSeconds(expires_at),
        certificate=certificate,
        is_attenuated=appended > 1 or (appended == 1 and certificate is None),
    )


def require_scope(principal: Principal, scope: str) -> None:
    """Raise InsufficientScope unless the principal has each of these space-separated scopes."""
    if not principal.scope.issuperset(scope.split()):
        error = InsufficientScope(scope, principal.scope)
        error.grant = RefusedGrant(principal.client_id, principal.token_id)
        raise error


def _of(grant: Grant, error: _Refusal) -> _Refusal:
    """Return the error with the names of the token, whose signature holds by now."""
    error.grant = RefusedGrant(grant.client_id, grant.jti)
    return error
