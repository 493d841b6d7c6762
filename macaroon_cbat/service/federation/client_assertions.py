"""Client authentication by a JWT (RFC 7521 4.2, RFC 7523 2.2): a client's own, or that of its workload."""

from typing import Any

from macaroon_cbat.errors import InvalidClient
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.federation.claims import (
    CLIENT_KINDS,
    live_until,
    refuse_audience,
    refuse_from_before,
    refuse_kind,
    subject_of,
)
from macaroon_cbat.service.federation.federation import Federation
from macaroon_cbat.service.federation.judging import given_keys, issuer_of
from macaroon_cbat.service.federation.jwt import Jwt, read_jwt
from macaroon_cbat.service.federation.narrowing import narrowed
from macaroon_cbat.service.federation.reaching import Place
from macaroon_cbat.service.federation.refusals import UnacceptableJwt
from macaroon_cbat.stores import Client, ClientStore
from macaroon_cbat.stores.trust import ALGORITHMS
from macaroon_cbat.text.printable import quoted

ASSERTION_TYPES = (
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
)
"""The values of `client_assertion_type`: RFC 7523 2.2, and the draft on SPIFFE client authentication."""
LONGEST_ASSERTION = 3600
"""Seconds that a client's own assertion may have left: libraries write up to an hour."""
METHOD = "private_key_jwt"


def client_of_assertion(
    federation: Federation,
    clients: ClientStore,
    assertion_type: str,
    assertion: str,
    *,
    client_id: str | None,
    now: EpochSeconds,
) -> Client:
    """Return the client that an assertion proves; `client_id` is the parameter of the request, if it has one.

    The caller has made sure that the request has no other authentication. A client whose workload has a JWT
    of a trusted issuer is as narrow as that trust. The assertion is used up. Raises InvalidClient, or
    Unavailable if the keys or the database are out of reach.
    """
    if assertion_type not in ASSERTION_TYPES:
        raise InvalidClient(
            f"the client_assertion_type is {quoted(assertion_type)}: send {ASSERTION_TYPES[0]}"
        )
    try:
        jwt = read_jwt(assertion)
        refuse_kind(jwt, CLIENT_KINDS)
        if federation.trusted.of(issuer_of(jwt)):
            return _workload(federation, clients, assertion, client_id, now)
        return _own(federation, clients, jwt, client_id, now)
    except UnacceptableJwt as error:
        raise InvalidClient(f"the client assertion is refused: {error}") from error


def _own(
    federation: Federation, clients: ClientStore, jwt: Jwt, client_id: str | None, now: EpochSeconds
) -> Client:
    """Return the client that signed the assertion with its registered key (RFC 7523 3)."""
    claims = jwt.claims
    name = issuer_of(jwt)
    client = clients.look_up(name)
    if client is None or client_id not in (None, name):
        raise UnacceptableJwt(
            f"its issuer {quoted(name)} is no client, or not the one that the request names"
        )
    _require_method(client)
    _verify(federation, client, jwt)
    if subject_of(claims) != name:
        raise UnacceptableJwt("its subject is not the client: iss and sub must both be the client_id")
    expires_at = live_until(claims, now, LONGEST_ASSERTION)
    # One value alone: an assertion that two servers accept lets one of them be the client at the other.
    refuse_audience(claims, federation.audiences, is_alone=True)
    refuse_from_before(claims, federation.restored_at, LONGEST_ASSERTION)
    federation.use_up(f"client {name} jti {subject_of(claims, 'jti')}", expires_at, now)
    return client


def _workload(
    federation: Federation, clients: ClientStore, assertion: str, client_id: str | None, now: EpochSeconds
) -> Client:
    """Return the client to which the trust in the issuer maps the workload."""
    accepted = federation.accepted(assertion, "client-authentication", now, client_id=client_id)
    name = accepted.trusted.client
    client = None if name is None else clients.look_up(name)
    if client is None:
        raise UnacceptableJwt(f"trust {accepted.name} is for client {name}, which is not registered")
    _require_method(client)
    if "cnf" in accepted.jwt.claims:
        raise UnacceptableJwt("it is bound to a key, whose proof is not looked for here")
    federation.use_once(accepted, now)
    return narrowed(client, accepted.trusted, federation.audiences)


def _require_method(client: Client) -> None:
    method = client.metadata.token_endpoint_auth_method
    if method != METHOD:
        raise UnacceptableJwt(f"{client.client_id} authenticates by {method}: register it for {METHOD}")


def _verify(federation: Federation, client: Client, jwt: Jwt) -> None:
    """Raise UnacceptableJwt unless a registered key of the client signed the assertion."""
    # The members are those of RFC 7591 2; exactly one of them is registered, or none for a workload's client.
    metadata: Any = client.metadata
    if metadata.jwks is not None:
        given_keys(metadata.jwks).verify(jwt, ALGORITHMS)
    elif metadata.jwks_uri is not None:
        place = Place(client.client_id, metadata.jwks_uri)
        federation.published_by_clients.verify(jwt, place, ALGORITHMS)
    else:
        raise UnacceptableJwt(
            f"{client.client_id} has no key of its own: only its workload's issuer proves it"
        )
