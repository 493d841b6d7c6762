"""The start of the service, and errors: pages for browsers, JSON for programs."""

import pytest

from macaroon_cbat.files.chapters import topics
from macaroon_cbat.service.pages.rendering import page_routes
from tests.support.service import ISSUER, refused

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
JAVA = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"
PROGRAMS = {
    "nothing": None,
    "anything": "*/*",
    "JSON": "application/json",
    "JSON rather than HTML": "text/html;q=0.5, application/json",
    "HTML refused": "text/html;q=0, */*",
    "no list": ";;,,q=;text/html;q=x",
}


def ask(service, path, accept=BROWSER, method="GET", **headers):
    named = {} if accept is None else {"Accept": accept}
    return service.open(path, method=method, headers=named | headers)


def is_page(answer):
    return answer.mimetype == "text/html" and answer.text.startswith("<!doctype html>")


def test_a_browser_gets_the_start_page(service):
    """A browser learns what the service is, its issuer, and the URLs of metadata, API document and guide."""
    answer = ask(service, "/")
    assert answer.status_code == 200
    assert is_page(answer)
    for url in ("/.well-known/oauth-authorization-server", "/openapi.json", "/guide"):
        assert f'href="{ISSUER}{url}"' in answer.text


@pytest.mark.parametrize("accept", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_gets_the_same_links_as_json(service, accept):
    """A program that does not ask for HTML first gets the links of the start page as JSON."""
    answer = ask(service, "/", accept)
    assert answer.json == {
        "service": "macaroon_cbat",
        "issuer": ISSUER,
        "metadata": f"{ISSUER}/.well-known/oauth-authorization-server",
        "openapi": f"{ISSUER}/openapi.json",
        "guide": f"{ISSUER}/guide",
    }
    assert answer.headers["Vary"] == "Accept"


@pytest.mark.parametrize("path", ["/auth", "/auth/"])
def test_an_issuer_with_a_path_starts_there(start, path):
    """The start of an issuer with a path is at this path, with a slash at its end or without."""
    service = start(is_kept=True, issuer="https://as.example/auth")
    answer = ask(service, path)
    assert answer.status_code == 200
    assert 'href="https://as.example/.well-known/oauth-authorization-server/auth"' in answer.text


def test_the_guide_has_every_chapter(service):
    """The guide lists every chapter of the manual, and shows it as HTML in which links lead to pages."""
    listed = ask(service, "/guide").text
    chapters = {name: ask(service, f"/guide/{name}") for name in topics()}
    assert [name for name in chapters if f'href="{ISSUER}/guide/{name}"' not in listed] == []
    assert {answer.status_code for answer in chapters.values()} == {200}
    assert [name for name, one in chapters.items() if '.md"' in one.text or "<img" in one.text] == []
    assert 'href="https://as.example/guide/gateway#rules"' in chapters["401"].text
    assert '<h2 id="rules">' in chapters["gateway"].text
    assert "<svg" in chapters["caveats"].text


def test_a_chapter_that_is_not_there_is_an_error_page(service):
    """A chapter that the manual does not have is 404, as a page."""
    answer = ask(service, "/guide/..%2Fsettings")
    assert answer.status_code == 404
    assert is_page(answer)


@pytest.mark.parametrize("path", ["/nothing", "/oauth2/token", "//", "/admin/nothing"])
def test_a_browser_gets_errors_as_pages(service, path):
    """A person who follows a wrong address reads a page, with its status and the code of the error."""
    answer = ask(service, path)
    assert answer.status_code in {404, 405}
    assert is_page(answer)
    assert "<code>not_found</code>" in answer.text or "<code>method_not_allowed</code>" in answer.text


@pytest.mark.parametrize("accept", PROGRAMS.values(), ids=PROGRAMS)
def test_a_program_gets_errors_as_json(service, accept):
    """A program that does not ask for HTML first gets an error as JSON."""
    refused(ask(service, "/nothing", accept), 404, "not_found")


@pytest.mark.parametrize("accept", [BROWSER, JAVA], ids=["browser", "Java"])
def test_the_api_answers_json_whatever_is_accepted(service, accept):
    """The endpoints of the API answer a program in JSON, though its HTTP library names HTML by default."""
    refused(ask(service, "/oauth2/token", accept, "POST"), 400, "invalid_request")
    bearer = ask(service, "/admin/clients", accept, Authorization="Bearer x")
    refused(bearer, 401, "invalid_token")


def test_an_error_page_shows_markup_as_text(service):
    """Markup in the path of a request is nowhere in the error page as markup."""
    answer = ask(service, "/guide/<script>alert(1)</script>")
    assert is_page(answer)
    assert "<script" not in answer.text


def test_every_page_keeps_browsers_to_the_rules(service):
    """Every page forbids scripts, frames, caches and foreign forms, and allows its one style by its hash."""
    answers = [ask(service, path) for path in ("/", "/guide", "/guide/caveats", "/nothing")]
    policies = {answer.headers["Content-Security-Policy"] for answer in answers}
    assert len(policies) == 1
    [policy] = policies
    found = dict(one.strip().split(" ", 1) for one in policy.split(";"))
    assert found.pop("style-src").startswith("'sha256-")
    assert found == {
        "default-src": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
    }
    for answer in answers:
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Vary"] == "Accept, Cookie"


def test_pages_name_no_host_of_the_request(service):
    """No page names the host that a client writes."""
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    answers = [ask(service, path, **headers) for path in ("/", "/guide", "/nothing")]
    assert [one for one in answers if "evil.example" in f"{one.headers}{one.text}"] == []


def test_pages_are_no_operations(service):
    """The routes of pages are known by name, so that the API document leaves them out."""
    assert page_routes(service.app) == {"guide", "guide chapter", "authorize"}
