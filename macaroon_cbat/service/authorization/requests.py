"""Authorization requests (RFC 6749 4.1.1): first where an answer may go, and only then what is requested.

Authlib's authorization endpoint is not used. It judges a request anew when the person has decided, from
parameters that the browser sends again, and a pushed request (RFC 9126) can be used once only.
"""

from typing import NamedTuple

from msgspec import Struct

from macaroon_cbat.errors import (
    InvalidRequest,
    UnauthorizedClient,
    UnsupportedResponseType,
)
from macaroon_cbat.errors.people import RequestNotSupported
from macaroon_cbat.macaroon.proof_keys import parse_key_thumbprint
from macaroon_cbat.service.authorization.parameters import LONGEST_PARAMETER, MOST_RESOURCES, Parameters
from macaroon_cbat.service.authorization.prompting import read_max_age, read_prompt
from macaroon_cbat.service.authorization.pushed import PushedRequest
from macaroon_cbat.service.detail_types import DetailTypes
from macaroon_cbat.service.oauth2.authorization_details import requested_details
from macaroon_cbat.service.oauth2.entitlements import (
    Audience,
    granted_audience,
    granted_scope,
    named_resources,
)
from macaroon_cbat.service.oauth2.owner_rights import refuse_operators_rights
from macaroon_cbat.service.oauth2.pkce import required_challenge
from macaroon_cbat.stores import Client, ClientStore
from macaroon_cbat.stores.redirect_uris import is_private, is_redirect

GRANT = "authorization_code"


class Rules(NamedTuple):
    """The rules of a service for every request."""

    issuer: str
    """The audience of the service itself."""
    detail_types: DetailTypes
    must_be_pushed: bool
    """True if every client must push its request (RFC 9126 5)."""
    refresh_max: int
    """The seconds after which a login has to be repeated at the latest, unless the client says other ones."""


class Destination(Struct, frozen=True):
    """The verified place of an answer: a client, and a redirect URI that is registered for it."""

    client: Client
    redirect_uri: str
    named_uri: str | None
    """The redirect URI as the request names it; None if it names none."""
    state: str | None


class AuthorizationRequest(Struct, frozen=True, kw_only=True):
    """A request of a client that nothing speaks against but the person's own decision."""

    client_id: str
    redirect_uri: str
    named_uri: str | None
    state: str | None
    scope: str
    audience: Audience
    code_challenge: str
    prompts: tuple[str, ...] = ()
    max_age: int | None = None
    certificate: str | None = None
    """The thumbprint of the certificate over which a public client pushed the request."""
    carried: tuple[bytes, ...] = ()
    """The caveat of the authorization details (RFC 9396), if there are any."""
    detail_lines: tuple[str, ...] = ()
    """A line for a person about each of the details."""
    dpop_jkt: str | None = None
    """The key whose DPoP proofs alone exchange the code (RFC 9449 10)."""

    @property
    def proves_client(self) -> bool:
        """True if no other program than the client gets the answer (RFC 8252 8.6)."""
        return not is_private(self.redirect_uri)


def destination_of(parameters: Parameters, clients: ClientStore) -> Destination:
    """Return where the answer to a request may go.

    Raises InvalidRequest for an unknown client, and for a redirect URI that is not registered for it: the
    error is for the person in the browser, and no redirect may follow (RFC 6749 4.1.2.1).
    """
    for name in ("client_id", "redirect_uri"):
        if name in parameters.repeated:
            raise InvalidRequest(f"the parameter {name} is repeated: send it once")
    client_id = parameters.once.get("client_id")
    if client_id is None:
        raise InvalidRequest("the parameter client_id is missing: send it")
    client = clients.find(client_id)
    if client is None:
        raise InvalidRequest(f"the client {client_id[:64]!r} is unknown: register it")
    named, registered = parameters.once.get("redirect_uri"), client.metadata.redirect_uris
    requested = registered[0] if named is None and len(registered) == 1 else named
    if requested is None:
        raise InvalidRequest("the parameter redirect_uri is missing: send one that is registered")
    if not any(is_redirect(one, requested) for one in registered):
        raise InvalidRequest(
            f"the redirect_uri {requested[:200]!r} is not registered for the client {client_id}: register "
            "it in exactly this spelling"
        )
    return Destination(client, requested, named, parameters.once.get("state"))


def authorization_request(
    destination: Destination,
    parameters: Parameters,
    rules: Rules,
    pushed: PushedRequest | None = None,
) -> AuthorizationRequest:
    """Return the request, or raise the OAuthError that its client is told by a redirect.

    `pushed` is the request that the parameters came in, if it was pushed.
    """
    client, once = destination.client, parameters.once
    _refuse_unreadable(parameters)
    if GRANT not in client.metadata.allowed_grants:
        raise UnauthorizedClient(f"this client may not use {GRANT}: register it for that grant type")
    if pushed is None and (rules.must_be_pushed or client.metadata.require_pushed_authorization_requests):
        raise InvalidRequest("this client must push its authorization request: send it to /oauth2/par first")
    _refuse_other_answers(once)
    challenge = required_challenge(once.get("code_challenge"), once.get("code_challenge_method"))
    audience = granted_audience(client, named_resources(parameters.resources), rules.issuer)
    scope = granted_scope(client, once.get("scope"), audience, rules.issuer)
    refuse_operators_rights(audience, scope, rules.issuer)
    types = rules.detail_types.current()
    details = requested_details(once.get("authorization_details"), client, audience, types)
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=destination.redirect_uri,
        named_uri=destination.named_uri,
        state=destination.state,
        scope=scope,
        audience=audience,
        code_challenge=challenge,
        prompts=read_prompt(once.get("prompt")),
        max_age=read_max_age(once.get("max_age")),
        carried=() if details is None else (details.caveat,),
        detail_lines=() if details is None else details.consent_lines(types),
        certificate=None if pushed is None else pushed.certificate,
        dpop_jkt=_bound_key(once.get("dpop_jkt"), None if pushed is None else pushed.proof_key),
    )


def _refuse_unreadable(parameters: Parameters) -> None:
    if parameters.repeated:
        raise InvalidRequest(f"the parameter {parameters.repeated[0]} is repeated: send it once")
    for name, value in parameters.once.items():
        if len(value) > LONGEST_PARAMETER and name != "authorization_details":
            raise InvalidRequest(
                f"the parameter {name} is longer than {LONGEST_PARAMETER} characters: shorten it"
            )
    if len(parameters.resources) > MOST_RESOURCES:
        raise InvalidRequest(f"the request names more than {MOST_RESOURCES} resources: send fewer")
    if "request" in parameters.once:
        raise RequestNotSupported(
            "the parameter request is not supported: push the request (RFC 9126) instead"
        )
    if "request_uri" in parameters.once:
        raise InvalidRequest("the parameter request_uri stands in a pushed request: leave it out")


def _bound_key(named: str | None, proved: str | None) -> str | None:
    """Return the key to bind the code to: the named one, or that of the pushed request's proof."""
    try:
        key = None if named is None else parse_key_thumbprint(named)
    except ValueError as error:
        raise InvalidRequest(f"dpop_jkt is malformed: {error}") from error
    if key is not None and proved is not None and key != proved:
        raise InvalidRequest("dpop_jkt names another key than the DPoP proof is by: leave it out")
    return key or proved


def _refuse_other_answers(once: dict[str, str]) -> None:
    """Raise an error unless the request wants a code in the query of the redirect URI."""
    kind = once.get("response_type")
    if kind is None:
        raise InvalidRequest("the parameter response_type is missing: send response_type=code")
    if kind != "code":
        raise UnsupportedResponseType(
            f"response_type {kind[:40]!r} is not supported: send response_type=code"
        )
    if once.get("response_mode", "query") != "query":
        raise InvalidRequest("response_mode is not supported: send response_mode=query, or leave it out")
