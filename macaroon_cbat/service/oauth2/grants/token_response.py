"""The end of every grant: a token is minted for what was authorized, audited, and answered."""

from collections.abc import Callable
from functools import partial
from typing import Literal

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from macaroon_cbat.service.audit import write_minted, write_or_log_key_changes
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.authorization_details import carried_details, detailed
from macaroon_cbat.service.oauth2.entitlements import refuse_unregistered, require_proof
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.issuer import Issuer, Minted
from macaroon_cbat.service.oauth2.refresh_families import RefreshFamilies, new_family
from macaroon_cbat.service.oauth2.shapes import TokenAnswer
from macaroon_cbat.stores import RecordChange


def token_response(
    issuer: Issuer,
    request: FormRequest,
    authorization: Authorization,
    uses: Callable[[Callable[[], None]], None] = lambda audit: audit(),
) -> TokenAnswer:
    """Return the answer with a new token (RFC 6749 5.1); the audit log has it before the client.

    `uses` writes the audit line and uses up what the token is given for, both or neither. Raises what it and
    `with_proof` raise, and Unavailable if the token cannot be audited.
    """
    minted = minted_for(issuer, request, authorization)
    uses(partial(write_minted, minted.grant, authorization.certificate, request.proof_key))
    return answer_of(minted, request, authorization)


def family_response(
    issuer: Issuer,
    families: RefreshFamilies,
    request: FormRequest,
    authorization: Authorization,
    uses: RecordChange | None = None,
) -> TokenAnswer:
    """Return the answer with a new token, and with a refresh token if the client is registered for them.

    It is for grants that a client cannot simply repeat, and so not for client_credentials (RFC 6749 4.4.3).
    `uses` is the change of a record that a family comes from. That, the beginning of the family and the audit
    line of its first token are one transaction, after which nothing can fail. Raises InvalidGrant and
    Unavailable.
    """
    if "refresh_token" not in authorization.client.metadata.allowed_grants:
        return token_response(issuer, request, authorization)
    refuse_unregistered(authorization.client, authorization.audience, issuer.audience)
    authorization = with_proof(request, detailed(request, authorization))
    authorization = replace(authorization, family=authorization.family or new_family())
    minted = minted_for(issuer, request, authorization)
    audit = partial(write_minted, minted.grant, authorization.certificate, request.proof_key)
    refresh_token = families.begin(authorization, request.now, uses, audit)
    return answer_of(minted, request, authorization, refresh_token)


def with_proof(request: FormRequest, authorization: Authorization) -> Authorization:
    """Return the authorization bound to the key of the request's DPoP proof, whatever its grant (RFC 9449 5).

    Raises InvalidDpopProof if the client needs a proof or another request used the proof before, and
    Unavailable if the database is out of reach.
    """
    require_proof(authorization.client, request.proof)
    if request.proof is None:
        return authorization
    request.proof.use()
    return replace(authorization, proof_key=request.proof.key)


def minted_for(issuer: Issuer, request: FormRequest, authorization: Authorization) -> Minted:
    """Return a new token that nothing has told of yet, after the keys that are due have rotated."""
    refuse_unregistered(authorization.client, authorization.audience, issuer.audience)
    authorization = with_proof(request, detailed(request, authorization))
    write_or_log_key_changes(issuer.keep_keys(request.now), request.now)
    return issuer.mint(authorization, request.now)


def answer_of(
    minted: Minted,
    request: FormRequest,
    authorization: Authorization,
    refresh_token: str | UnsetType = UNSET,
) -> TokenAnswer:
    """Return the answer with this token (RFC 6749 5.1)."""
    lifetime = minted.grant.exp - request.now
    kind: Literal["Bearer", "DPoP"] = "Bearer" if request.proof is None else "DPoP"
    details = carried_details(detailed(request, authorization).carried)
    return TokenAnswer(
        access_token=minted.text,
        token_type=kind,
        expires_in=lifetime,
        scope=authorization.scope,
        refresh_token=refresh_token,
        authorization_details=UNSET if details is None else details,
    )
