"""The verdict on a macaroon: the signature first, then revocation and caveats."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from msgspec import UNSET, Struct
from msgspec.structs import replace

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
from macaroon_cbat.errors.dpop import NotBound, NotKeyBound
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Caveat,
    Confirmation,
    Expiry,
    KeyConfirmation,
    Scope,
    remembered_caveats,
)
from macaroon_cbat.macaroon.claims import EpochSeconds, scope_tokens
from macaroon_cbat.macaroon.conditions import Attributes, attributes
from macaroon_cbat.macaroon.custom import NO_JUDGES, CustomCaveat, Judge, refusals
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.keys import KeySource
from macaroon_cbat.macaroon.other_texts import OtherTexts, read_others
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.revocation import RevocationSource
from macaroon_cbat.macaroon.signature import AuthenticCaveats, verify_signature
from macaroon_cbat.macaroon.unmet import not_met
from macaroon_cbat.macaroon.wire import read_discharges, read_macaroon

_Refusal = TypeVar("_Refusal", bound=OAuthError)

Requirement = Literal["certificate", "dpop", "either"]
"""The confirmation that a resource server requires: by a certificate, by a DPoP key, by one of them."""


class Principal(Struct, frozen=True, kw_only=True):
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


def verify(
    text: str,
    keys: KeySource,
    access: Access,
    *,
    require_certificate: bool = True,
    revocations: RevocationSource | None = None,
    discharges: Sequence[str] = (),
    custom: Mapping[str, Judge] = NO_JUDGES,
) -> Principal:
    """Return the principal that presents this token.

    `text` is the token: a version 2 macaroon in its one spelling of unpadded base64url, 8,000 characters at
    most. `keys` finds the audience key, and `access` has the facts of the request. An unbound token is
    refused unless `require_certificate` is False. No revocation is looked up if `revocations` is None.
    `discharges` are tokens of other services that satisfy third-party caveats, 16 at most, each bound to this
    macaroon. `custom` judges custom caveats by their names, once all others allow the access; an error that
    a judge raises passes.

    Raises MalformedMacaroon for text or a discharge in any other spelling, UnknownKey if `keys` has no key
    for the token, SignatureMismatch if the HMAC chain does not hold, NotDischarged if a third-party caveat
    is not discharged, Revoked if `revocations` names the token or the certificate, CaveatsNotMet, with every
    reason, if a caveat or the expiry refuses the access or no scope is left, and NotCertificateBound for an
    unbound token. Each of these is an InvalidToken (401). Raises Unavailable (503) if `revocations` or
    `keys` cannot tell. The scope that a resource requires is not checked here: see `require_scope`.
    """
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
    return judge(grant, caveats, access, require_certificate=require_certificate, custom=custom)


def refuse_revoked(grant: Grant, certificate: Thumbprint | None, revocations: RevocationSource) -> None:
    """Raise Revoked if the grant or the certificate is revoked, and Unavailable if that cannot be told."""
    if reason := revocations.reason(grant, certificate):
        raise _of(grant, Revoked(reason))


def judge(
    grant: Grant,
    texts: AuthenticCaveats,
    access: Access,
    *,
    require_certificate: bool = True,
    custom: Mapping[str, Judge] = NO_JUDGES,
) -> Principal:
    """Return the grant narrowed by its caveats.

    Raises CaveatsNotMet with every reason if a caveat refuses the access, and NotCertificateBound if a
    certificate is required and no caveat names one. The judges of custom caveats are asked last.
    """
    unmet: list[str] = []
    other: list[tuple[bytes, ValueError]] = []
    caveats: list[Caveat] = [Expiry(grant.exp)]
    if grant.aud is not UNSET:
        caveats.append(Audience(grant.aud))
    for text in texts:
        try:
            caveats += remembered_caveats(text)
        except ValueError as error:
            other.append((text, error))
    if others := read_others(other, custom) if other else None:
        caveats += others.caveats
        unmet += others.unmet
    for caveat in caveats:
        if reason := caveat.prohibits(access):
            unmet.append(reason)
    if unmet:
        raise _of(grant, not_met(unmet, caveats, access))
    principal = _narrowed(grant, caveats, access)
    if require_certificate and principal.certificate is None:
        unbound = NotCertificateBound(
            "the token has no cnf caveat: bind it first, as macaroon-cbat token attenuate --cert FILE does"
        )
        raise _of(grant, unbound)
    return principal if others is None else _with_others(principal, grant, others, access, custom)


def _with_others(
    principal: Principal, grant: Grant, others: OtherTexts, access: Access, judges: Mapping[str, Judge]
) -> Principal:
    """Return the principal with custom caveats and attributes. Raises CaveatsNotMet if a judge refuses."""
    if refused := refusals(others.custom, access, judges):
        told = tuple(dict.fromkeys(f"{name} does not allow it" for name, _ in refused))
        raise _of(grant, CaveatsNotMet(tuple(reason for _, reason in refused), told))
    return replace(
        principal,
        declared=attributes(others.declared),
        custom=tuple(others.custom),
        is_attenuated=principal.is_attenuated or bool(others.custom),
    )


def _narrowed(grant: Grant, caveats: Sequence[Caveat], access: Access) -> Principal:
    """Return the grant as its caveats narrow it: scope = intersection, exp = minimum."""
    scope = scope_tokens(grant.scope)
    expires_at, certificate, proof_key = grant.exp, None, None
    for caveat in caveats:
        if type(caveat) is Expiry:  # isinstance costs three times as much on a Struct that is none
            expires_at = min(expires_at, caveat.exp)
        elif type(caveat) is Scope:
            scope &= scope_tokens(caveat.scope)
        elif type(caveat) is Confirmation:
            certificate = access.certificate
        elif type(caveat) is KeyConfirmation:
            proof_key = access.proof_key
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
        proof_key=proof_key,
        is_attenuated=appended > (certificate is not None) + (proof_key is not None),
    )


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


def _of(grant: Grant, error: _Refusal) -> _Refusal:
    """Return the error with the names of the token, whose signature holds by now."""
    error.grant = RefusedGrant(grant.client_id, grant.jti)
    return error
