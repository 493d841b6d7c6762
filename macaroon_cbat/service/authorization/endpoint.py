"""The authorization endpoint (RFC 6749 3.1): a request, a login, a decision, and the code or the refusal.

Until client and redirect URI are verified, an error is a page for the person. From then on it goes to the
client, with `state` as it came and the issuer (RFC 9207).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlencode

from flask import Response, request

from macaroon_cbat.errors import InvalidRequest, OAuthError
from macaroon_cbat.errors.pages import DeniedByPerson
from macaroon_cbat.errors.people import ConsentRequired, LoginRequired
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.audit import write_done, write_or_log_done, write_or_log_refusal
from macaroon_cbat.service.authorization.answers import code_url, refusal_url
from macaroon_cbat.service.authorization.asking import Asked, AskedRequests
from macaroon_cbat.service.authorization.consent import (
    Consents,
    consent_content,
    digest_of,
    redirect_host,
    renewal_of,
)
from macaroon_cbat.service.authorization.parameters import Parameters, parameters_of
from macaroon_cbat.service.authorization.people import People, Person
from macaroon_cbat.service.authorization.pushed import PushedRequest, PushedRequests
from macaroon_cbat.service.authorization.requests import (
    GRANT,
    AuthorizationRequest,
    Destination,
    Rules,
    authorization_request,
    destination_of,
)
from macaroon_cbat.service.http.request_input import pairs_of
from macaroon_cbat.service.http.responses import see_other
from macaroon_cbat.service.metrics import count_refused
from macaroon_cbat.service.oauth2.codes import Approval, Codes, new_code
from macaroon_cbat.service.oauth2.issuer import Issuer
from macaroon_cbat.service.oauth2.refresh_families import new_family
from macaroon_cbat.service.pages.forms import Visit
from macaroon_cbat.service.pages.rendering import leave_for, page
from macaroon_cbat.service.registration.vetting import is_vetted
from macaroon_cbat.stores import Client, ClientStore
from macaroon_cbat.stores.redirect_uris import is_private, is_redirect
from macaroon_cbat.stores.registrations import RegistrationStore

CONSENT_PATH = "/oauth2/consent"
_PURPOSE = "consent"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationEndpoint:
    """The endpoint of one service, and the page on which a person decides."""

    issuer: Issuer
    clients: ClientStore
    registrations: RegistrationStore
    people: People
    pushed: PushedRequests
    asked: AskedRequests
    consents: Consents
    codes: Codes
    rules: Rules
    clock: Callable[[], float]

    def authorize(self) -> Response:
        """Return the next step for a request: the login, the page of consent, a code, or a refusal."""
        now = self._now()
        sent = parameters_of(pairs_of(request.query_string, "the query"))
        pushed = self._pushed(sent, now)
        parameters = sent if pushed is None else pushed.parameters  # none beside the reference (RFC 9126 4)
        destination = destination_of(parameters, self.clients)
        try:
            wanted = authorization_request(destination, parameters, self.rules, pushed)
            return self._next_step(destination.client, wanted, now)
        except OAuthError as error:
            return self._refused(destination, error, now)

    def ask(self) -> Response:
        """Return the page of consent for a waiting request, or the login that it needs first."""
        now, visit = self._now(), self.people.forms.visit(request)
        name = request.args.get("request", "")
        asked = self.asked.find(name, visit.name, now)
        person = self.people.signed_in(request)
        if person is None or asked.needs_login(person, now):
            return self._login(name, asked.request, visit)
        client = self._client_still(asked.request)
        if self.consents.is_known(person, client, asked.request, now):
            code, record = new_code(self._approval(asked.request, person, client, now))
            self.asked.decide(name, [record], now, lambda: None)
            return see_other(self._code_url(asked.request, code))
        content = self._content(asked.request, person, client, now)
        shown = digest_of(content)
        content |= {"action": self.issuer.url + CONSENT_PATH, "request_name": name, "shown": shown}
        content |= {"csrf": visit.token(_PURPOSE, _matter(name, person, shown))}
        return visit.keep(page("consent.html", content))

    def decide(self) -> Response:
        """Carry out the decision of the person about a waiting request, once."""
        now, visit, person = self._now(), self.people.forms.visit(request), self.people.signed_in(request)
        fields = self.people.forms.posted(
            request,
            _PURPOSE,
            lambda found: _matter(found["request"], person, found["shown"]),
            ["request", "shown"],
        )
        decision, name = fields.get("decision"), fields["request"]
        if decision not in ("approve", "deny"):
            raise InvalidRequest("the form has no decision: press one of its buttons")
        asked = self.asked.find(name, visit.name, now)
        if person is None or asked.needs_login(person, now):
            return self._login(name, asked.request, visit)
        client = self._client_still(asked.request)
        if fields["shown"] != digest_of(self._content(asked.request, person, client, now)):
            return see_other(self.issuer.url + _consent(name))  # the client has changed: it is shown anew
        if decision == "approve":
            url = self._approve(name, asked.request, person, client, now)
        else:
            url = self._deny(name, asked.request, person, now)
        return leave_for(url, client.metadata.client_name or client.client_id)

    def _approve(
        self, name: str, wanted: AuthorizationRequest, person: Person, client: Client, now: EpochSeconds
    ) -> str:
        """Return the URL with a code. The decision, its code and its audit line are one transaction."""
        code, record = new_code(self._approval(wanted, person, client, now))
        added = [record, *self.consents.records(person, client, wanted, now)]
        audit = partial(write_done, "consent.given", **_audited(wanted, person))
        self.asked.decide(name, added, now, audit)
        return self._code_url(wanted, code)

    def _deny(self, name: str, wanted: AuthorizationRequest, person: Person, now: EpochSeconds) -> str:
        """Return the URL with the refusal."""
        error = DeniedByPerson("the person has refused the request")
        audit = partial(write_or_log_done, "consent.refused", status=303, **_audited(wanted, person))
        self.asked.decide(name, [], now, audit)
        return refusal_url(wanted.redirect_uri, error, wanted.state, self.issuer.url)

    def _refused(self, destination: Destination, error: OAuthError, now: EpochSeconds) -> Response:
        """Return the redirect with an error, or a page that offers it.

        A client that registered itself, for a host of its choice, would make an open redirector of this
        service (RFC 9700 4.11.2).
        """
        count_refused(request.endpoint, error.code)
        client, redirect_uri = destination.client, destination.redirect_uri
        url = refusal_url(redirect_uri, error, destination.state, self.issuer.url)
        if is_private(redirect_uri) or is_vetted(self.registrations, client.client_id, now):
            write_or_log_refusal(303, error.code, str(error))
            return see_other(url)
        write_or_log_refusal(400, error.code, str(error))
        content = {"url": url, "description": error.description, "redirect": redirect_host(redirect_uri)}
        content["client_name"] = client.metadata.client_name or client.client_id
        return page("refused.html", content, status=400)

    def _pushed(self, sent: Parameters, now: EpochSeconds) -> PushedRequest | None:
        """Return the pushed request that these parameters refer to, or None."""
        reference = sent.once.get("request_uri")
        return None if reference is None else self.pushed.take(reference, sent.once.get("client_id"), now)

    def _next_step(self, client: Client, wanted: AuthorizationRequest, now: EpochSeconds) -> Response:
        """Return the step that this browser needs, or raise what a client gets that wants no page."""
        visit, person = self.people.forms.visit(request), self.people.signed_in(request)
        session = None if person is None else person.session
        asked = Asked(wanted, visit.name, session, now)
        is_logged_in = person is not None and not asked.needs_login(person, now)
        if person is not None and is_logged_in and self.consents.is_known(person, client, wanted, now):
            code = self.codes.issue(self._approval(wanted, person, client, now))
            return see_other(self._code_url(wanted, code))
        if "none" in wanted.prompts:
            if not is_logged_in:
                raise LoginRequired("the person has to log in: send the request without prompt=none")
            raise ConsentRequired("the person has to consent: send the request without prompt=none")
        name = self.asked.keep(asked, now)
        if is_logged_in:
            return visit.keep(see_other(self.issuer.url + _consent(name)))
        return self._login(name, wanted, visit)

    def _login(self, name: str, wanted: AuthorizationRequest, visit: Visit) -> Response:
        return self.people.sign_in(
            request, _consent(name), prompts=wanted.prompts, max_age=wanted.max_age, visit=visit
        )

    def _client_still(self, wanted: AuthorizationRequest) -> Client:
        """Return the client as it is registered now, or raise InvalidRequest if it may not get the answer.

        The person may have taken minutes, and an operator may have changed the client meanwhile.
        """
        client = self.clients.look_up(wanted.client_id)
        if client is None or GRANT not in client.metadata.allowed_grants:
            raise InvalidRequest("the application is no longer registered: ask the operator of this service")
        if not any(is_redirect(one, wanted.redirect_uri) for one in client.metadata.redirect_uris):
            raise InvalidRequest("the redirect_uri is no longer registered: begin again in the application")
        return client

    def _content(
        self, wanted: AuthorizationRequest, person: Person, client: Client, now: EpochSeconds
    ) -> dict[str, object]:
        """Return what the page of consent shows."""
        content = consent_content(client, wanted, person, self.issuer.lifetime, self.rules)
        return content | {"is_vetted": is_vetted(self.registrations, client.client_id, now)}

    def _approval(
        self, wanted: AuthorizationRequest, person: Person, client: Client, now: EpochSeconds
    ) -> Approval:
        return Approval(
            client_id=wanted.client_id,
            redirect_uri=wanted.named_uri,
            code_challenge=wanted.code_challenge,
            scope=wanted.scope,
            audience=wanted.audience,
            subject=person.subject,
            approved_at=now,
            family=new_family(),
            carried=wanted.carried,
            certificate=wanted.certificate,
            dpop_jkt=wanted.dpop_jkt,
            is_renewed=renewal_of(client, self.rules) is not None,
        )

    def _code_url(self, wanted: AuthorizationRequest, code: str) -> str:
        return code_url(wanted.redirect_uri, code, wanted.state, self.issuer.url)

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self.clock()))


def _consent(name: str) -> str:
    return f"{CONSENT_PATH}?{urlencode({'request': name})}"


def _matter(name: str, person: Person | None, shown: str) -> str:
    """Return the matter of a form: a request, a session, and what the page showed."""
    return f"{name} {'' if person is None else person.session} {shown}"


def _audited(wanted: AuthorizationRequest, person: Person) -> dict[str, object]:
    audience = " ".join(wanted.audience) if isinstance(wanted.audience, tuple) else wanted.audience
    return {
        "client_id": wanted.client_id,
        "subject": person.subject,
        "scope": wanted.scope,
        "audience": audience,
    }
