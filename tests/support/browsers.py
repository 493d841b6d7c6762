"""A browser for the pages of an application in this process: cookies, redirects on demand, forms."""

import hashlib
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from werkzeug.test import TestResponse

from macaroon_cbat.text.base64url import encode
from tests.support.databases import NOW
from tests.support.service import ISSUER, SECRETS, Service, client_metadata
from tests.support.small_upstream import SmallUpstream

APP = "https://app.example/callback"
LOOPBACK = "http://127.0.0.1/callback"
NATIVE = "com.example.app:/callback"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = encode(hashlib.sha256(VERIFIER.encode()).digest())
CODE = "authorization_code"
WEB, PHONE, RENEWING = "billing-web", "phone", "renewing-web"
SECRET = SECRETS["billing"]


def register_clients(service: Service) -> None:
    """Register a confidential client with a web redirect, and a public one with those of a device."""
    web = client_metadata(grant_types=(CODE,), redirect_uris=(APP,), client_name="Billing")
    phone = client_metadata(
        token_endpoint_auth_method="none",
        grant_types=(CODE,),
        redirect_uris=(LOOPBACK, NATIVE),
        tls_client_certificate_bound_access_tokens=True,
    )
    service.stores.clients.add(WEB, web, secret=SECRET, now=NOW)
    renewing = client_metadata(grant_types=(CODE, "refresh_token"), redirect_uris=(APP,))
    service.stores.clients.add(RENEWING, renewing, secret=SECRET, now=NOW)
    service.stores.clients.add(PHONE, phone, secret=None, now=NOW)


def request_of(client: str = WEB, **changes: str | None) -> dict[str, str]:
    """Return the parameters of an authorization request, changed as told; None leaves one out."""
    members = {
        "response_type": "code",
        "client_id": client,
        "redirect_uri": LOOPBACK if client == PHONE else APP,
        "scope": "read",
        "state": "af0ifjsldkj",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def answer_in(url: str) -> dict[str, str]:
    """Return the parameters of the answer that a URL carries to a client."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


class Browser:
    """One browser, which keeps its cookies and shows every page to the test."""

    def __init__(self, service: Service, upstream: SmallUpstream) -> None:
        """Visit this service, and log in at this provider."""
        self.service, self.upstream = service, upstream
        self.client = service.app.test_client()

    def get(self, url: str, query: Any = None) -> TestResponse:
        """Open a page of the service as a browser does."""
        where = url.removeprefix(ISSUER)
        if query is not None:
            where += "?" + (query if isinstance(query, str) else urlencode(query))
        return self.client.get(where, base_url=ISSUER, headers={"Accept": "text/html"})

    def post(self, url: str, form: Any, **headers: str) -> TestResponse:
        """Send a form as a page of the service does."""
        sent = {"Origin": ISSUER, "Accept": "text/html", "Sec-Fetch-Site": "same-origin"} | headers
        kept = {name: value for name, value in sent.items() if value}
        return self.client.post(url.removeprefix(ISSUER), base_url=ISSUER, data=form, headers=kept)

    def authorize(self, client: str = WEB, **changes: str | None) -> TestResponse:
        """Begin an authorization request, and return the service's first answer."""
        return self.get("/oauth2/authorize", request_of(client, **changes))

    def log_in(self, answer: TestResponse, **claims: Any) -> TestResponse:
        """Log in at the provider that the answer leads to; return the page that the service shows then."""
        back = self.get(self.upstream.log_in(answer.location, **claims))
        assert back.status_code == 303, back.text
        return self.get(back.location)

    def consent_page(self, client: str = WEB, **changes: str | None) -> TestResponse:
        """Return the page of consent for a request, after a login if one is needed."""
        answer = self.authorize(client, **changes)
        is_here = answer.location.startswith(ISSUER)
        page = self.get(answer.location) if is_here else self.log_in(answer)
        assert page.status_code == 200, page.text
        return page

    def press(self, page: TestResponse, decision: str = "approve", **changes: str) -> TestResponse:
        """Send the form of a page with this decision."""
        form = form_in(page.text)
        return self.post(form.action, form.fields | {"decision": decision} | changes)

    def code(self, client: str = WEB, **changes: str | None) -> str:
        """Return the code that a whole authorization comes to."""
        left = self.press(self.consent_page(client, **changes))
        return answer_in(left.headers["Refresh"].removeprefix("0; url="))["code"]


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        members = dict(attrs)
        if tag == "form":
            self.action = members["action"] or ""
        if tag == "input" and members.get("name"):
            self.fields[str(members["name"])] = members.get("value") or ""


def form_in(text: str) -> _Form:
    """Return the form of a page."""
    form = _Form()
    form.feed(text)
    assert form.action, text
    return form


def exchange(service: Service, code: str, client: str = WEB, /, **changes: Any) -> TestResponse:
    """Exchange a code as its client does, changed as told; None leaves a parameter out."""
    certificate, headers = changes.pop("certificate", None), changes.pop("headers", {})
    form = {
        "grant_type": CODE,
        "code": code,
        "redirect_uri": LOOPBACK if client == PHONE else APP,
        "code_verifier": VERIFIER,
        "client_id": client,
        "client_secret": None if client == PHONE else SECRET,
    }
    kept = {name: value for name, value in (form | changes).items() if value is not None}
    return service.open("/oauth2/token", certificate, data=kept, headers=headers)
