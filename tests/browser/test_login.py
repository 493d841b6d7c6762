"""A login at the upstream provider and a consent in Chromium: npm's oidc-provider, the service, a client."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from macaroon_cbat.tls.development_ca import development_certificates
from tests.browser.test_pages import DESK, PHONE, is_well_laid_out, problems_of
from tests.support.browser import chromium, visiting
from tests.support.browsers import CHALLENGE
from tests.support.ports import free_port
from tests.support.relying.oidc_provider import CLIENT, SECRET, oidc_provider
from tests.support.service_process import API, Service

CALLBACK = "https://client.example/callback"
ASKED = {
    "response_type": "code",
    "client_id": "web",
    "redirect_uri": CALLBACK,
    "state": "<b>of this request</b>",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service whose people log in at npm's oidc-provider, with one web client."""
    folder = tmp_path_factory.mktemp("login")
    service = Service(folder / "data", free_port())
    development_certificates(service.data)
    service.prepare()
    service.add("web", "--scope", "read write", "--audience", API, "--name", "Billing & Co",
                "--grant", "authorization_code", "--redirect-uri", CALLBACK)  # fmt: skip
    (folder / "secret").write_text(SECRET)
    with oidc_provider(service.data, f"{service.issuer}/oauth2/callback") as provider:
        settings = {
            "UPSTREAM_ISSUER": provider,
            "UPSTREAM_CLIENT_ID": CLIENT,
            "UPSTREAM_CLIENT_SECRET_FILE": str(folder / "secret"),
            "UPSTREAM_CA": str(service.ca),
        }
        with service.running(**{f"MACAROON_CBAT_{name}": value for name, value in settings.items()}):
            yield service


@pytest.fixture(scope="module")
def browser(service: Service) -> Iterator[Browser]:
    with chromium(service.data / "server.pem") as browser:
        yield browser


@pytest.mark.parametrize("window", [PHONE, DESK], ids=["phone", "desk"])
def test_a_person_logs_in_and_allows_access(service: Service, browser: Browser, window: dict):
    """A person logs in at the provider, allows what is asked, arrives at the client, and signs out."""
    with visiting(browser, java_script_enabled=False, **window) as page:
        problems = problems_of(page)
        page.route(f"{CALLBACK}?*", lambda route: route.fulfill(content_type="text/html", body="welcome"))
        page.goto(f"{service.issuer}/oauth2/authorize?{urlencode(ASKED)}")
        log_in(page)
        expect(page.get_by_role("heading")).to_have_text("Billing & Co wants access")
        laid_out = [is_well_laid_out(page)]
        page.get_by_role("button", name="Allow").press("Enter")
        page.wait_for_url(f"{CALLBACK}?*")
        answer = parse_qs(urlsplit(page.url).query)
        assert (answer["state"], answer["iss"]) == ([ASKED["state"]], [service.issuer])
        page.goto(f"{service.issuer}/oauth2/logout")
        laid_out.append(is_well_laid_out(page))
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("heading")).to_have_text("You are signed out")
        assert (laid_out, problems) == ([True, True], [])


def log_in(page: Page) -> None:
    """Log in at the provider's own pages, and let it tell the service."""
    page.locator("input[name=login]").fill("alice")
    page.locator("input[name=password]").fill("secret")
    page.get_by_role("button").click()
    page.get_by_role("button", name="Continue").click()
