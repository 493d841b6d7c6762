"""A client as narrow as the trust through which it comes."""

from collections.abc import Collection

import msgspec

from macaroon_cbat.errors import InvalidScope, InvalidTarget
from macaroon_cbat.macaroon.audiences import is_among
from macaroon_cbat.service.reserved_scopes import RESERVED_SCOPES
from macaroon_cbat.stores import Client
from macaroon_cbat.stores.trust import TrustedIssuer


def narrowed(client: Client, trusted: TrustedIssuer, own: Collection[str]) -> Client:
    """Return the client with the scopes and audiences that its registration and the trust have in common.

    Trust without bounds, which no grant has, leaves the client as it is. `own` are the names of the service
    itself: its scopes are open if one of them is among the resources of the trust. A client without audiences
    gets tokens for every one, so no scope is left without an audience in common. Raises InvalidScope or
    InvalidTarget if nothing is in common.
    """
    metadata = client.metadata
    scopes = [] if metadata.scope is None else metadata.scope.split(" ")
    if trusted.scope is not None:
        allowed = trusted.scope.split(" ")
        scopes = [scope for scope in scopes if scope in allowed]
        if not scopes:
            raise InvalidScope(
                f"client {client.client_id} has no scope that its trusted issuer may grant: add one"
            )
    audiences = metadata.audiences
    if trusted.resources:
        audiences = tuple(one for one in audiences if is_among(one, trusted.resources))
        is_open = {True: any(is_among(one, trusted.resources) for one in own), False: bool(audiences)}
        scopes = [scope for scope in scopes if is_open[scope in RESERVED_SCOPES]]
        if not scopes and metadata.scope is not None:
            raise InvalidTarget(
                f"client {client.client_id} has no audience that its trusted issuer may grant: add one"
            )
    scope = " ".join(scopes) or None
    return msgspec.structs.replace(
        client, metadata=msgspec.structs.replace(metadata, scope=scope, audiences=audiences)
    )


def refuse_other_resource(audience: str | tuple[str, ...] | None, trusted: TrustedIssuer) -> None:
    """Raise InvalidTarget for a token that the trust does not bound: for another resource, or for any."""
    audiences = (audience,) if isinstance(audience, str) else audience or ()
    if trusted.resources and not (audiences and all(is_among(one, trusted.resources) for one in audiences)):
        raise InvalidTarget("this resource is not open to the issuer of the JWT: name one that is")
