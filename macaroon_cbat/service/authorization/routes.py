"""The routes of people: authorization and pushed requests, the way back from the login, consent, sign-out."""

from collections.abc import Callable

from flask import Flask, Response, request
from msgspec import Struct

from macaroon_cbat.errors import InvalidRequest, NotFound
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.authorization.asking import AskedRequests
from macaroon_cbat.service.authorization.consent import Consents
from macaroon_cbat.service.authorization.endpoint import CONSENT_PATH, AuthorizationEndpoint
from macaroon_cbat.service.authorization.login import CALLBACK_PATH, Login
from macaroon_cbat.service.authorization.logout import LOGOUT_PATH, Logout
from macaroon_cbat.service.authorization.parameters import parameters_of
from macaroon_cbat.service.authorization.people import People
from macaroon_cbat.service.authorization.pushed import PUSHED_SECONDS, PushedRequest, PushedRequests
from macaroon_cbat.service.authorization.requests import Rules, authorization_request, destination_of
from macaroon_cbat.service.authorization.sessions import Sessions
from macaroon_cbat.service.authorization.upstream import Upstream
from macaroon_cbat.service.http.operations import Operation, add_route
from macaroon_cbat.service.http.request_input import FORM
from macaroon_cbat.service.http.responses import answer
from macaroon_cbat.service.metadata import Contribution
from macaroon_cbat.service.oauth2.authorization_server import AuthorizationServer
from macaroon_cbat.service.oauth2.client_authentication import is_public
from macaroon_cbat.service.oauth2.codes import Codes
from macaroon_cbat.service.oauth2.form_request import read_form_request
from macaroon_cbat.service.oauth2.pkce import METHOD
from macaroon_cbat.service.oauth2.routes import PAR_PATH
from macaroon_cbat.service.oauth2.shapes import ClientName, RequestedScope
from macaroon_cbat.service.pages.forms import Forms
from macaroon_cbat.service.pages.routes import add_page, get_alone
from macaroon_cbat.service.upstream_settings import UpstreamSettings
from macaroon_cbat.service.waiting_threads import WaitingThreads
from macaroon_cbat.stores import Stores

AUTHORIZE_PATH = "/oauth2/authorize"


class PushedForm(Struct, frozen=True):
    """An authorization request to push (RFC 9126 2.1), as its client would send it by the browser."""

    response_type: str
    redirect_uri: str
    code_challenge: str
    code_challenge_method: str
    scope: RequestedScope | None = None
    resource: str | None = None
    state: str | None = None
    prompt: str | None = None
    max_age: str | None = None
    authorization_details: str | None = None
    dpop_jkt: str | None = None
    client_id: ClientName | None = None
    client_secret: str | None = None


class PushedAnswer(Struct, frozen=True):
    """The reference to a pushed request (RFC 9126 2.2); `expires_in` counts seconds."""

    request_uri: str
    expires_in: int


PAR = Operation(
    method="POST",
    path=PAR_PATH,
    label="par",
    summary="Push an authorization request (RFC 9126)",
    caller="client",
    body=PushedForm,
    body_type=FORM,
    example={
        "response_type": "code",
        "redirect_uri": "https://app.example/callback",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    },
    answer=PushedAnswer,
    status=201,
)


def people_of(
    settings: UpstreamSettings,
    stores: Stores,
    issuer: str,
    clock: Callable[[], float],
    threads: WaitingThreads,
) -> People | None:
    """Return the people who can log in; None without an upstream provider. Raises SettingsError.

    Only `threads` wait for the provider.
    """
    if not settings.is_on:
        return None
    login = Login(Upstream(settings, threads=threads), settings, stores.expiring, issuer)
    sessions = Sessions(
        stores,
        idle=settings.session_idle,
        lifetime=settings.session_lifetime,
        login_rules=settings.login_rules,
    )
    return People(login, sessions, Forms(issuer), clock)


def people_routes(
    app: Flask, server: AuthorizationServer, people: People | None, clock: Callable[[], float], root_path: str
) -> tuple[tuple[Contribution, ...], tuple[Operation, ...]]:
    """Route authorization requests, logins, consent and sign-out of people.

    Returns what metadata and OpenAPI document say of it: nothing where people cannot log in.
    """
    if people is None:
        add_page(app, "GET", AUTHORIZE_PATH, _off, root_path, label="authorize")
        return (), ()
    stores, pushed, logout = server.stores, PushedRequests(server.stores.expiring), Logout(people)
    rules = Rules(
        issuer=server.issuer.audience,
        detail_types=server.detail_types,
        must_be_pushed=people.login.settings.must_be_pushed,
        refresh_max=server.families.settings.refresh_max,
    )
    endpoint = AuthorizationEndpoint(
        issuer=server.issuer,
        clients=stores.clients,
        registrations=stores.registrations,
        people=people,
        pushed=pushed,
        asked=AskedRequests(stores.expiring),
        consents=Consents(stores.expiring, people.sessions.lifetime, rules),
        codes=Codes(stores.expiring),
        rules=rules,
        clock=clock,
    )
    add_page(app, "GET", AUTHORIZE_PATH, get_alone(endpoint.authorize), root_path, label="authorize")
    add_page(app, "GET", CONSENT_PATH, get_alone(endpoint.ask), root_path, label="consent")
    add_page(app, "POST", CONSENT_PATH, endpoint.decide, root_path, label="decision")
    add_page(app, "GET", CALLBACK_PATH, get_alone(people.come_back, request), root_path, label="callback")
    add_page(app, "GET", LOGOUT_PATH, logout.ask, root_path, label="logout")
    add_page(app, "POST", LOGOUT_PATH, logout.carry_out, root_path, label="logged_out")
    add_route(app, PAR, lambda: _push(server, pushed, rules, EpochSeconds(int(clock()))), root_path)
    return (_metadata(people.login.settings),), (PAR,)


def _off() -> Response:
    raise NotFound(
        "people cannot log in at this service: its operator has to set MACAROON_CBAT_UPSTREAM_ISSUER"
    )


def _metadata(settings: UpstreamSettings) -> Contribution:
    """Return the contribution to the metadata: RFC 8414 2, RFC 7636 6.2, RFC 9126 5, RFC 9207 3."""

    def members(base_url: str) -> dict[str, object]:
        return {
            "authorization_endpoint": base_url + AUTHORIZE_PATH,
            "pushed_authorization_request_endpoint": base_url + PAR.path,
            "require_pushed_authorization_requests": settings.must_be_pushed,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "code_challenge_methods_supported": [METHOD],
            "authorization_response_iss_parameter_supported": True,
        }

    return members


def _push(server: AuthorizationServer, pushed: PushedRequests, rules: Rules, now: EpochSeconds) -> Response:
    """Return the reference to the request of an authenticated client, once it is checked (RFC 9126 2.1)."""
    sent = read_form_request(request, server.issuer.url + PAR.path, now, several=("resource",))
    server.prove(sent)
    client = server.authenticate_client(sent, None, "par").record
    named = [*sent.form.items(), *(("resource", one) for one in sent.resources)]
    parameters = parameters_of(
        [*named, *([] if "client_id" in sent.form else [("client_id", client.client_id)])]
    )
    if parameters.once["client_id"] != client.client_id:
        raise InvalidRequest("client_id names another client than the one that is authenticated: correct it")
    certificate = sent.presented.thumbprint if is_public(client) else None
    request_of_client = PushedRequest(client.client_id, parameters, certificate, sent.proof_key)
    destination = destination_of(parameters, server.stores.clients)
    authorization_request(destination, parameters, rules, request_of_client)
    reference = pushed.keep(request_of_client, now)
    return answer(PushedAnswer(reference, PUSHED_SECONDS), 201)
