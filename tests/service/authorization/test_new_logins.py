"""A login anew, as prompt=login and max_age demand it: no session and no silent login passes for one."""

import pytest

from macaroon_cbat.service.pages.cookies import Cookies
from tests.support.browsers import Browser, answer_in
from tests.support.databases import NOW
from tests.support.service import ISSUER
from tests.support.small_upstream import SmallUpstream

LATER = NOW + 3600
DEMANDS = [
    pytest.param({"prompt": "login"}, id="prompt=login"),
    pytest.param({"max_age": "20"}, id="max_age"),
]
SESSION = Cookies(ISSUER).name("session")


@pytest.fixture
def browser(browser: Browser, upstream: SmallUpstream, monkeypatch: pytest.MonkeyPatch) -> Browser:
    """Return a browser whose person logged in at the provider an hour ago, and is let in without a question.

    An attacker has found it unattended: he can change what it sends, and knows no password.
    """
    browser.service.now = LATER
    monkeypatch.setattr(upstream, "clock", lambda: browser.service.now)
    return browser


def with_session_of(browser: Browser, other: Browser) -> Browser:
    """Put the session of another browser into this one."""
    stolen = other.client.get_cookie(SESSION, "as.example")
    browser.client.set_cookie(SESSION, stolen.value, domain="as.example", path="/")
    return browser


def is_sent_to_log_in(browser: Browser, answer) -> bool:
    return answer.status_code == 303 and answer.location.startswith(browser.upstream.issuer)


def waiting_page(browser: Browser, demand) -> str:
    """Return the URL at which a request waits, once an attacker has logged in anew as himself."""
    begun = browser.authorize(**demand)
    back = browser.get(browser.upstream.log_in(begun.location, sub="mallory", auth_time=LATER))
    return back.location


def test_prompt_login_has_the_provider_say_when(browser):
    """A provider has to tell the time of a login for max_age alone, so prompt=login sends it as well."""
    asked = answer_in(browser.authorize(prompt="login").location)
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")


@pytest.mark.parametrize("claims", [{"auth_time": NOW}, {"auth_time": None}], ids=["an old login", "no time"])
def test_prompt_login_cut_from_the_link_is_noticed(browser, claims):
    """A login in which the provider asked nothing is refused where the client wants a new one."""
    browser.upstream.faults["claims"] = claims
    answer = browser.get(browser.upstream.log_in(browser.authorize(prompt="login").location))
    assert answer.status_code == 403
    assert browser.client.get_cookie(SESSION, "as.example") is None


def test_a_new_login_is_enough(browser):
    """A person who has logged in anew, a little before by the provider's clock, is asked for consent."""
    page = browser.log_in(browser.authorize(prompt="login"), auth_time=LATER - 30)
    assert "wants access" in page.text


@pytest.mark.parametrize("demand", DEMANDS)
@pytest.mark.parametrize("seconds", [0, 60], ids=["before the request", "after it"])
def test_a_silent_login_by_another_page_is_no_new_login(browser, with_people, demand, seconds):
    """A session by a login that asked nothing satisfies no request that demands one, whenever it began."""
    silent = Browser(with_people, browser.upstream)
    with_people.now = LATER - 60 + 2 * seconds
    silent.log_in(silent.authorize(), auth_time=None)
    with_people.now = LATER
    url = waiting_page(browser, demand)
    with_people.now = LATER + seconds
    assert is_sent_to_log_in(browser, with_session_of(browser, silent).get(url))


def test_an_earlier_session_brought_in_later_is_no_new_login(browser, with_people):
    """A session with a login of seconds ago passes for no new one if it began before the request."""
    earlier = Browser(with_people, browser.upstream)
    earlier.log_in(earlier.authorize(), auth_time=LATER)
    with_people.now = LATER + 10
    url = waiting_page(browser, {"prompt": "login"})
    assert is_sent_to_log_in(browser, with_session_of(browser, earlier).get(url))


def test_a_login_of_unknown_time_is_repeated_for_max_age(browser):
    """A session whose login the provider gave no time for is of any age: max_age leads to a new login."""
    browser.log_in(browser.authorize(), auth_time=None)
    assert is_sent_to_log_in(browser, browser.authorize(max_age="20"))
