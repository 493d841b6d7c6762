"""Sessions of people: never fixed, over after some time, ended by the person or a revocation."""

import pytest

from macaroon_cbat.service.pages.cookies import Cookies
from tests.support.browsers import Browser, answer_in, exchange, form_in
from tests.support.databases import NOW
from tests.support.service import ISSUER, grant_of

IDLE, LIFETIME = 1800, 28_800
HOST = "as.example"
SESSION, VISIT = Cookies(ISSUER).name("session"), Cookies(ISSUER).name("browser")


def session_of(browser) -> str | None:
    """Return the value of the browser's session cookie."""
    found = browser.client.get_cookie(SESSION, HOST)
    return None if found is None else found.value


def give(browser, value: str, name: str = SESSION) -> None:
    """Put a cookie into the browser."""
    browser.client.set_cookie(name, value, domain=HOST, path="/")


def is_signed_in(browser) -> bool:
    return "You are signed in" in browser.get("/oauth2/logout").text


def test_a_session_cannot_be_fixed(browser):
    """A login draws a new session, never one that an attacker has put into the browser."""
    give(browser, "A" * 43)
    browser.consent_page()
    assert session_of(browser) != "A" * 43
    give(browser, "A" * 43)
    assert not is_signed_in(browser)


def test_a_login_ends_the_session_before_it(browser):
    """A new login ends the session that the browser had: its cookie is worth nothing afterwards."""
    browser.consent_page()
    old = session_of(browser)
    browser.log_in(browser.authorize(prompt="login"))
    assert session_of(browser) != old
    thief = Browser(browser.service, browser.upstream)
    give(thief, old)
    assert not is_signed_in(thief)


def test_a_session_is_not_stored(browser, with_people):
    """The database holds the hash of a session's cookie alone."""
    browser.consent_page()
    stored = b"".join(file.read_bytes() for file in with_people.folder.iterdir())
    assert session_of(browser).encode() not in stored


def test_a_session_ends_without_use(browser, with_people):
    """A session that is not used for some time is over."""
    browser.consent_page()
    with_people.now = NOW + IDLE
    assert not is_signed_in(browser)


def test_use_keeps_a_session_for_a_bounded_time(browser, with_people):
    """Use keeps a session, but not beyond its lifetime."""
    browser.consent_page()
    for second in range(1500, LIFETIME, 1500):
        with_people.now = NOW + second
        assert is_signed_in(browser)
    with_people.now = NOW + LIFETIME
    assert not is_signed_in(browser)


def test_a_revoked_subject_is_signed_out(browser, with_people):
    """Revoking the tokens of a subject ends its sessions: who has stolen one gets no new token by it."""
    browser.consent_page()
    assert is_signed_in(browser)
    clients = with_people.stores.clients
    clients.revoke_tokens("subject", "user:alice", lambda: NOW, lasting=86_400, is_registered=False)
    assert not is_signed_in(browser)
    assert browser.authorize().location.startswith(browser.upstream.issuer)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"upstream_issuer": "https://other.example"}, id="another provider"),
        pytest.param({"upstream_client_id": "another-client"}, id="another client there"),
        pytest.param({"upstream_subject": "email"}, id="another claim"),
        pytest.param({"upstream_allowed": "groups=staff"}, id="fewer people"),
    ],
)
def test_a_session_ends_with_the_rules_of_its_login(browser, start, upstream, changes):
    """After a change of who may log in, or by which name, everyone has to log in anew."""
    browser.consent_page()
    other = Browser(start(people=upstream.settings(**changes)), upstream)
    give(other, session_of(browser))
    assert not is_signed_in(other)
    assert is_signed_in(browser)


def test_a_person_signs_out(browser):
    """A person who signs out ends the session everywhere: a copy of its cookie is worth nothing."""
    browser.consent_page()
    old = session_of(browser)
    page = browser.get("/oauth2/logout")
    form = form_in(page.text)
    assert "You are signed out" in browser.post(form.action, form.fields).text
    assert session_of(browser) is None
    thief = Browser(browser.service, browser.upstream)
    give(thief, old)
    assert not is_signed_in(thief)


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": ""}])
def test_another_site_signs_no_person_out(browser, headers):
    """A form of another site does not sign a person out."""
    browser.consent_page()
    form = form_in(browser.get("/oauth2/logout").text)
    assert browser.post(form.action, form.fields, **headers).status_code == 403
    assert browser.post(form.action, {}).status_code == 403
    assert is_signed_in(browser)


def test_a_second_login_is_not_needed(browser):
    """A person with a session goes to the page of consent without a login."""
    browser.consent_page()
    assert browser.authorize(scope="write").location.startswith(f"{ISSUER}/oauth2/consent?")


def test_prompt_login_demands_a_login(browser):
    """A client that wants a new login gets one, the provider is told so, and it is not demanded twice."""
    browser.consent_page()
    answer = browser.authorize(prompt="login")
    assert answer_in(answer.location)["prompt"] == "login"
    assert "wants access" in browser.log_in(answer).text


def test_max_age_demands_a_login_that_is_no_older(browser, with_people):
    """A login that is older than max_age is not enough, and the provider is told the age."""
    browser.log_in(browser.authorize(), auth_time=NOW)
    with_people.now = NOW + 20
    assert browser.authorize(max_age="20", scope="write").location.startswith(ISSUER)
    with_people.now = NOW + 21
    answer = browser.authorize(max_age="20", scope="write")
    assert answer_in(answer.location)["max_age"] == "20"
    assert "wants access" in browser.log_in(answer).text


@pytest.mark.parametrize("claims", [{"auth_time": NOW - 81}, {"auth_time": None}, {"auth_time": "now"}])
def test_an_older_login_at_the_provider_is_refused(browser, claims):
    """A provider that answers with an older login, or does not tell its age, is refused for max_age."""
    browser.upstream.faults["claims"] = claims
    back = browser.upstream.log_in(browser.authorize(max_age="20").location)
    assert browser.get(back).status_code == 403


def test_prompt_none_shows_no_page(browser):
    """A client that wants no page gets login_required, then consent_required, and at last a code."""
    assert answer_in(browser.authorize(prompt="none").location)["error"] == "login_required"
    page = browser.consent_page()
    assert answer_in(browser.authorize(prompt="none").location)["error"] == "consent_required"
    browser.press(page)
    assert "code" in answer_in(browser.authorize(prompt="none").location)


def test_prompt_none_leads_a_device_to_no_code(browser):
    """A client that its redirect does not prove gets no code without a page (RFC 8252 8.6)."""
    browser.press(browser.consent_page("phone"))
    answer = browser.authorize("phone", prompt="none")
    assert answer_in(answer.location)["error"] == "consent_required"


def test_a_session_serves_every_process(browser, with_people, start, upstream):
    """A session, and a request that waits, are known to every process on the database."""
    page = browser.consent_page()
    form = form_in(page.text)
    second = start(people=upstream.settings())
    other = Browser(second, upstream)
    give(other, session_of(browser))
    give(other, browser.client.get_cookie(VISIT, HOST).value, VISIT)
    code = answer_in(other.post(form.action, form.fields | {"decision": "approve"}).headers["Refresh"])[
        "code"
    ]
    assert grant_of(exchange(with_people, code).json["access_token"]).sub == "user:alice"


def test_two_services_on_a_host_have_cookies_of_their_own(browser, start, upstream):
    """Another issuer on the same host, below another path, has other cookies."""
    other = start(issuer=f"{ISSUER}/second", people=upstream.settings())
    pages = [
        browser.get("/oauth2/logout"),
        other.app.test_client().get("/second/oauth2/logout", base_url=ISSUER),
    ]
    names = {page.headers["Set-Cookie"].partition("=")[0] for page in pages}
    assert len(names) == 2
    assert VISIT in names
