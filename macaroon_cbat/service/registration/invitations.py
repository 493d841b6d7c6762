"""Invitations: initial access macaroons that an administrator makes, for clients to register themselves."""

from macaroon_cbat.errors import InvalidClientMetadata, Unavailable
from macaroon_cbat.macaroon.audiences import checked_audience, is_among
from macaroon_cbat.macaroon.claims import EpochSeconds, scope_tokens
from macaroon_cbat.service.registration.bounds import RegistrationCaveat
from macaroon_cbat.service.registration.rules import Audit
from macaroon_cbat.service.registration.shapes import InvitationRequest, NewInvitation
from macaroon_cbat.service.registration.tokens import mint_invitation, new_token_id
from macaroon_cbat.service.reserved_scopes import RESERVED_SCOPES
from macaroon_cbat.stores import Stores


def new_invitation(  # noqa: PLR0917 # the stores and what is written into them
    stores: Stores,
    issuer: str,
    wanted: InvitationRequest,
    inviter: str,
    now: EpochSeconds,
    audit: Audit,
) -> NewInvitation:
    """Return a new invitation, which lives until it expires or its id is revoked.

    Raises InvalidClientMetadata for rights that no client may give itself, and Unavailable if it cannot be
    audited: it opens nothing then.
    """
    audiences = _checked(wanted, issuer)
    token_id, expires_at = new_token_id(), EpochSeconds(now + wanted.lifetime)
    root = stores.registrations.invite(token_id, expires_at, now)
    text = mint_invitation(
        root,
        issuer,
        client_id=inviter,
        scope=wanted.scope,
        bounds=RegistrationCaveat(
            audiences=audiences,
            grant_types=wanted.grant_types,
            hosts=wanted.hosts,
            registrations=wanted.registrations,
            token_endpoint_auth_methods=wanted.token_endpoint_auth_methods,
        ),
        expires_at=expires_at,
        now=now,
    )
    try:
        rights = {"scope": wanted.scope, "audience": " ".join(audiences)}
        audit("client.invited", token_id=token_id, **rights)
    except Unavailable:
        stores.expiring.drop("invitation", token_id)
        raise
    return NewInvitation(text, token_id, expires_at)


def _checked(wanted: InvitationRequest, issuer: str) -> tuple[str, ...]:
    """Return the audiences in canonical spelling, or raise InvalidClientMetadata."""
    if reserved := sorted(scope_tokens(wanted.scope) & set(RESERVED_SCOPES)):
        raise InvalidClientMetadata(
            f"the scope {reserved[0]} is for the service itself: register its client with client add"
        )
    try:
        audiences = tuple(dict.fromkeys(checked_audience(one) for one in wanted.audiences))
    except ValueError as error:
        raise InvalidClientMetadata(str(error)) from error
    if not audiences:
        raise InvalidClientMetadata(
            "audiences is empty, and a client without any gets tokens for every resource server: name one"
        )
    if is_among(issuer, audiences):
        raise InvalidClientMetadata("an audience is the service itself: leave it out")
    return audiences
