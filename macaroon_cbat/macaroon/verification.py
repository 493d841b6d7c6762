"""The verdict on a macaroon: the signature first, then revocation and caveats."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from msgspec import UNSET
from msgspec.structs import replace

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import (
    CaveatsNotMet,
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
    KeyConfirmation,
    Scope,
    remembered_caveats,
)
from macaroon_cbat.macaroon.claims import EpochSeconds, scope_tokens
from macaroon_cbat.macaroon.conditions import attributes
from macaroon_cbat.macaroon.custom import NO_JUDGES, Judge, refusals
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.keys import AudienceKey, KeySource
from macaroon_cbat.macaroon.known_chains import Chain, KnownChains
from macaroon_cbat.macaroon.narrowing import narrowed_by
from macaroon_cbat.macaroon.other_texts import OtherTexts, read_others
from macaroon_cbat.macaroon.principal import Principal as Principal  # noqa: PLC0414 # others import it from here
from macaroon_cbat.macaroon.principal import Requirement as Requirement  # noqa: PLC0414 # the same
from macaroon_cbat.macaroon.principal import require_confirmation as require_confirmation  # noqa: PLC0414
from macaroon_cbat.macaroon.principal import require_key as require_key  # noqa: PLC0414
from macaroon_cbat.macaroon.principal import require_scope as require_scope  # noqa: PLC0414
from macaroon_cbat.macaroon.revocation import RevocationSource
from macaroon_cbat.macaroon.signature import AuthenticCaveats, verify_signature
from macaroon_cbat.macaroon.unmet import not_met
from macaroon_cbat.macaroon.wire import read_discharges, read_macaroon

_Refusal = TypeVar("_Refusal", bound=OAuthError)


def verify(
    text: str,
    keys: KeySource,
    access: Access,
    *,
    require_certificate: bool = True,
    revocations: RevocationSource | None = None,
    discharges: Sequence[str] = (),
    custom: Mapping[str, Judge] = NO_JUDGES,
    known: KnownChains | None = None,
) -> Principal:
    """Return the principal that presents this token.

    `text` is the token: a version 2 macaroon in its one spelling of unpadded base64url, 8,000 characters at
    most. `keys` finds the audience key, and `access` has the facts of the request. An unbound token is
    refused unless `require_certificate` is False. No revocation is looked up if `revocations` is None.
    `discharges` are tokens of other services that satisfy third-party caveats, 16 at most, each bound to this
    macaroon. `custom` judges custom caveats by their names, once all others allow the access; an error that
    a judge raises passes. `known` are the chains that this verifier has verified before: what they say of a
    token is judged anew.

    Raises MalformedMacaroon for text or a discharge in any other spelling, UnknownKey if `keys` has no key
    for the token, SignatureMismatch if the HMAC chain does not hold, NotDischarged if a third-party caveat
    is not discharged, Revoked if `revocations` names the token or the certificate, CaveatsNotMet, with every
    reason, if a caveat or the expiry refuses the access or no scope is left, and NotCertificateBound for an
    unbound token. Each of these is an InvalidToken (401). Raises Unavailable (503) if `revocations` or
    `keys` cannot tell. The scope that a resource requires is not checked here: see `require_scope`.
    """
    if known is None or discharges:
        _, fresh = _verified(text, keys, discharges)
        return _admitted(fresh, access, revocations, custom, require_certificate=require_certificate)
    key, chain = None, known.find(text, keys)
    if chain is None:
        key, chain = _verified(text, keys, known=known)
    try:
        principal = _admitted(chain, access, revocations, custom, require_certificate=require_certificate)
    except Revoked:
        known.forget(text)
        raise
    if key is not None:
        known.add(text, key, chain)
    return principal


def _verified(
    text: str, keys: KeySource, discharges: Sequence[str] = (), known: KnownChains | None = None
) -> tuple[AudienceKey, Chain]:
    """Return the chain of a token, once its signature holds, and the key that it follows from."""
    macaroon = read_macaroon(text)
    identifier = macaroon.identifier
    grant = read_identifier(identifier) if known is None else known.grant_in(identifier)
    key = keys.key_for(grant)
    try:
        caveats = verify_signature(macaroon, key, read_discharges(discharges) if discharges else ())
    except NotDischarged as error:
        _of(grant, error)
        raise
    return key, Chain(identifier, grant, caveats, narrowed_by(grant, caveats))


def _admitted(
    chain: Chain,
    access: Access,
    revocations: RevocationSource | None,
    custom: Mapping[str, Judge],
    *,
    require_certificate: bool,
) -> Principal:
    """Return the principal of an authentic token, unless it is revoked or a caveat refuses the access."""
    if revocations is not None:
        refuse_revoked(chain.grant, access.certificate, revocations)
    narrowed = chain.narrowed
    if narrowed is not None and narrowed.allows(access):
        rights = narrowed.rights
        if rights.certificate is not None or not require_certificate:
            return rights
    return judge(chain.grant, chain.caveats, access, require_certificate=require_certificate, custom=custom)


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


def _of(grant: Grant, error: _Refusal) -> _Refusal:
    """Return the error with the names of the token, whose signature holds by now."""
    error.grant = RefusedGrant(grant.client_id, grant.jti)
    return error
