"""The grants whose proof is a JWT of a trusted issuer: RFC 7523 2.1, and RFC 8693 with a foreign token.

The operator's trust decides whose the JWT is. With a fixed client alone, the JWT is the client's credential,
and the request needs no other. With a subject, the client must authenticate: a JWT that names a person may be
in many hands.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from macaroon_cbat.errors import InvalidGrant, InvalidRequest, OAuthError, UnauthorizedClient
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.audit import is_from, is_through
from macaroon_cbat.service.federation.claims import foreign_confirmation
from macaroon_cbat.service.federation.federation import PLAIN, Federation
from macaroon_cbat.service.federation.judging import Accepted
from macaroon_cbat.service.federation.jwt import is_jwt_shaped
from macaroon_cbat.service.federation.narrowing import narrowed, refuse_other_resource
from macaroon_cbat.service.federation.refusals import UNTRUSTED, UnacceptableJwt
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.client_authentication import lasting, refuse_revoked_certificate
from macaroon_cbat.service.oauth2.entitlements import (
    granted_audience,
    granted_certificate,
    granted_scope,
    named_resources,
    require_proof,
)
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.service.oauth2.owner_rights import reason_of_end
from macaroon_cbat.stores import Client, RevocationStore
from macaroon_cbat.stores.grant_types import JWT_BEARER, TOKEN_EXCHANGE, GrantType
from macaroon_cbat.stores.trust import ForeignTokenType, TrustUse

_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"
_ENDED = "the JWT was issued before the tokens of its subject were revoked: request a new one"
_CREDENTIALS = ("client_secret", "client_assertion", "client_assertion_type")


def is_foreign(token_type: str, text: str) -> bool:
    """Return True if a subject token is one of another issuer: a macaroon of this service has no dot."""
    kind = token_type.removeprefix(_TOKEN_TYPE)
    return kind in ("jwt", "id_token") or (kind == "access_token" and is_jwt_shaped(text))


class ProvedByJwt(NamedTuple):
    """An authorization by a JWT, and how the JWT is used up."""

    authorization: Authorization
    uses: Callable[[Callable[[], None]], None]
    """Uses the JWT up together with an action: an error of the action leaves the JWT usable."""


def bearer_jwt(server: Any, request: FormRequest, assertion: str) -> ProvedByJwt:
    """Return the authorization by an assertion (RFC 7523 2.1).

    Raises InvalidGrant for one that is not acceptable (RFC 7521 4.1.1), and the errors of scope, audience and
    client.
    """
    return _proved(server, request, _Presented(assertion, "jwt-bearer"), InvalidGrant, "assertion")


def exchanged_jwt(server: Any, request: FormRequest, subject_token: str, token_type: str) -> ProvedByJwt:
    """Return the authorization by a subject token for which `is_foreign` is true (RFC 8693 2.1).

    The new token ends with the old one. Raises InvalidRequest for a token that is not acceptable (RFC 8693
    2.2.2), and the errors of scope, audience and client.
    """
    if "actor_token" in request.form:
        raise InvalidRequest("an actor_token goes with a macaroon of this service: leave it out with a JWT")
    kind = cast("ForeignTokenType", token_type.removeprefix(_TOKEN_TYPE))
    presented = _Presented(subject_token, "token-exchange", kind)
    return _proved(server, request, presented, InvalidRequest, "subject token")


def _proved(
    server: Any, request: FormRequest, presented: "_Presented", refusal: type[OAuthError], what: str
) -> ProvedByJwt:
    federation: Federation = server.federation
    with _refused_as(refusal, what):
        accepted, authorization = _authorization(server, request, presented)

    def use_up(action: Callable[[], None]) -> None:
        with _refused_as(refusal, what):
            federation.use_once(accepted, request.now, action)

    return ProvedByJwt(authorization, use_up)


@contextmanager
def _refused_as(kind: type[OAuthError], what: str) -> Iterator[None]:
    """Raise an error of this kind for an unacceptable JWT, which tells the client what it may learn."""
    try:
        yield
    except UnacceptableJwt as error:
        refusal = kind(f"the {what} is refused: {error}")
        refusal.told = f"the {what} is refused: {error.told}"
        raise refusal from error


class _Found(NamedTuple):
    """A client behind the one attribute of Authlib's interface that is read after the grant."""

    record: Client


class _Presented(NamedTuple):
    """A JWT as a request presents it."""

    text: str
    use: TrustUse
    token_type: ForeignTokenType = PLAIN


def _authorization(
    server: Any, request: FormRequest, presented: _Presented
) -> tuple[Accepted, Authorization]:
    federation: Federation = server.federation
    accepted = federation.accepted(
        presented.text,
        presented.use,
        request.now,
        token_type=presented.token_type,
        client_id=_named_client(request),
    )
    bound_to = foreign_confirmation(accepted.jwt.claims, request.presented.thumbprint, request.proof_key)
    client = _client(server, request, accepted)
    is_through(accepted.name, accepted.subject)
    _refuse_ended(server.stores.revocations, accepted, request.now)
    is_exchange = presented.use == "token-exchange"
    _require_grant(client, TOKEN_EXCHANGE if is_exchange else JWT_BEARER)
    issuer = server.issuer.audience
    within = narrowed(client, accepted.trusted, (issuer,))
    audience = granted_audience(within, named_resources(request.resources), issuer)
    refuse_other_resource(audience, accepted.trusted)
    authorization = Authorization(
        client=client,
        subject=accepted.subject or client.client_id,
        scope=granted_scope(within, request.form.get("scope"), audience, issuer),
        audience=audience,
        certificate=granted_certificate(client, request.presented) or bound_to,
        is_a_beginning=True,
        not_after=accepted.expires_at if is_exchange else None,
    )
    require_proof(client, request.proof)
    _count(server, request, accepted)
    return accepted, authorization


def _count(server: Any, request: FormRequest, accepted: Accepted) -> None:
    """Count the request of the client that the JWT alone proves, as of any other client.

    A JWT that was used before proves nothing: an attacker who finds one costs the client no request.
    """
    server.federation.refuse_used(accepted, request.now)
    if isinstance(request.client, _Found):
        server.throttle.succeeded(request.client.record.client_id, request.limited_address())


def _refuse_ended(revocations: RevocationStore, accepted: Accepted, now: EpochSeconds) -> None:
    """Raise UnacceptableJwt for the JWT of a subject whose tokens so far were revoked after it was issued.

    It would undo the revocation, as a code or an approval of that time would. A JWT that does not say when it
    was issued may be as old as that. The JWT of a workload is the credential of its client, which a
    revocation of tokens leaves alone.
    """
    subject = accepted.subject
    if subject is None:
        return
    issued_at = EpochSeconds(min(now, int(accepted.jwt.claims.get("iat", 0))))
    # The client has authenticated by itself; a subject of an issuer never has the name of a client.
    if (reason := reason_of_end(revocations, subject, subject, issued_at)) is not None:
        raise UnacceptableJwt(f"it is older than a revocation: {reason}", _ENDED)


def _client(server: Any, request: FormRequest, accepted: Accepted) -> Client:
    """Return the client that gets the token, or raise InvalidClient or UnacceptableJwt.

    A request that has credentials is always authenticated, even if the JWT would do.
    """
    mapped = accepted.trusted.client
    if accepted.subject is None and not _has_credentials(request):
        return _mapped_client(server, request, accepted)
    request.client = server.authenticate_client(request, ())
    client: Client = request.client.record
    if mapped not in (None, client.client_id):
        raise UnacceptableJwt(f"it is for client {mapped}, not for {client.client_id}", UNTRUSTED)
    return client


def _mapped_client(server: Any, request: FormRequest, accepted: Accepted) -> Client:
    """Return the registered client that the JWT itself proves."""
    refuse_revoked_certificate(request.presented, server.stores.revocations)
    name = accepted.trusted.client
    client: Client | None = None if name is None else server.stores.clients.find(name)
    if client is None:
        reason = f"trust {accepted.name} is for client {name}, which is not registered"
        raise UnacceptableJwt(reason, UNTRUSTED)
    is_from(client.client_id)
    request.client = _Found(lasting(client, request.now))
    return client


def _has_credentials(request: FormRequest) -> bool:
    return "Authorization" in request.headers or any(name in request.form for name in _CREDENTIALS)


def _named_client(request: FormRequest) -> str | None:
    """Return the client_id of the form; one in a header is compared once it is authenticated."""
    return request.form.get("client_id")


def _require_grant(client: Client, grant_type: GrantType) -> None:
    if grant_type not in client.metadata.allowed_grants:
        raise UnauthorizedClient(
            f"client {client.client_id} is not registered for {grant_type}: change it with client update"
        )
