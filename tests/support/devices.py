"""Devices without a browser, and the person who lets them in by one."""

import re
from dataclasses import dataclass, field
from html import unescape
from typing import Any

from werkzeug.test import TestResponse

from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.grant_types import DEVICE_CODE
from tests.support.certificates import Identity
from tests.support.databases import NOW
from tests.support.people import COOKIE
from tests.support.service import API, ISSUER, SECRETS, Service, client_metadata

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
OWN = {"Origin": ISSUER, "Sec-Fetch-Site": "same-origin"}


def terminal_metadata(**changes: Any) -> ClientMetadata:
    """Return metadata of a public client for devices, changed as told."""
    usual = {
        "token_endpoint_auth_method": "none",
        "grant_types": (DEVICE_CODE,),
        "tls_client_certificate_bound_access_tokens": True,
        "client_name": "Terminal",
    }
    return client_metadata(**(usual | changes))


def register_terminal(service: Service, name: str = "terminal", **changes: Any) -> None:
    """Register a client for devices; it has a secret if its method needs one."""
    metadata = terminal_metadata(**changes)
    secret = SECRETS["billing"] if metadata.token_endpoint_auth_method.startswith("client_secret") else None
    service.stores.clients.add(name, metadata, secret=secret, now=NOW)


def begin(
    service: Service, certificate: Identity | None = None, proof: str | None = None, **form: str
) -> TestResponse:
    """Ask for codes as the terminal does."""
    fields = {"client_id": "terminal", "scope": "read", "resource": API} | form
    headers = {} if proof is None else {"DPoP": proof}
    return service.open("/oauth2/device_authorization", certificate, data=fields, headers=headers)


def poll(
    service: Service,
    device_code: str,
    certificate: Identity | None = None,
    proof: str | None = None,
    **form: str,
) -> TestResponse:
    """Poll the token endpoint."""
    fields = {"grant_type": DEVICE_CODE, "client_id": "terminal", "device_code": device_code} | form
    headers = {} if proof is None else {"DPoP": proof}
    return service.open("/oauth2/token", certificate, data=fields, headers=headers)


@dataclass
class PersonInBrowser:
    """A person who has signed in, in one browser that keeps cookies and sends forms as browsers do."""

    service: Service
    subject: str = "ada"
    session: str = "1"
    client: Any = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.service.app.test_client()
        if self.subject:
            self.client.set_cookie(COOKIE, f"{self.subject}.{self.session}", domain="as.example")

    def open(self, path: str, **request: Any) -> TestResponse:
        """Send a request as a browser does."""
        headers = {"Accept": BROWSER} | request.pop("headers", {})
        answer: TestResponse = self.client.open(path, base_url=ISSUER, headers=headers, **request)
        return answer

    def enter(self, code: str) -> TestResponse:
        """Enter a user code."""
        return self.open("/device", method="GET", query_string={"user_code": code})

    def decide(self, code: str, decision: str = "approve", **headers: str) -> TestResponse:
        """Decide by the button of the page that asks."""
        return self.send(fields_of(self.enter(code)) | {"decision": decision}, **headers)

    def send(self, fields: dict[str, str], **headers: str) -> TestResponse:
        """Send the form of the page that asks."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.open("/device", method="POST", data=fields, headers=OWN | named)


def fields_of(page: TestResponse) -> dict[str, str]:
    """Return the hidden fields of the form in a page."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page.text)
    return {unescape(name): unescape(value) for name, value in found}
