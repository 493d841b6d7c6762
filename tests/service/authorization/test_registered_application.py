"""An application that no operator registered: it registers itself, a person logs in, its tokens are bound."""

import pytest

from macaroon_cbat.service.registration.registrar import UNUSED_SECONDS
from macaroon_cbat.service.registration_settings import RegistrationSettings
from tests.support.browsers import Browser, exchange
from tests.support.certificates import certified
from tests.support.databases import NOW
from tests.support.registering import register
from tests.support.service import API, grant_of, refused

CALLBACK = "http://localhost:3030/callback"
AS_MCP_SENDS = {
    "application_type": "native",
    "redirect_uris": [CALLBACK],
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "scope": "read",
    "client_name": "An agent",
}
"""The metadata that the client of the Model Context Protocol's Python SDK 2.3 sends."""

OPEN = RegistrationSettings(open_registration="read write", open_registration_audiences=API)


@pytest.fixture
def opened(start, upstream):
    return start(is_kept=True, people=upstream.settings(), registration=OPEN)


def test_an_uninvited_application_gets_bound_tokens(opened, upstream, certificate):
    """An application registers itself, a person consents to it by name, and its tokens are bound to it."""
    made = register(opened, None, AS_MCP_SENDS).json
    browser, client = Browser(opened, upstream), made["client_id"]
    page = browser.consent_page(client, redirect_uri=CALLBACK, resource=API)
    assert "An agent" in page.text
    code = browser.code(client, redirect_uri=CALLBACK, resource=API)
    form = {"redirect_uri": CALLBACK, "client_secret": None}
    refused(exchange(opened, code, client, **form), 401, "invalid_client")
    answer = exchange(opened, code, client, **form, certificate=certificate)
    assert answer.status_code == 200, answer.text
    grant = grant_of(answer.json["access_token"])
    assert (grant.sub, grant.client_id, grant.scope, grant.aud) == ("user:alice", client, "read", API)
    shown = opened.introspect(answer.json["access_token"], client_certificate=certificate.thumbprint)
    assert shown["cnf"] == {"x5t#S256": certificate.thumbprint}
    opened.now = NOW + UNUSED_SECONDS + 1  # it was used: it is there to stay
    renewal = {
        "grant_type": "refresh_token",
        "refresh_token": answer.json["refresh_token"],
        "client_id": client,
    }
    assert opened.post("/oauth2/token", renewal, None, certified("CN=thief")).status_code == 400
    assert opened.post("/oauth2/token", renewal, None, certificate).status_code == 200


@pytest.mark.parametrize(
    "uri", ["http://localhost:3031/callback", "http://127.0.0.1:3030/callback", CALLBACK + "/x"]
)
def test_another_redirect_is_refused(opened, upstream, uri):
    """A browser is led to the redirect that the application registered, port and all, and to no other one."""
    client = register(opened, None, AS_MCP_SENDS).json["client_id"]
    answer = Browser(opened, upstream).authorize(client, redirect_uri=uri)
    assert answer.status_code == 400
    assert "Location" not in answer.headers
