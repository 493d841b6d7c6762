"""Authorization requests: an error is a page until client and redirect URI are verified, then a redirect."""

from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.service.authorization.answers import code_url
from tests.stores.test_redirect_uris import NEARLY
from tests.support.audit_events import events
from tests.support.browsers import (
    APP,
    CHALLENGE,
    LOOPBACK,
    NATIVE,
    PHONE,
    answer_in,
    request_of,
)
from tests.support.databases import NOW
from tests.support.service import ISSUER, OTHER_API, SECRETS, client_metadata

STATE = "af0ifjsldkj"


def shown(answer, status=400) -> str:
    """Check that this is an error page and no redirect; return its text."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "text/html"
    assert answer.location is None
    assert "Refresh" not in answer.headers
    return answer.text


def told(answer, place=APP) -> dict[str, str]:
    """Check that this is an error for the client; return its parameters."""
    assert answer.status_code == 303, answer.text
    assert answer.location.startswith(place + "?"), answer.location
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    return answer_in(answer.location)


def test_a_request_leads_to_the_login(browser, upstream):
    """A good request leads to the login at the provider, with state, nonce and PKCE, and sets one cookie."""
    answer = browser.authorize()
    assert answer.status_code == 303
    asked = answer_in(answer.location)
    assert answer.location.startswith(f"{upstream.issuer}/authorize?")
    assert set(asked) == {
        *("response_type", "client_id", "redirect_uri", "scope"),
        *("state", "nonce", "code_challenge", "code_challenge_method"),
    }
    assert {len(asked[name]) for name in ("state", "nonce", "code_challenge")} == {43}
    assert STATE not in answer.location
    [cookie] = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))


@pytest.mark.parametrize("uri", NEARLY.values(), ids=NEARLY)
def test_a_nearly_registered_redirect_is_never_followed(browser, uri):
    """A redirect URI that is not exactly a registered one gets an error page (RFC 9700 2.1)."""
    answer = browser.authorize(redirect_uri=uri)
    page = shown(answer)
    assert "<script" not in page
    assert uri not in answer.headers.get("Location", "")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"client_id": "unknown"}, id="unknown"),
        pytest.param({"client_id": "BILLING-WEB"}, id="in another case"),
        pytest.param({"client_id": None}, id="missing"),
        pytest.param({"client_id": ""}, id="empty"),
        pytest.param({"client_id": "x" * 5000}, id="very long"),
        pytest.param({"client_id": "<script>alert(1)</script>"}, id="markup"),
        pytest.param({"client_id": "billing"}, id="without a redirect URI"),
        pytest.param({"client_id": PHONE}, id="with another redirect URI"),
    ],
)
def test_an_unverified_client_gets_no_redirect(browser, changes):
    """A request of a client that cannot be verified ends at an error page, whatever redirect it names."""
    assert "<script" not in shown(browser.authorize(**changes))


@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_repeated_destination_gets_no_redirect(browser, name):
    """A client or redirect URI that comes twice is not believed, even if both are the same."""
    request = request_of()
    shown(browser.get("/oauth2/authorize", [*request.items(), (name, request[name])]))


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("", id="none"),
        pytest.param("%ff=%fe", id="no UTF-8"),
        pytest.param("client_id=billing-web%00", id="a NUL"),
        pytest.param("&&&=&", id="only separators"),
        pytest.param("client_id[]=billing-web", id="an array"),
    ],
)
def test_a_malformed_query_is_a_page(browser, query):
    """A query that cannot be read ends at an error page."""
    shown(browser.get("/oauth2/authorize", query))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"response_type": None}, "invalid_request", id="no response type"),
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="an implicit grant"),
        pytest.param({"response_type": "code token"}, "unsupported_response_type", id="a hybrid one"),
        pytest.param({"response_type": "id_token"}, "unsupported_response_type", id="an ID token"),
        pytest.param({"response_mode": "fragment"}, "invalid_request", id="an answer in the fragment"),
        pytest.param({"response_mode": "form_post"}, "invalid_request", id="an answer in a form"),
        pytest.param({"code_challenge": None}, "invalid_request", id="no PKCE"),
        pytest.param({"code_challenge": ""}, "invalid_request", id="an empty challenge"),
        pytest.param({"code_challenge_method": None}, "invalid_request", id="no method, which means plain"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain"),
        pytest.param({"code_challenge_method": "s256"}, "invalid_request", id="a method in another case"),
        pytest.param({"code_challenge": CHALLENGE[:-1]}, "invalid_request", id="a short challenge"),
        pytest.param({"code_challenge": CHALLENGE + "="}, "invalid_request", id="a padded challenge"),
        pytest.param({"scope": "admin"}, "invalid_scope", id="a scope of the service itself"),
        pytest.param({"scope": "audit"}, "invalid_scope", id="a scope of another client"),
        pytest.param({"scope": "openid"}, "invalid_scope", id="a scope of OpenID Connect"),
        pytest.param({"scope": "read\nwrite"}, "invalid_scope", id="a line end in the scope"),
        pytest.param({"scope": "x" * 4097}, "invalid_request", id="a very long scope"),
        pytest.param({"resource": OTHER_API}, "invalid_target", id="another resource"),
        pytest.param({"resource": ISSUER}, "invalid_target", id="the service itself"),
        pytest.param({"prompt": "create"}, "invalid_request", id="an unknown prompt"),
        pytest.param({"prompt": "none login"}, "invalid_request", id="a prompt that contradicts itself"),
        pytest.param({"max_age": "-1"}, "invalid_request", id="a negative age"),
        pytest.param({"max_age": "1e3"}, "invalid_request", id="an age in other notation"),
        pytest.param({"max_age": "٣"}, "invalid_request", id="an age in other digits"),
        pytest.param({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported", id="a request object"),
    ],
)
def test_a_bad_request_is_told_to_its_client(browser, upstream, changes, code):
    """Each error of a verified client goes to it, with state and issuer (RFC 6749 4.1.2.1, RFC 9207)."""
    answer = told(browser.authorize(**changes))
    assert answer["error"] == code
    assert (answer["state"], answer["iss"]) == (STATE, ISSUER)
    assert set(answer) == {"error", "error_description", "state", "iss"}
    assert upstream.asked == []


@pytest.mark.parametrize(
    "name", ["response_type", "scope", "code_challenge", "code_challenge_method", "prompt", "max_age"]
)
def test_a_repeated_parameter_is_refused(browser, name):
    """No parameter may come twice (RFC 6749 3.1), so that no two readers take different ones."""
    request = request_of(prompt="consent", max_age="5")
    answer = told(browser.get("/oauth2/authorize", [*request.items(), (name, request[name])]))
    assert (answer["error"], answer["state"]) == ("invalid_request", STATE)


def test_a_repeated_state_is_not_returned(browser):
    """Of two states neither is returned: an attacker may have written one."""
    answer = told(browser.get("/oauth2/authorize", [*request_of().items(), ("state", "other")]))
    assert answer["error"] == "invalid_request"
    assert "state" not in answer


def test_an_error_without_state_has_the_issuer(browser):
    """An error for a request without state has no state, and the issuer all the same."""
    answer = told(browser.authorize(state=None, response_type="token"))
    assert set(answer) == {"error", "error_description", "iss"}


@pytest.mark.parametrize(
    "state",
    [
        "a b+c&d=e#f%20%2B",
        "x\r\nSet-Cookie: stolen=1\r\n\r\n<script>",
        "\u202ebidi\U0001f511",
        "https://evil.example/?a=b",
        "s" * 3000,
    ],
    ids=["separators", "response splitting", "other scripts", "a URL", "long"],
)
def test_the_state_is_returned_as_it_came(browser, state):
    """The state is returned character by character, and none of it ends a header."""
    answer = browser.authorize(state=state, response_type="token")
    assert told(answer)["state"] == state
    assert "\r" not in answer.location
    assert "\n" not in answer.location
    assert "stolen" not in str(answer.headers.getlist("Set-Cookie"))


def test_an_unknown_parameter_is_ignored(browser, upstream):
    """A parameter that the service does not know is ignored, even if it comes twice (RFC 6749 3.1)."""
    more = [("nonce", "n"), ("nonce", "m"), ("ui_locales", "fr"), ("display", "page")]
    answer = browser.get("/oauth2/authorize", [*request_of().items(), *more])
    assert answer.location.startswith(upstream.issuer)


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:51004/callback", "http://127.0.0.1/callback", NATIVE],
    ids=["port", "none", "scheme"],
)
def test_a_native_application_is_answered_on_its_device(browser, uri):
    """A loopback redirect may have any port, and a registered scheme is one (RFC 8252 7.1, 7.3)."""
    answer = browser.authorize(PHONE, redirect_uri=uri, response_type="token")
    assert told(answer, uri)["error"] == "unsupported_response_type"


@pytest.mark.parametrize("uri", ["http://[::1]/callback", "http://localhost/callback", LOOPBACK + "x"])
def test_a_native_application_gets_no_other_answer(browser, uri):
    """The exception for the loopback address is one for its port alone."""
    shown(browser.authorize(PHONE, redirect_uri=uri))


def test_the_only_redirect_need_not_be_named(browser):
    """A request may leave out the redirect URI if the client has one (RFC 6749 3.1.2.3)."""
    assert told(browser.authorize(redirect_uri=None, response_type="token"))["iss"] == ISSUER


def test_one_of_several_redirects_must_be_named(browser):
    """A client with several redirect URIs has to name one."""
    shown(browser.authorize(PHONE, redirect_uri=None))


def test_the_query_of_a_redirect_is_kept(browser, with_people):
    """The query of a registered redirect URI stays as it is written, and the answer follows it."""
    uri = "https://app.example/cb?tenant=a%2Fb&x=%7e"
    metadata = client_metadata(redirect_uris=(uri,), grant_types=("authorization_code",))
    with_people.stores.clients.add("tenant", metadata, secret=SECRETS["billing"], now=NOW)
    answer = browser.authorize("tenant", redirect_uri=uri, response_type="token")
    assert answer.location.startswith(uri + "&error=")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_endpoint_answers_get_alone(browser, method):
    """A request comes by GET: a form of another site cannot carry the cookies that a POST would need."""
    answer = browser.client.open("/oauth2/authorize", method=method, base_url=ISSUER, data=request_of())
    assert answer.status_code == 405


def test_the_issuer_is_never_built_from_the_host(browser):
    """No header of a request changes the issuer in an answer, or the place to which a login returns."""
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    where = "/oauth2/authorize?" + urlencode(request_of())
    answer = browser.client.get(where, headers=forged)
    assert "evil.example" not in answer.location
    assert quote(ISSUER, safe="") in answer.location


def test_a_refusal_is_one_line_of_the_audit_log(audited_browser, file):
    """A refusal that a client is told by redirect is one line of the audit log, with its whole reason."""
    told(audited_browser.authorize(code_challenge_method="plain"))
    shown(audited_browser.authorize(redirect_uri=APP + "/"))
    lines = [line for line in events(file) if line["event"] == "request.refused"]
    assert [line["status"] for line in lines] == [303, 400]
    assert "S256" in str(lines[0]["reason"])
    assert {line["endpoint"] for line in lines} == {"/oauth2/authorize"}


@given(st.text(max_size=50), st.sampled_from([APP, APP + "?a=b", LOOPBACK, NATIVE]))
def test_every_state_comes_back(state, place):
    """Any state comes back as it was, in a URL of visible ASCII that begins with the redirect URI."""
    url = code_url(place, "a code", state, ISSUER)
    assert url.startswith(place)
    assert all("!" <= character <= "~" for character in url)
    assert answer_in(url)["state"] == state
