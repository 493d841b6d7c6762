"""Forms of the pages: only this service's own page, shown to the same browser, can send one that counts."""

import pytest

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.errors.pages import ForgedForm
from macaroon_cbat.service.pages.cookies import Cookies
from macaroon_cbat.service.pages.forms import Forms
from macaroon_cbat.service.pages.rendering import form_source, leave_for, page, plain
from tests.support.service import ISSUER

COOKIES = Cookies(ISSUER)
FORMS = Forms(ISSUER)
OWN = {"Origin": ISSUER, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def visit(service):
    """Return the visit of a browser that has its cookie."""
    with service.app.test_request_context("/"):
        from flask import request

        return FORMS.visit(request)


def posted(service, visit, fields, headers=OWN, bound_to="request 7", **arguments):
    """Return what a view reads of a form that this browser sends."""
    cookie = {} if visit is None else {"Cookie": f"{COOKIES.name('browser')}={visit.secret}"}
    arguments = {"data": fields} | arguments
    with service.app.test_request_context("/x", method="POST", headers=headers | cookie, **arguments):
        from flask import request

        return FORMS.posted(request, "approve", bound_to, ["request"])


def fields(visit, purpose="approve", bound_to="request 7"):
    return {"csrf": visit.token(purpose, bound_to), "answer": "yes", "request": "request 7"}


def test_a_form_of_the_own_page_counts(service, visit):
    """A form that the browser was shown is read, without its token."""
    assert posted(service, visit, fields(visit)) == {"answer": "yes", "request": "request 7"}


def test_the_matter_may_be_a_field(service, visit):
    """A view may find in the fields the matter that the token is bound to."""
    assert posted(service, visit, fields(visit), bound_to=lambda form: form["request"])["answer"] == "yes"


def test_a_form_has_the_fields_of_its_page(service, visit):
    """A program, which knows its cookie, makes no form by which a view could fail."""
    sent = fields(visit)
    del sent["request"]
    with pytest.raises(ForgedForm, match="no field request"):
        posted(service, visit, sent, bound_to=lambda form: form["request"])


def test_no_two_tokens_are_alike(visit):
    """Tokens of one form differ each time, so that compression gives nothing away (BREACH)."""
    assert visit.token("approve") != visit.token("approve")


FOREIGN = {
    "no token": lambda own, _: {"answer": "yes", "request": "request 7"},
    "an empty token": lambda own, _: fields(own) | {"csrf": ""},
    "a token of another browser": lambda own, other: fields(other),
    "a token of another form": lambda own, _: fields(own, "deny"),
    "a token of another request": lambda own, _: fields(own, bound_to="request 8"),
    "a token cut short": lambda own, _: fields(own) | {"csrf": fields(own)["csrf"][:-4]},
    "a nonce alone": lambda own, _: fields(own) | {"csrf": "A" * 22},
    "no base64": lambda own, _: fields(own) | {"csrf": "\u00e4=="},
}


@pytest.mark.parametrize("forged", FOREIGN.values(), ids=FOREIGN)
def test_a_forged_token_counts_for_nothing(service, visit, forged):
    """A form without a token, or with one of another browser, form or request, is refused."""
    with service.app.test_request_context("/"):
        from flask import request

        other = FORMS.visit(request)
    with pytest.raises(ForgedForm, match="no token"):
        posted(service, visit, forged(visit, other))


ORIGINS = {
    "none": {},
    "null": {"Origin": "null"},
    "another site": {"Origin": "https://evil.example"},
    "another port": {"Origin": f"{ISSUER}:8443"},
    "plain HTTP": {"Origin": "http://as.example"},
    "a subdomain": {"Origin": "https://x.as.example"},
    "a longer name": {"Origin": f"{ISSUER}.evil.example"},
    "a user": {"Origin": "https://as.example@evil.example"},
    "two": {"Origin": f"{ISSUER}, https://evil.example"},
    "empty": {"Origin": ""},
    "fetched from another site": {"Origin": ISSUER, "Sec-Fetch-Site": "cross-site"},
    "fetched from a subdomain": {"Origin": ISSUER, "Sec-Fetch-Site": "same-site"},
    "typed": {"Origin": ISSUER, "Sec-Fetch-Site": "none"},
}


@pytest.mark.parametrize("headers", ORIGINS.values(), ids=ORIGINS)
def test_a_form_of_another_origin_counts_for_nothing(service, visit, headers):
    """A form is refused unless the browser says that a page of the issuer sent it, though its token fits."""
    with pytest.raises(ForgedForm):
        posted(service, visit, fields(visit), headers)


def test_a_browser_without_a_cookie_sends_nothing_that_counts(service, visit):
    """A form that comes without the cookie of its token is refused."""
    with pytest.raises(ForgedForm):
        posted(service, None, fields(visit))


def test_a_cookie_that_comes_twice_is_none(service, visit):
    """A second cookie of the same name is an attack: neither of them is believed."""
    name = COOKIES.name("browser")
    twice = OWN | {"Cookie": f"{name}={visit.secret}; {name}={visit.secret}"}
    with pytest.raises(ForgedForm):
        posted(service, None, fields(visit), twice)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param({"content_type": "text/plain"}, id="plain text, which another site may send"),
        pytest.param({"content_type": "application/json"}, id="JSON"),
        pytest.param({"content_type": "multipart/form-data; boundary=x"}, id="parts"),
        pytest.param({"query_string": "answer=no"}, id="fields in the URL"),
    ],
)
def test_another_body_is_no_form(service, visit, sent):
    """A form comes in its one encoding, and with no field in its URL."""
    with pytest.raises(InvalidRequest):
        posted(service, visit, fields(visit), data=b"answer=yes", **sent)


def test_the_cookie_is_of_this_host_alone(service, visit):
    """The cookie is Secure, HttpOnly, SameSite and of this host alone, and says nothing of its holder."""
    with service.app.test_request_context("/"):
        response = visit.keep(page("error.html", ERROR))
    name, *attributes = response.headers["Set-Cookie"].split("; ")
    assert name.startswith("__Host-macaroon-cbat-")
    assert set(attributes) == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}
    assert visit.secret not in visit.name


def test_issuers_of_one_host_have_cookies_of_their_own():
    """Two issuers on one host do not overwrite each other's cookies."""
    assert COOKIES.name("session") != Cookies(f"{ISSUER}/auth").name("session")


ERROR = {"title": "t", "description": "d", "code": "c", "status": 400, "home": "/"}


@pytest.mark.parametrize("member", ["title", "description", "code"])
def test_a_page_shows_markup_as_text(service, member):
    """Markup in any value of a page is text."""
    attack = "\"><script>alert(1)</script><img src=x onerror='alert(1)'>"
    with service.app.test_request_context("/"):
        text = page("error.html", ERROR | {member: attack}).get_data(as_text=True)
    assert "<script" not in text
    assert "<img" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Bank\u202egnp.exe", "Bank\\u202egnp.exe", id="direction"),
        pytest.param("a\r\nb\x00", "a\\r\\nb\\x00", id="controls"),
        pytest.param("x" * 200, "x" * 99 + "\u2026", id="length"),
        pytest.param("Z\u00fcrich \u2713", "Z\u00fcrich \u2713", id="honest"),
        pytest.param("k" + "\u0323" * 6, "k" + "\u0323" * 4 + "\\u0323" * 2, id="a pile of marks"),
        pytest.param("\u05de\u05b7\u05bc\u0596", "\u05de\u05b7\u05bc\u0596", id="marks of a language"),
    ],
)
def test_text_of_a_client_is_one_plain_line(text, shown):
    """Text of a client is shown as one short line, which no mark turns round."""
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://app.example/cb?x=1", "https://app.example"),
        ("https://app.example:8443/cb", "https://app.example:8443"),
        ("http://127.0.0.1:5000/cb", "http://127.0.0.1:5000"),
        ("http://[::1]:5000/cb", "http:"),
        ("com.example.app:/cb", "com.example.app:"),
        ("https://app.example;script-src*/cb", "https:"),
        ("https://u@app.example/", "https:"),
        ("/cb; script-src *", None),
    ],
)
def test_a_policy_allows_where_a_form_leads(service, url, source):
    """A form's answer may redirect to the one origin that it must reach, and text of a URL adds no rule."""
    assert form_source(url) == source
    with service.app.test_request_context("/"):
        policy = page("error.html", ERROR, form_targets=[url]).headers["Content-Security-Policy"]
    [forms] = [one.strip() for one in policy.split(";") if "form-action" in one]
    assert forms == " ".join(filter(None, ["form-action 'self'", source]))


def test_a_browser_is_sent_on_by_page(service):
    """The page that sends a browser on has the URL as a link and in a header, in which nothing is added."""
    url = "https://app.example/cb?code=a'b\"c&state=<x>\u00e9"
    with service.app.test_request_context("/"):
        response = leave_for(url, "<b>App</b>")
    assert response.headers["Refresh"] == "0; url=https://app.example/cb?code=a%27b%22c&state=<x>%C3%A9"
    assert "&lt;b&gt;App" in response.get_data(as_text=True)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "/cb", ""])
def test_a_browser_is_sent_on_to_no_script(service, url):
    """A URL that would run a script in the page, or that is none, is never a place to send a browser to."""
    with service.app.test_request_context("/"), pytest.raises(ValueError, match="not a URL"):
        leave_for(url, "App")
