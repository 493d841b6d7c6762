"""The introspection of a refresh token by its own client (RFC 7662); to all others it is inactive.

So it is to its own client if that serves an audience: a resource server that presents what it was sent, and
reads `active` and `scope` of the answer alone, would take a refresh token for an access token.
"""

from collections.abc import Callable

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import InvalidToken, MalformedMacaroon, Revoked
from macaroon_cbat.macaroon.caveats import Access, Confirmation, KeyConfirmation
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.macaroon.signature import CarriedCaveats
from macaroon_cbat.macaroon.verification import refuse_revoked
from macaroon_cbat.macaroon.wire import Macaroon, read_macaroon
from macaroon_cbat.service.audit import write_or_log_introspected
from macaroon_cbat.service.oauth2.introspection import INACTIVE
from macaroon_cbat.service.oauth2.presented_rights import presented_rights, readable_caveats
from macaroon_cbat.service.oauth2.refresh_families import (
    PresentedRefreshToken,
    RefreshFamilies,
    is_refresh_token,
)
from macaroon_cbat.stores import Client

_BoundTo = tuple[Thumbprint | None, KeyThumbprint | None]
"""The certificate and the DPoP key to which a refresh token is bound."""


def refresh_token_in(text: str) -> tuple[Macaroon, Grant] | None:
    """Return the macaroon and unverified grant of what claims to be a refresh token, or None."""
    try:
        macaroon = read_macaroon(text)
        unverified = read_identifier(macaroon.identifier)
    except MalformedMacaroon:
        return None
    return (macaroon, unverified) if is_refresh_token(unverified) else None


def refresh_token_answer(
    unverified: tuple[Macaroon, Grant],
    caller: Client,
    families: RefreshFamilies,
    now: EpochSeconds,
    *,
    presented: Thumbprint | None,
    revocations: Callable[[Grant, Thumbprint | None, Thumbprint | None], Revocations],
) -> dict[str, object]:
    """Return the claims of a refresh token that its client could use now, or `{"active": false}` alone.

    `presented` is the certificate that the caller names; without it a bound token is active, and the answer
    says to which certificate it is bound. An ip caveat makes it inactive: no address is known here.
    """
    grant = None
    try:
        token = families.presented(*unverified, now)
        grant = token.grant
        if grant.client_id != caller.client_id:
            raise InvalidToken("a refresh token of another client")
        if caller.metadata.serves:
            raise InvalidToken("a refresh token, and its client is a resource server: it is no access token")
        certificate, proof_key = bound_to = _bound_to(token.carried)
        revoked = revocations(grant, certificate, presented)
        for each in {certificate, presented}:
            refuse_revoked(grant, each, revoked)
        _refuse_replaced(token, families, now)
        access = Access(now=now, certificate=presented or certificate, proof_key=proof_key)
        rights = presented_rights(grant, token.carried, access)
        scope = rights.narrowed_scope(None, caller)
    except InvalidToken as error:
        write_or_log_introspected(grant, active=False, reason=str(error))
        return INACTIVE
    write_or_log_introspected(grant, active=True, certificate=certificate)
    return _claims(token, scope, rights.caveats_end, bound_to, families.url)


def _claims(
    token: PresentedRefreshToken, scope: str, ends: EpochSeconds, bound_to: _BoundTo, url: str
) -> dict[str, object]:
    """Return the members of an active refresh token; `token_type` is for access tokens alone."""
    grant, granted = token.grant, token.family.granted
    claims: dict[str, object] = {
        "active": True,
        "iss": url,
        "client_id": grant.client_id,
        "sub": grant.sub,
        "scope": scope,
        "exp": ends,
        "iat": grant.iat,
        "jti": grant.jti,
    }
    if granted.audience is not None:
        claims["aud"] = granted.audience
    named = zip(("x5t#S256", "jkt"), bound_to, strict=True)
    if confirmed := {name: thumbprint for name, thumbprint in named if thumbprint is not None}:
        claims["cnf"] = confirmed
    return claims


def _refuse_replaced(token: PresentedRefreshToken, families: RefreshFamilies, now: EpochSeconds) -> None:
    """Raise Revoked for a token that a refresh would take for a replay; asking ends no family."""
    family, jti = token.family, token.grant.jti
    if jti != family.token_id and not family.was_just_replaced(jti, now, families.settings.refresh_grace):
        raise Revoked("this refresh token was replaced by another one")


def _bound_to(carried: CarriedCaveats) -> _BoundTo:
    """Return certificate and key of the first cnf caveats; the others must name the same."""
    certificate: Thumbprint | None = None
    proof_key: KeyThumbprint | None = None
    for caveat in readable_caveats(carried):
        if isinstance(caveat, Confirmation):
            certificate = certificate or Thumbprint(caveat.cnf.thumbprint)
        elif isinstance(caveat, KeyConfirmation):
            proof_key = proof_key or KeyThumbprint(caveat.cnf.jkt)
    return certificate, proof_key
