"""The introspection of a token for a resource server (RFC 7662 2.2, RFC 8705 3.2)."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from macaroon_cbat.certificate.thumbprint import Thumbprint, parse_thumbprint
from macaroon_cbat.errors import InvalidRequest, InvalidToken
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds, several
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint, parse_key_thumbprint
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.macaroon.signature import AuthenticCaveats, DischargeText
from macaroon_cbat.macaroon.verification import Principal, judge, refuse_revoked
from macaroon_cbat.service.audit import write_or_log_introspected
from macaroon_cbat.service.oauth2.introspected_caveats import (
    BoundTo,
    audiences_left,
    one_each,
    sorted_caveats,
    understood_details,
)
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.served_audiences import how_to_serve, served_audiences
from macaroon_cbat.stores import Client

INACTIVE: dict[str, object] = {"active": False}


def introspection_answer(
    text: str,
    caller: Client,
    issuer: Issuer,
    revocations: Callable[[Grant, Thumbprint | None, Thumbprint | None], Revocations],
    now: EpochSeconds,
    *,
    presented: Thumbprint | None = None,
    proof_key: KeyThumbprint | None = None,
    discharges: Sequence[str] = (),
) -> dict[str, object]:
    """Return the claims of an active token, narrowed by its caveats, or `{"active": false}` alone.

    A token is active for resource servers that serve its audience, and for its own client. Caveats about the
    request itself are not judged here. A token with one of them is active only for a resource server that is
    registered as understanding caveats, which gets all caveats as `caveats`. `presented` is the certificate
    that the token came with, if the caller names it; with a revoked one every token is inactive. A bound
    token is active only for a caller that names its certificate, or is registered as comparing certificates:
    many resource servers ignore `cnf` and would admit a thief. The same holds for a key and `proof_key`, the
    key of a DPoP proof that the caller verified. `discharges` came with the token; their
    caveats are among its own. A bad token raises nothing; raises Unavailable if the database is out of reach.
    """
    grant = None
    try:
        grant, written = issuer.authentic(text, discharges)
        texts = one_each(written)
        audiences = _asking_audiences(grant, caller, issuer.url)
        (certificate, key), judged, of_the_request = sorted_caveats(texts)
        revoked = revocations(grant, certificate, presented)
        for each in {certificate, presented}:
            refuse_revoked(grant, each, revoked)
        details = understood_details(of_the_request, caller)
        if certificate is not None and presented is None and not caller.metadata.checks_certificates:
            raise InvalidToken(
                f"{caller.client_id} does not compare certificate {certificate} and named none"
            )
        if key is not None and proof_key is None and not caller.metadata.checks_proofs:
            raise InvalidToken(f"{caller.client_id} does not verify DPoP proofs by key {key} and named none")
        access = Access(now=now, certificate=presented or certificate, proof_key=proof_key or key)
        principal = _judged(grant, judged, access, audiences)
        write_or_log_introspected(grant, active=True, certificate=certificate)
    except InvalidToken as error:
        write_or_log_introspected(grant, active=False, reason=str(error))
        return INACTIVE
    shown = texts if caller.metadata.understands_caveats else None
    claims = _claims(principal, (certificate, key), shown)
    if (left := audiences_left(grant, judged, audiences)) is not None:
        claims["aud"] = left
    if details is not None:
        claims["authorization_details"] = details
    acting = {} if grant.act is UNSET else {"act": grant.act}  # RFC 8693 4.1
    return {"active": True, "iss": issuer.url, **acting, **claims}


def named_certificate(text: str | None) -> Thumbprint | None:
    """Return the certificate that the caller says the token came with, or raise InvalidRequest."""
    try:
        return None if text is None else parse_thumbprint(text)
    except ValueError as error:
        raise InvalidRequest(f"client_certificate: {error}") from error


def named_key(text: str | None) -> KeyThumbprint | None:
    """Return the key whose proof the caller says it verified, or raise InvalidRequest."""
    try:
        return None if text is None else parse_key_thumbprint(text)
    except ValueError as error:
        raise InvalidRequest(f"dpop_jkt: {error}") from error


def _claims(principal: Principal, bound_to: BoundTo, shown: AuthenticCaveats | None) -> dict[str, object]:
    """Return the members of an active token; `shown` are its caveats, for a caller that understands them."""
    claims: dict[str, object] = {
        "client_id": principal.client_id,
        "exp": principal.expires_at,
        "iat": principal.issued_at,
        "jti": principal.token_id,
        "scope": " ".join(sorted(principal.scope)),
        "sub": principal.subject,
        "token_type": "Bearer" if bound_to[1] is None else "DPoP",
    }
    named = zip(("x5t#S256", "jkt"), bound_to, strict=True)
    if confirmed := {name: thumbprint for name, thumbprint in named if thumbprint is not None}:
        claims["cnf"] = confirmed
    if shown is not None:
        claims["caveats"] = [msgspec.Raw(text) for text in shown if not isinstance(text, DischargeText)]
    if shown is not None and principal.declared:
        claims["declared"] = dict(principal.declared)
    return claims


def _asking_audiences(grant: Grant, caller: Client, issuer: str) -> tuple[str | None, ...]:
    """Return the audiences for which the caller introspects, or raise InvalidToken if it may not.

    A resource server must serve one of the token's audiences, or any audience if the token has none. Another
    client may introspect its own tokens.
    """
    served = meant = served_audiences(caller, issuer)
    if grant.aud is not UNSET:
        meant = several(grant.aud)
        served = tuple(audience for audience in served if audience in meant)
    if served:
        return served
    if grant.client_id == caller.client_id:
        return (None,) if grant.aud is UNSET else several(grant.aud)
    none = f"none of {meant}" if caller.metadata.serves else f"no audience: {how_to_serve(caller)}"
    raise InvalidToken(f"{caller.client_id} serves {none}")


def _judged(
    grant: Grant, texts: AuthenticCaveats, access: Access, audiences: Sequence[str | None]
) -> Principal:
    """Return the principal at the first audience that the caveats allow.

    Raises the InvalidToken of the last one if they allow none.
    """
    for audience in audiences:
        try:
            return judge(grant, texts, replace(access, audience=audience), require_certificate=False)
        except InvalidToken as error:
            refusal = error
    raise refusal
