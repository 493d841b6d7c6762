"""The exchange of a macaroon of this service for another one (RFC 8693): narrower, or for another audience.

The new token carries every caveat of the old one, ends no later, and is of the same subject and refresh
family. A client may exchange its own tokens, in the name of another subject for the audiences that they have.
Those of another client it may exchange only if that client is registered with its name in `may_act`; the new
token then names it as the actor. A holder says which client may exchange a token by the certificate that it
binds the token to.
"""

from dataclasses import dataclass
from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from macaroon_cbat.errors import InvalidRequest, InvalidTarget
from macaroon_cbat.macaroon.audiences import is_same_audience
from macaroon_cbat.macaroon.claims import EpochSeconds, scope_tokens, several
from macaroon_cbat.macaroon.identifier import Actor, Grant, read_identifier
from macaroon_cbat.macaroon.target import parse_target
from macaroon_cbat.macaroon.verification import judge, refuse_revoked
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service.audit import is_with
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.entitlements import (
    Audience,
    granted_audience,
    granted_certificate,
    granted_scope,
    named_resources,
)
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.presented_rights import PresentedRights, presented_rights, refused_as
from macaroon_cbat.service.oauth2.refresh_families import is_refresh_token
from macaroon_cbat.stores import Client, Stores

MOST_ACTORS = 5
"""Links of a chain of actors, at most."""


class WantedExchange(NamedTuple):
    """The tokens and the rights that a request names."""

    subject_token: str
    actor_token: str | None
    resources: tuple[str, ...]
    scope: str | None


@dataclass(frozen=True, slots=True)
class MacaroonExchange:
    """The exchange that a request of an authenticated client is about."""

    client: Client
    request: FormRequest
    issuer: Issuer
    stores: Stores

    def authorization(self, wanted: WantedExchange) -> Authorization:
        """Return the authorization for the new token.

        Raises InvalidRequest for a subject or actor token that is invalid or that this client may not
        exchange (RFC 8693 2.2.2), InvalidTarget for an audience, and InvalidScope for a scope that it cannot
        have.
        """
        client, presented = self.client, self.request.presented
        rights = self._subject(wanted.subject_token)
        grant = rights.grant
        self._refuse_foreign(grant)
        actor, not_after = self._actor(wanted.actor_token, grant)
        audience = _audience(wanted, rights, client, self.issuer)
        one = audience if isinstance(audience, str) else None
        registered = granted_scope(client, wanted.scope, one, self.issuer.audience)
        open_here = replace(rights, scope=rights.scope & scope_tokens(registered))
        certificate = granted_certificate(client, presented)
        return Authorization(
            client=client,
            subject=grant.sub,
            scope=open_here.narrowed_scope(wanted.scope, client),
            audience=audience,
            certificate=presented.thumbprint if rights.is_bound else certificate,
            carried=rights.carried,
            family=None if grant.fam is UNSET else grant.fam,
            actor=actor,
            not_after=min(rights.caveats_end, not_after),
        )

    def _subject(self, text: str) -> PresentedRights:
        """Return the rights of a live subject token over this connection, or raise InvalidRequest."""
        with refused_as(InvalidRequest, "the subject token cannot be exchanged"):
            macaroon = read_macaroon(text)
            unverified = read_identifier(macaroon.identifier)
            if is_refresh_token(unverified):
                raise InvalidRequest("the subject token is a refresh token: exchange an access token of it")
            carried = self.issuer.opened(macaroon, unverified)
            is_with(self.client.client_id, unverified.jti)
            refuse_revoked(unverified, self.request.presented.thumbprint, self.stores.revocations)
            return presented_rights(unverified, carried, self.request.access())

    def _refuse_foreign(self, grant: Grant) -> None:
        """Raise InvalidRequest unless the client may exchange tokens of the client that this one is of."""
        owner = self.stores.clients.find(grant.client_id)
        if owner is None or grant.iat < owner.tokens_since:
            raise InvalidRequest("the subject token's client was removed or changed: get a new token")
        if self.client.client_id not in (grant.client_id, *owner.metadata.may_act):
            raise InvalidRequest(
                "the subject token was issued to another client, which is not registered with this one in "
                "may_act: its operator has to change that"
            )

    def _actor(self, text: str | None, grant: Grant) -> tuple[Actor | None, EpochSeconds]:
        """Return the chain of actors of the new token, and the second in which the actor's own token ends.

        A client that narrows its own token is no further actor. Raises InvalidRequest for an actor token that
        is not a live one of this client.
        """
        before = None if grant.act is UNSET else grant.act
        name, ends = self.client.client_id, grant.expires_at
        if text is not None:
            acting = self._acting(text)
            name, ends = acting.sub, acting.expires_at
        elif self.client.client_id == grant.client_id:
            return before, ends
        if _length(before) >= MOST_ACTORS:
            raise InvalidRequest(
                f"the subject token went through {MOST_ACTORS} actors, the most: get a new one"
            )
        return Actor(sub=name, act=UNSET if before is None else before), ends

    def _acting(self, text: str) -> Grant:
        """Return the grant of the actor's own token, which this endpoint judges as a resource server does.

        Its audience does not matter, unless a caveat names one: what counts is whose it is.
        """
        request, client = self.request, self.client
        with refused_as(InvalidRequest, "the actor token is not valid here"):
            grant, texts = self.issuer.authentic(text)
            refuse_revoked(grant, request.presented.thumbprint, self.stores.revocations)
            target, audience = parse_target(request.uri), self.issuer.audience
            access = replace(request.access(), audience=audience, method="POST", target=target)
            judge(replace(grant, aud=UNSET), texts, access, require_certificate=False)
        if grant.client_id != client.client_id or grant.act is not UNSET or grant.iat < client.tokens_since:
            raise InvalidRequest("the actor token is not one that this client got for itself: send its own")
        return grant


def _length(actor: Actor | None) -> int:
    links = 0
    while actor is not None:
        links, actor = links + 1, None if actor.act is UNSET else actor.act
    return links


def _audience(wanted: WantedExchange, rights: PresentedRights, client: Client, issuer: Issuer) -> Audience:
    """Return the audience of the new token: the named one, else that of the old one (RFC 8707 2)."""
    before = None if rights.grant.aud is UNSET else rights.grant.aud
    named = named_resources(wanted.resources)
    audience: Audience
    if named is not None:
        audience = granted_audience(client, named, issuer.audience)
    elif client.client_id == rights.grant.client_id:
        audience = before
    else:
        audience = granted_audience(client, before, issuer.audience)
    if isinstance(audience, str) and is_same_audience(audience, issuer.audience) and audience != before:
        raise InvalidTarget(
            "a token for a resource server cannot become one for the service itself: use another grant"
        )
    if not rights.allows_audience(audience):
        raise InvalidTarget("an aud caveat of the subject token excludes this resource: name another one")
    _refuse_wider(rights.grant, audience, client)
    return audience


def _refuse_wider(grant: Grant, audience: Audience, client: Client) -> None:
    """Raise InvalidTarget for a resource beyond those of a client's own token in the name of another subject.

    A person approved the audiences of a login, and a trust in an issuer bounds those of its subjects. A
    refresh reaches no other one, so an exchange does not either, unless the operator says that this client
    acts for its users: by its own name in its `may_act`. A token in its own name it could request anyway.
    """
    name = client.client_id
    if grant.client_id != name or grant.sub == name or grant.aud is UNSET or name in client.metadata.may_act:
        return
    if not set(several(audience or ())) <= set(several(grant.aud)):
        raise InvalidTarget(
            "the subject token is for other resources: request one that is for this one, too, or let the "
            "operator name this client in its own may_act"
        )
