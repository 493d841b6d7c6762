"""The page of consent in a real browser: from a client's link to the client's answer."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.test_pages import DESK, PHONE, is_well_laid_out, problems_of
from tests.support.browser import chromium, visiting
from tests.support.browsers import CHALLENGE, answer_in
from tests.support.ports import free_port
from tests.support.service_process import API, Service
from tests.support.small_upstream import SECRET, small_upstream

CALLBACK = "https://client.example/callback"
AUDIENCE = "https://accounts.and-other-things.with-a-long-name.example/of/a/tenant/in/some/region"


class House(NamedTuple):
    """A running service with a provider, and the files that a browser trusts."""

    service: Service
    provider: Path

    def link(self, client: str = "web", **changes: str) -> str:
        """Return the URL to which a client sends its browser."""
        asked = {
            "response_type": "code",
            "client_id": client,
            "redirect_uri": CALLBACK,
            "state": "of this request",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return f"{self.service.issuer}/oauth2/authorize?{urlencode(asked | changes)}"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Run a service whose people log in at a provider that asks them nothing."""
    folder = tmp_path_factory.mktemp("consent")
    service = Service(folder / "data", free_port())
    service.data.mkdir()
    service.prepare()
    code = ("--grant", "authorization_code", "--redirect-uri", CALLBACK, "--redirect-uri")
    scope = ("--scope", "read write accounts:list:all", "--audience", AUDIENCE)
    service.add(
        "web", *scope, *code, CALLBACK + "/2", "--name", "Accounts & <b>more</b>", "--grant", "refresh_token"
    )
    service.add("device", "--scope", "read", "--audience", API, *code, "http://127.0.0.1/callback")
    with small_upstream(folder / "provider") as upstream:
        upstream.clock = time.time
        settings = {
            "UPSTREAM_ISSUER": upstream.issuer,
            "UPSTREAM_CLIENT_ID": upstream.settings().upstream_client_id,
            "UPSTREAM_CLIENT_SECRET": SECRET,
            "UPSTREAM_CA": str(upstream.ca),
        }
        with service.running(**{f"MACAROON_CBAT_{name}": str(value) for name, value in settings.items()}):
            yield House(service, folder / "provider" / "server.pem")


@pytest.fixture(scope="module")
def browser(house: House) -> Iterator[Browser]:
    """Run a browser that trusts service and provider; the client's host answers with any page."""
    names = {"client.example": house.service.port}
    with chromium(house.service.data / "server.pem", house.provider, names=names) as browser:
        yield browser


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def visitor(request, browser):
    """Open a page without scripts."""
    with visiting(browser, java_script_enabled=False, **request.param) as page:
        yield page


def test_a_person_allows_a_client(house: House, visitor: Page):
    """A person comes from a client, logs in, allows what the page says, and is back there with a code."""
    problems = problems_of(visitor)
    visitor.goto(house.link())
    expect(visitor.get_by_role("heading")).to_have_text("Accounts & <b>more</b> wants access")
    for text in ("accounts:list:all", AUDIENCE, "10 minutes", "client.example", "user:alice"):
        expect(visitor.locator("main")).to_contain_text(text)
    laid_out = is_well_laid_out(visitor)
    visitor.get_by_role("button", name="Approve").press("Enter")
    visitor.wait_for_url(f"{CALLBACK}?*")
    answer = answer_in(visitor.url)
    assert set(answer) == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("of this request", house.service.issuer)
    assert (laid_out, problems) == (True, [])


def test_a_person_refuses_a_client(house: House, visitor: Page):
    """A person who refuses is back at the client, with access_denied and without a code."""
    visitor.goto(house.link(scope="read"))
    visitor.get_by_role("button", name="Deny").click()
    visitor.wait_for_url(f"{CALLBACK}?*")
    assert answer_in(visitor.url)["error"] == "access_denied"


def test_a_program_of_the_device_is_warned_about(house: House, visitor: Page):
    """The page of a loopback redirect warns, and the browser goes to the port that the request named."""
    port = free_port()
    visitor.goto(house.link("device", redirect_uri=f"http://127.0.0.1:{port}/callback"))
    expect(visitor.locator(".warning")).to_contain_text("cannot prove")
    assert is_well_laid_out(visitor)
    with visitor.expect_request(f"http://127.0.0.1:{port}/callback?code=*"):
        visitor.get_by_role("button", name="Approve").click()


def test_a_person_signs_out(house: House, visitor: Page):
    """A person who has logged in signs out by a page, and is asked to log in for the next request."""
    visitor.goto(house.link(scope="read"))
    visitor.goto(house.service.issuer + "/oauth2/logout")
    assert is_well_laid_out(visitor)
    visitor.get_by_role("button", name="Sign out").click()
    expect(visitor.get_by_role("heading")).to_have_text("You are signed out")


def test_an_unverified_request_stays_on_the_page(house: House, visitor: Page):
    """A request with a redirect URI that is nearly registered ends at a page, and leads nowhere."""
    visitor.goto(house.link(redirect_uri=CALLBACK + "/1"))
    expect(visitor.get_by_role("heading")).to_have_text("This request cannot be understood")
    assert is_well_laid_out(visitor)
    assert visitor.url.startswith(house.service.issuer)
