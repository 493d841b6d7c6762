"""Clients that registered themselves: the service leads no person on to them unasked, nor lends its name."""

import pytest
from msgspec.structs import replace
from werkzeug.test import TestResponse

from macaroon_cbat.service.registration_settings import RegistrationSettings
from macaroon_cbat.service.settings import LASTING
from tests.support.browsers import Browser, answer_in, exchange
from tests.support.certificates import certified
from tests.support.databases import NOW
from tests.support.registering import APP, CALLBACK, ask, invitation, path_of, register
from tests.support.service import API, grant_of

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


RENEWED = APP | {"redirect_uris": [EVIL], "client_name": "The bank"}
SHORT = RENEWED | {"grant_types": ["authorization_code"]}


def left_with(answer) -> str:
    """Return the code with which a page sends the browser on."""
    return answer_in(answer.headers["Refresh"].removeprefix("0; url="))["code"]


def change(browser: Browser, made: dict[str, str], members: dict[str, object]) -> None:
    """Let a client change its own registration."""
    members = members | {"client_id": made["client_id"]}
    answer = ask(browser.service, "PUT", path_of(made), made["registration_access_token"], members)
    assert answer.status_code == 200, answer.text


def tokens(browser: Browser, client_id: str, code: str) -> dict[str, object]:
    """Return the token answer for a code."""
    one = certified("CN=one")
    answer = exchange(
        browser.service, code, client_id, client_secret=None, redirect_uri=EVIL, certificate=one
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json)


@pytest.mark.parametrize(
    "changed",
    [pytest.param(RENEWED, id="a longer access"), pytest.param(SHORT | {"client_name": "Us"}, id="a name")],
)
def test_a_decision_counts_for_what_the_page_showed(browser, changed):
    """A client that changes itself while the page of consent is open has the person asked anew."""
    made = register(browser.service, None, SHORT).json
    page = browser.consent_page(made["client_id"], redirect_uri=EVIL)
    change(browser, made, changed)
    again = browser.press(page)
    assert (again.status_code, "Refresh" in again.headers) == (303, False)
    shown = browser.get(again.location)
    assert shown.text != page.text
    assert left_with(browser.press(shown))


def test_a_client_cannot_say_itself_what_its_page_showed(browser):
    """The page's own form names what it showed; a browser cannot send another name."""
    page = browser.consent_page(client(browser), redirect_uri=EVIL)
    assert browser.press(page, shown="x" * 43).status_code == 403


def test_no_consent_is_stretched_to_a_login_that_is_renewed(browser):
    """A client that adds refresh tokens to its registration gets none for what was allowed before."""
    made = register(browser.service, None, SHORT).json
    client_id = made["client_id"]
    code = browser.code(client_id, redirect_uri=EVIL)
    change(browser, made, RENEWED)
    assert "refresh_token" not in tokens(browser, client_id, code)
    page = browser.consent_page(client_id, redirect_uri=EVIL)
    assert "renewed without you" in page.text
    assert "refresh_token" in tokens(browser, client_id, left_with(browser.press(page)))


ENDED = {
    "its tokens are revoked": lambda stores, made: stores.clients.revoke_tokens(
        "client", made["client_id"], lambda: NOW, lasting=LASTING
    ),
    "its registration access token is revoked": lambda stores, made: stores.registrations.end(
        grant_of(made["registration_access_token"]).jti
    ),
    "a right is taken away": lambda stores, made: stores.clients.change(
        made["client_id"],
        lambda metadata: replace(metadata, grant_types=("authorization_code",)),
        lambda: NOW,
        lasting=LASTING,
    ),
}


def management(browser: Browser, made: dict[str, str]) -> TestResponse:
    """Return what the client gets that looks at its own registration."""
    return ask(browser.service, "GET", path_of(made), made["registration_access_token"])


@pytest.mark.parametrize("ended", ENDED.values(), ids=ENDED)
def test_no_operator_has_checked_what_one_has_revoked(browser, ended):
    """A client that registered itself stays one, whatever an operator revokes or takes away from it."""
    made = register(browser.service, None, RENEWED).json
    ended(browser.service.stores, made)
    assert management(browser, made).status_code == 401
    answer = browser.authorize(made["client_id"], redirect_uri=EVIL, scope="none")
    assert (answer.status_code, answer.location) == (400, None)
    page = browser.consent_page(made["client_id"], redirect_uri=EVIL)
    assert "This application registered itself" in page.text


@pytest.mark.parametrize("ended", ENDED.values(), ids=ENDED)
def test_no_operator_has_checked_what_registered_before_an_update(browser, ended):
    """An older release kept the bounds of a client with the key of its registration only: they stay, too."""
    made = register(browser.service, None, RENEWED).json
    browser.service.stores.expiring.drop("self_registered", made["client_id"])
    ended(browser.service.stores, made)
    assert management(browser, made).status_code == 401
    page = browser.consent_page(made["client_id"], redirect_uri=EVIL)
    assert "This application registered itself" in page.text


def test_a_removed_client_leaves_no_mark(browser):
    """An operator may give the name of a removed client to a client of its own."""
    name = client(browser)
    stores = browser.service.stores
    assert stores.registrations.bounds(name, NOW) is not None
    stores.clients.remove(name, lambda: NOW, lasting=LASTING)
    assert stores.registrations.bounds(name, NOW) is None
