"""The guard before the service's own endpoints: the same core as at every resource server, never laxer.

The audience is the issuer itself, every token is certificate-bound, and revocations count at once. What a
client may do here is what it is registered for now, whatever its token was granted.
"""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Request

from macaroon_cbat.certificate.source import client_address
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import AccessDenied, CaveatsNotMet, InvalidToken, UnknownKey
from macaroon_cbat.macaroon.bearer import read_bearer
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import AudienceKey
from macaroon_cbat.macaroon.verification import Principal, require_scope, verify
from macaroon_cbat.service.audit import is_with
from macaroon_cbat.service.http.client_certificate import client_certificate, refuse_hidden
from macaroon_cbat.service.locations import Locations
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.stores import Client, Stores


@dataclass(frozen=True, slots=True)
class OwnGuard:
    """Lets clients of the service pass; a KeySource for tokens whose audience is the issuer.

    `locations` say where clients reach these endpoints, which `htu` and `path` caveats are compared with.
    """

    issuer: Issuer
    stores: Stores
    clock: Callable[[], float]
    locations: Locations

    def admit(self, request: Request, scope: str) -> Client:
        """Return the client that is registered for this scope and whose bound token carries it.

        Raises MissingToken, InvalidToken, InsufficientScope, or AccessDenied when only the token still has
        the scope, or Unavailable when nobody can tell.
        """
        text = read_bearer(request.environ.get("HTTP_AUTHORIZATION"))
        presented = client_certificate(request)
        access = Access(
            now=EpochSeconds(int(self.clock())),
            audience=self.issuer.audience,
            certificate=presented.thumbprint,
            method=request.method,
            target=self.locations.target_of(request),
            address=client_address(
                WsgiConnection(request.environ), presented, request.environ.get("REMOTE_ADDR")
            ),
        )
        try:
            principal = self._verified(text, access)
        except CaveatsNotMet as error:
            if error.lacks_certificate_alone:
                refuse_hidden(presented)
            raise
        is_with(principal.client_id, principal.token_id)
        require_scope(principal, scope)
        client = self._registered(principal)
        if scope not in client.metadata.scopes:
            raise AccessDenied(f"client {client.client_id!r} is not registered for scope {scope!r} any more")
        return client

    def _verified(self, text: str, access: Access) -> Principal:
        """Return who presents the token; what refuses an authentic one says of which token it speaks."""
        try:
            return verify(text, self, access, revocations=self.stores.revocations)
        except InvalidToken as error:
            if error.grant is not None:
                is_with(*error.grant)
            raise

    def _registered(self, principal: Principal) -> Client:
        """Return the client as it is registered now, or raise InvalidToken for a token of before that."""
        client = self.stores.clients.find(principal.client_id)
        if client is None:
            raise InvalidToken(f"client {principal.client_id!r} is not registered any more")
        if principal.issued_at < client.tokens_since:
            raise InvalidToken(
                f"client {principal.client_id!r} was registered anew or changed: get a new token"
            )
        return client

    def key_for(self, unverified: Grant, /) -> AudienceKey:
        """Return the key for a grant whose audience is the issuer itself, or raise UnknownKey."""
        if unverified.aud != self.issuer.audience:
            raise UnknownKey(f"minted for {unverified.audience!r}, not for the service itself")
        return self.issuer.key_for(unverified)
