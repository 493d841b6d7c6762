"""The entitlements of a client: the scope, audience and certificate of the token that it gets.

The scopes `keys`, `revocations`, `admin` and `grants` are for the service itself, whose audience is the
issuer's URL. They are for no other resource server, and no other scope is for the service itself.
"""

from collections.abc import Iterable, Sequence

from macaroon_cbat.certificate.source import PresentedCertificate
from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.errors import InvalidDpopProof, InvalidRequest, InvalidScope, InvalidTarget
from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.macaroon.claims import several
from macaroon_cbat.service.http.client_certificate import require_reachable
from macaroon_cbat.service.reserved_scopes import RESERVED_SCOPES
from macaroon_cbat.stores import Client

MOST_AUDIENCES = 16
"""Audiences of one token: each one's URI is in its identifier."""


Audience = str | tuple[str, ...] | None
"""The audience of a token: one resource server, which can verify it; several, or any: it is introspected."""


def named_resources(resources: Iterable[str]) -> Audience:
    """Return the resources that a request names (RFC 8707 2), canonical, each once; None if it names none."""
    named = tuple(dict.fromkeys(canonical_audience(resource) for resource in resources))
    return named if len(named) > 1 else next(iter(named), None)


def narrowed_audience(granted: Audience, named: Audience, registered: Sequence[str]) -> Audience:
    """Return the audience of a token that is obtained with a wider grant: the named resources, or all of it.

    A grant for any audience can be narrowed to those for which the client is registered. Raises InvalidTarget
    for a resource that is not within the grant (RFC 8707 2.2).
    """
    if named is None:
        return granted
    within = registered if granted is None else several(granted)
    for resource in several(named):
        if resource not in within:
            raise InvalidTarget(f"the resource {resource[:200]} was not granted: name one that was")
    return named


def granted_audience(client: Client, resource: Audience, issuer: str) -> Audience:
    """Return the audience to mint for: the requested resources, else the client's only one (RFC 8707 2).

    All texts are canonical. A client with a reserved scope need not register the issuer as audience. Raises
    InvalidTarget for an audience that the client may not get, for the service itself beside another one, and
    if the client must name one of several.
    """
    registered = client.metadata.audiences
    if isinstance(resource, tuple):
        return _granted_audiences(resource, registered, issuer)
    if resource is None:
        if len(registered) > 1:
            raise InvalidTarget("this client has several audiences: name one with the parameter resource")
        resource = registered[0] if registered else None
    if resource == issuer:
        if not any(scope in RESERVED_SCOPES for scope in client.metadata.scopes):
            raise InvalidTarget(
                "this client may not use the service itself: register it with a scope of "
                + ", ".join(RESERVED_SCOPES)
            )
        return issuer
    if resource is not None and resource not in registered:
        raise InvalidTarget("this resource is not registered for this client: register it")
    return resource


def _granted_audiences(resources: tuple[str, ...], registered: Sequence[str], issuer: str) -> tuple[str, ...]:
    """Return several audiences of one token, which is introspected."""
    if issuer in resources:
        raise InvalidTarget("a token for the service itself is for it alone: request one for the others")
    if len(resources) > MOST_AUDIENCES:
        raise InvalidTarget(f"the request names {len(resources)} resources: name {MOST_AUDIENCES} at most")
    if unknown := [resource for resource in resources if resource not in registered]:
        raise InvalidTarget(f"the resource {unknown[0][:200]} is not registered for this client: register it")
    return resources


def refuse_unregistered(client: Client, audience: Audience, issuer: str) -> None:
    """Raise InvalidTarget for a token beyond the audiences of the client, as it authenticated this time.

    A grant, such as a refresh token, may be wider: a workload's JWT narrows its client for one request.
    """
    registered = client.metadata.audiences
    if registered and audience != issuer and not (audience and set(several(audience)) <= set(registered)):
        raise InvalidTarget(
            "a resource of the grant is not open to this client as it authenticated now: name others"
        )


def granted_scope(client: Client, requested: str | None, audience: Audience, issuer: str) -> str:
    """Return the scope to grant for the audience: the requested scope, else all that is registered for it.

    Raises InvalidScope for a scope that is not registered, or not for this audience.
    """
    is_own = audience == issuer
    if client.metadata.scope is None:
        raise InvalidScope("this client is registered without a scope: register the scope of its tokens")
    registered = client.metadata.scope.split(" ")
    open_here = [scope for scope in registered if (scope in RESERVED_SCOPES) == is_own]
    wanted = open_here if requested is None else requested.split(" ")
    if unknown := [scope for scope in wanted if scope not in registered]:
        raise InvalidScope(f"the scope {unknown[0][:60]!r} is not registered for this client: register it")
    if misplaced := [scope for scope in wanted if scope not in open_here]:
        where = "not for the service itself: leave it out"
        if not is_own:
            where = f"for the service itself: request it with resource={issuer}"
        raise InvalidScope(f"the scope {misplaced[0]!r} is {where}")
    if not wanted:
        raise InvalidScope(
            f"this client's scopes are for the service itself: request it with resource={issuer}"
        )
    return " ".join(scope for scope in open_here if scope in wanted)


def require_proof(client: Client, proof: object) -> None:
    """Raise InvalidDpopProof without the proof that the client is registered to send (RFC 9449 5.2)."""
    if proof is None and client.metadata.dpop_bound_access_tokens:
        raise InvalidDpopProof("this client gets DPoP-bound tokens only: send a proof in the header DPoP")


def granted_certificate(client: Client, presented: PresentedCertificate) -> Thumbprint | None:
    """Return the certificate to bind the token to; None for a client that is not registered as bound.

    Raises InvalidRequest if such a client presents none (RFC 8705 3), and ServerMisconfigured if this server
    can show none.
    """
    if not client.metadata.tls_client_certificate_bound_access_tokens:
        return None
    require_reachable(presented)
    if presented.thumbprint is None:
        raise InvalidRequest("this client gets certificate-bound tokens only: present a client certificate")
    return presented.thumbprint
