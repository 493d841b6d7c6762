"""Links of other sites to the page of device authorization: an attacker can send a person there."""

import pytest

from tests.support.browsers import form_in
from tests.support.devices import PersonInBrowser, begin, register_terminal


@pytest.fixture
def service(service_for_people):
    register_terminal(service_for_people)
    return service_for_people


@pytest.fixture
def ada(service):
    return PersonInBrowser(service)


def led(person, code, site):
    """Open the link with this code as a browser does that a page of this site led there."""
    query, headers = {"user_code": code}, {"Sec-Fetch-Site": site}
    return person.open("/device", method="GET", query_string=query, headers=headers)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "unheard-of"])
def test_wrong_codes_in_links_lock_no_person_out(ada, service, certificate, site):
    """A page that sends a person to wrong codes does not use up the person's tries."""
    assert {led(ada, "BBBB-BBBB", site).status_code for _ in range(11)} == {200}
    assert "Does your device show" in ada.enter(begin(service, certificate).json["user_code"]).text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_code_in_a_link_is_a_suggestion(ada, service, certificate, site):
    """A person who is sent there by a link finds the code in the field, beside the warning of such codes."""
    code = begin(service, certificate).json["user_code"]
    page = led(ada, code, site)
    assert form_in(page.text).fields == {"user_code": code}
    assert "is a trap" in page.text


@pytest.mark.parametrize("site", ["none", "same-origin"])
def test_a_link_that_the_person_opens_leads_to_the_question(ada, service, certificate, site):
    """The URL of a terminal, and the form of the page itself, lead to the question."""
    code = begin(service, certificate).json["user_code"]
    assert "Does your device show this code?" in led(ada, code, site).text


def test_text_in_a_link_is_no_suggestion(ada):
    """Text that is no code is not put into the page."""
    assert form_in(led(ada, '"><script>', "cross-site").text).fields == {"user_code": ""}
