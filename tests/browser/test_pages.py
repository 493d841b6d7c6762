"""The pages in a real browser, at the widths of a phone and of a desk, and against other sites."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import EVIL, Site
from tests.support.browser import WIDTHS, visiting
from tests.support.service_for_people import OTHER

PHONE = {"viewport": {"width": WIDTHS[0], "height": 844}, "color_scheme": "dark"}
DESK = {"viewport": {"width": WIDTHS[1], "height": 900}, "color_scheme": "light"}


@pytest.fixture(params=[PHONE, DESK], ids=["phone", "desk"])
def visitor(request, browser):
    """Open a page without scripts, as a careful person's browser does."""
    with visiting(browser, java_script_enabled=False, **request.param) as page:
        yield page


@pytest.fixture
def page(browser):
    with visiting(browser, **DESK) as page:
        yield page


def is_well_laid_out(page: Page) -> bool:
    """Return True if the style applies, and nothing is wider than the window."""
    return page.evaluate(
        "document.documentElement.scrollWidth <= window.innerWidth"
        " && getComputedStyle(document.querySelector('main > article')).borderTopStyle === 'solid'"
    )


def problems_of(page: Page) -> list[str]:
    """Return the list that fills with what the console says about policies."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if "Policy" in message.text else None)
    return said


def test_a_person_lets_a_device_in(site: Site, visitor: Page):
    """A person signs in, mistypes, types the code, approves by keyboard, and the device gets its token."""
    begun, problems = site.begin(), problems_of(visitor)
    visitor.goto(site.url("/"))
    laid_out = [is_well_laid_out(visitor)]
    visitor.get_by_role("link", name="Enter the code").click()
    visitor.get_by_label("Code on your device").fill("bcdf ghjk")
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("alert")).to_contain_text("No device waits with this code")
    laid_out.append(is_well_laid_out(visitor))
    visitor.get_by_label("Code on your device").fill(begun["user_code"].lower())
    visitor.get_by_role("button", name="Continue").click()
    expect(visitor.locator(".shown-code")).to_have_text(begun["user_code"])
    laid_out.append(is_well_laid_out(visitor))
    visitor.get_by_role("button", name="Approve").press("Enter")
    expect(visitor.get_by_role("heading")).to_have_text("Your device is connected")
    laid_out.append(is_well_laid_out(visitor))
    assert "access_token" in site.poll(begun["device_code"])
    assert (laid_out, problems) == ([True] * 4, [])


def test_every_page_fits_its_window(site: Site, visitor: Page):
    """Start page, manual, chapters with tables and a drawing, and an error are no wider than the window."""
    problems = problems_of(visitor)
    fits = {}
    for path in ("/", "/guide", "/guide/caveats", "/guide/settings", "/nothing"):
        visitor.goto(site.url(path))
        fits[path] = is_well_laid_out(visitor)
    assert {path for path, fit in fits.items() if not fit} == set()
    assert problems == []


def test_markup_in_a_name_does_nothing(site: Site, page: Page):
    """A client's name that is markup neither runs nor becomes an element, and denying it works."""
    begun = site.begin("evil")
    page.goto(begun["verification_uri_complete"])
    page.get_by_text("<script>").hover()
    assert page.title().startswith("Connect a device")
    assert page.locator("article script, article b").count() == 0
    page.get_by_role("button", name="Deny").click()
    expect(page.get_by_role("heading")).to_have_text("Access denied")
    assert site.poll(begun["device_code"], "evil")["error"] == "access_denied"


def test_what_is_injected_neither_runs_nor_shows(site: Site, page: Page):
    """The policy stops scripts, styles and requests of markup that an attacker got into a page somehow."""
    page.goto(site.url("/"))
    done = page.evaluate(
        """async () => {
            document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.ran = 1">');
            const script = document.createElement('script');
            script.textContent = 'window.ran = 2';
            const style = document.createElement('style');
            style.textContent = 'h1 { color: rgb(1, 2, 3) }';
            document.body.append(script, style);
            const sent = await fetch('/').then(() => true, () => false);
            return [window.ran ?? null, getComputedStyle(document.querySelector('h1')).color, sent];
        }"""
    )
    assert done[0] is None
    assert done[1] != "rgb(1, 2, 3)"
    assert done[2] is False


def test_no_other_site_frames_a_page(site: Site, page: Page):
    """A page in a frame of another site stays empty: there is nothing to click on unseen."""
    begun = site.begin()
    sign_in(site, page)
    visit_evil(page, f'<iframe src="{begun["verification_uri_complete"]}"></iframe>')
    page.frames[1].wait_for_url("chrome-error://**")
    assert page.frames[1].locator("button").count() == 0
    assert site.poll(begun["device_code"])["error"] == "authorization_pending"


def test_no_other_site_sends_a_form(site: Site, page: Page):
    """A form that another site sends decides nothing, even with the token of the person's own page."""
    begun = site.begin()
    sign_in(site, page)
    page.goto(begun["verification_uri_complete"])
    hidden = {
        name: page.locator(f"input[name={name}]").get_attribute("value") for name in ("csrf", "user_code")
    }
    inputs = "".join(f'<input name="{name}" value="{value}">' for name, value in hidden.items())
    button = '<button name="decision" value="approve">Win</button>'
    visit_evil(page, f'<form method="post" action="{site.url("/device")}">{inputs}{button}</form>')
    page.get_by_role("button", name="Win").click()
    page.wait_for_url(site.url("/**"))
    assert site.poll(begun["device_code"])["error"] == "authorization_pending"


def test_the_cookie_is_kept_by_the_browser(site: Site, page: Page):
    """The browser takes the cookie of the forms, and keeps it from scripts, other hosts and plain HTTP."""
    sign_in(site, page)
    page.goto(site.begin()["verification_uri_complete"])
    [cookie] = [one for one in page.context.cookies() if one["name"].startswith("__Host-")]
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (
        True,
        True,
        "Lax",
        "/",
    )
    assert cookie["domain"] == "localhost"
    assert "__Host-" not in page.evaluate("document.cookie")


def test_a_browser_is_sent_on_to_the_client(site: Site, page: Page):
    """After a form the browser reaches the client, and the other site that the client leads it to."""
    page.goto(site.url("/form-that-leaves"))
    page.get_by_role("button", name="Leave").click()
    expect(page).to_have_url(f"{OTHER}/after")


def test_a_redirect_would_be_held_to_the_policy(site: Site, page: Page):
    """A plain redirect after a form is no way to leave: Chromium holds the client's own to form-action."""
    page.goto(site.url("/form-that-leaves"))
    with page.expect_console_message(lambda message: "form-action" in message.text):
        page.get_by_role("button", name="Redirect").click()


def sign_in(site: Site, page: Page) -> None:
    page.goto(site.url("/device"))
    expect(page.get_by_label("Code on your device")).to_be_visible()


def visit_evil(page: Page, html: str) -> None:
    """Open a page of an attacker's site."""
    page.context.route(f"{EVIL}/**", lambda route: route.fulfill(content_type="text/html", body=html))
    page.goto(f"{EVIL}/")
