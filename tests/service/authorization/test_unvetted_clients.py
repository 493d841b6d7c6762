"""Clients that registered themselves: the service leads no person on to them unasked, nor lends its name."""

import pytest

from macaroon_cbat.service.registration_settings import RegistrationSettings
from tests.support.browsers import Browser, answer_in
from tests.support.registering import APP, CALLBACK, invitation, register
from tests.support.service import API

EVIL = "https://login.attacker.example/cb"
OPEN = RegistrationSettings(open_registration="read", open_registration_audiences=API)
REFUSED = [
    pytest.param({"response_type": "token"}, id="an error"),
    pytest.param({"prompt": "none"}, id="a silent request"),
    pytest.param({"scope": "admin"}, id="a scope"),
]


@pytest.fixture
def browser(start, upstream) -> Browser:
    """Return a browser at a service with open registration."""
    return Browser(start(is_kept=True, people=upstream.settings(), registration=OPEN), upstream)


def client(browser: Browser, redirect_uri: str = EVIL, **bounds: object) -> str:
    """Return the name of a client that has registered itself, by an invitation if that has bounds."""
    token = invitation(browser.service, **bounds) if bounds else None
    members = APP | {"redirect_uris": [redirect_uri], "client_name": "The bank"}
    return str(register(browser.service, token, members).json["client_id"])


@pytest.mark.parametrize("changes", REFUSED)
def test_a_link_does_not_lead_on_to_a_host_that_no_operator_named(browser, changes):
    """A refused request of a client for a host of its own choice is a page, which names the host."""
    answer = browser.authorize(client(browser), redirect_uri=EVIL, **changes)
    assert (answer.status_code, answer.mimetype, answer.location) == (400, "text/html", None)
    assert "Refresh" not in answer.headers
    assert "login.attacker.example" in answer.text
    assert f'href="{EVIL}?error=' in answer.text


@pytest.mark.parametrize(
    ("redirect_uri", "bounds"),
    [
        pytest.param(CALLBACK, {}, id="a program of this device"),
        pytest.param("https://app.example/cb", {"hosts": ("app.example",)}, id="a host of the invitation"),
    ],
)
def test_other_clients_get_their_answer(browser, redirect_uri, bounds):
    """An answer to a host that an operator named, and to the person's own device, needs no click."""
    answer = browser.authorize(client(browser, redirect_uri, **bounds), redirect_uri=redirect_uri, scope="x")
    assert answer.status_code == 303
    assert answer.location.startswith(redirect_uri)
    assert answer_in(answer.location)["error"] == "invalid_scope"


def test_the_page_of_consent_warns_of_a_client_that_registered_itself(browser):
    """A person learns that no operator has checked the name which a client gave itself."""
    page = browser.consent_page(client(browser), redirect_uri=EVIL)
    assert "This application registered itself" in page.text
    invited = client(browser, "https://app.example/cb", hosts=("app.example",))
    page = browser.consent_page(invited, redirect_uri="https://app.example/cb")
    assert "registered itself" not in page.text
