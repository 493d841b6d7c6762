"""The login at the upstream provider: which answers log a person in, and which never do."""

import pytest
from joserfc.jwk import ECKey, OctKey

from macaroon_cbat.service.authorization import upstream as upstream_requests
from macaroon_cbat.service.authorization.login import LOGIN_SECONDS
from tests.support.audit_events import events
from tests.support.browsers import Browser, answer_in, exchange, register_clients
from tests.support.databases import NOW
from tests.support.service import ISSUER, grant_of
from tests.support.small_upstream import CLIENT


def come_back(browser, **claims):
    """Begin a request, log in, and return what the service answers to the provider's answer."""
    return browser.get(browser.upstream.log_in(browser.authorize().location, **claims))


def is_signed_in(browser) -> bool:
    return "You are signed in" in browser.get("/oauth2/logout").text


def test_a_login_leads_to_the_page_of_consent(browser):
    """A login sets a session cookie of this host alone, and leads to the page that waits."""
    answer = come_back(browser)
    assert answer.status_code == 303
    assert answer.location.startswith(f"{ISSUER}/oauth2/consent?request=")
    [cookie] = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=28800"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert is_signed_in(browser)


def test_the_token_request_proves_the_service(browser, upstream):
    """The service proves itself by its secret in the header, each part encoded, and sends the verifier."""
    come_back(browser)
    [request] = [one for one in upstream.asked if "form" in one]
    assert set(request["form"]) == {"grant_type", "code", "redirect_uri", "code_verifier"}
    assert request["authorization"].startswith("Basic ")


def test_a_provider_may_want_the_secret_in_the_form(start, upstream):
    """A provider that does not take Basic gets client_id and secret in the form."""
    upstream.faults["document"] = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    service = start(people=upstream.settings(session_idle=61))
    register_clients(service)
    assert come_back(Browser(service, upstream)).status_code == 303


def test_the_issuer_may_end_with_a_slash(services, upstream):
    """A provider whose name ends with a slash is one: the document is found without it, the rest says it."""
    issuer = upstream.issuer + "/"
    upstream.faults.update(document={"issuer": issuer}, claims={"iss": issuer})
    service = services.start_new(people=upstream.settings(upstream_issuer=issuer))
    register_clients(service)
    browser = Browser(service, upstream)
    back = upstream.log_in(browser.authorize().location)
    assert browser.get(back).status_code == 403
    back = upstream.log_in(browser.authorize().location).partition("&iss=")[0]
    assert browser.get(back).status_code == 303


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"iss": "https://evil.example"}, id="another issuer"),
        pytest.param({"iss": None}, id="no issuer"),
        pytest.param({"aud": "another-client"}, id="another audience"),
        pytest.param({"aud": [CLIENT, "another-client"]}, id="two audiences"),
        pytest.param({"aud": []}, id="no audience"),
        pytest.param({"azp": "another-client"}, id="another authorized party"),
        pytest.param({"nonce": "of-another-login"}, id="another nonce"),
        pytest.param({"nonce": None}, id="no nonce"),
        pytest.param({"exp": NOW - 60}, id="expired"),
        pytest.param({"exp": None}, id="no expiry"),
        pytest.param({"exp": "tomorrow"}, id="an expiry that is text"),
        pytest.param({"exp": True}, id="an expiry that is a truth"),
        pytest.param({"iat": NOW - 700}, id="issued long ago"),
        pytest.param({"iat": NOW + 61}, id="issued in the future"),
        pytest.param({"iat": None}, id="issued at no time"),
        pytest.param({"sub": None}, id="no subject"),
        pytest.param({"sub": ""}, id="an empty subject"),
        pytest.param({"sub": 7}, id="a subject that is a number"),
        pytest.param({"sub": "a\nb"}, id="a subject of two lines"),
        pytest.param({"sub": "\u0430lice"}, id="a subject in other letters"),
        pytest.param({"sub": "x" * 256}, id="a very long subject"),
        pytest.param({"sub": "Ann Lee"}, id="a subject that begins with another one's"),
    ],
)
def test_an_id_token_about_something_else_is_refused(browser, upstream, claims):
    """An ID token must be of this provider, for this service, of this login, and of now."""
    upstream.faults["claims"] = claims
    answer = come_back(browser)
    assert (answer.status_code, answer.location) == (403, None)
    assert "Set-Cookie" not in answer.headers
    assert not is_signed_in(browser)


OTHER_KEY = ECKey.generate_key("P-256", {"kid": "one"})


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({"signer": OTHER_KEY}, id="by another key of the same name"),
        pytest.param({"header": {"kid": "two"}, "signer": OTHER_KEY}, id="by an unknown key"),
        pytest.param({"header": {"alg": "HS256"}, "signer": OctKey.import_key("x" * 32)}, id="by a secret"),
        pytest.param({"header": {"typ": "at+jwt"}}, id="an access token"),
        pytest.param({"header": {"typ": "logout+jwt"}}, id="a logout token"),
        pytest.param({"text": lambda text: text.rpartition(".")[0] + "."}, id="without a signature"),
        pytest.param({"text": lambda text: text[:-8] + "AAAAAAAA"}, id="a wrong signature"),
        pytest.param({"text": lambda text: "eyJhbGciOiJub25lIn0." + text.split(".")[1] + "."}, id="alg none"),
        pytest.param({"text": lambda _: "not.a.jwt"}, id="no JWT"),
        pytest.param({"text": lambda text: text + "." + text}, id="two in one"),
        pytest.param({"text": lambda _: "a" * 20_000}, id="very long"),
    ],
)
def test_a_forged_id_token_is_refused(browser, upstream, faults):
    """The signature of an ID token must hold under a key that the provider publishes."""
    upstream.faults.update(faults)
    answer = come_back(browser)
    assert (answer.status_code, answer.location) == (403, None)
    assert not is_signed_in(browser)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda url: url.replace("state=", "state=x"), id="another state"),
        pytest.param(lambda url: url.replace("&state=", "&other="), id="no state"),
        pytest.param(lambda url: url + "&state=x", id="two states"),
        pytest.param(lambda url: url + "&code=x", id="two codes"),
        pytest.param(lambda url: url.partition("?")[0], id="nothing"),
    ],
)
def test_an_answer_of_no_login_is_refused(browser, change):
    """An answer whose state belongs to no login of this browser is refused."""
    back = browser.upstream.log_in(browser.authorize().location)
    answer = browser.get(change(back))
    assert (answer.status_code, answer.location) == (400, None)
    assert not is_signed_in(browser)


def test_a_login_does_not_move_to_another_browser(with_people, upstream):
    """An attacker's answer in another browser is refused there (CSRF on login), and is not used up."""
    attacker, victim = Browser(with_people, upstream), Browser(with_people, upstream)
    back = upstream.log_in(attacker.authorize().location, sub="mallory")
    victim.authorize()
    answer = victim.get(back)
    assert (answer.status_code, answer.location) == (400, None)
    assert not is_signed_in(victim)
    assert attacker.get(back).status_code == 303


def test_a_login_ends_once(browser):
    """An answer of the provider logs a person in once: a second use is refused."""
    back = browser.upstream.log_in(browser.authorize().location)
    assert browser.get(back).status_code == 303
    assert browser.get(back).status_code == 400


def test_a_login_takes_ten_minutes_at_most(browser, with_people):
    """A login that took too long is refused."""
    back = browser.upstream.log_in(browser.authorize().location)
    with_people.now = NOW + LOGIN_SECONDS
    assert browser.get(back).status_code == 400


@pytest.mark.parametrize("change", [("iss=", "iss=https%3A%2F%2Fevil.example&x="), ("iss=", "iss=x")])
def test_an_answer_of_another_provider_is_refused(browser, change):
    """An answer that names another issuer is refused before its code is sent anywhere (RFC 9207 2.4)."""
    answer = browser.get(browser.upstream.log_in(browser.authorize().location).replace(*change))
    assert (answer.status_code, answer.location) == (403, None)
    assert not [one for one in browser.upstream.asked if "form" in one]


def test_a_provider_that_names_itself_always_does(start, upstream):
    """An answer without iss is refused if the provider says that it always sends it (RFC 9207 3)."""
    upstream.faults["document"] = {"authorization_response_iss_parameter_supported": True}
    service = start(people=upstream.settings(session_idle=62))
    register_clients(service)
    browser = Browser(service, upstream)
    back = upstream.log_in(browser.authorize().location)
    assert browser.get(back.partition("&iss=")[0]).status_code == 403


def test_a_refusal_of_the_provider_is_a_page(browser):
    """An error that the provider answers is an error page, without its text in markup."""
    state = answer_in(browser.authorize().location)["state"]
    error = {"state": state, "error": "access_denied", "error_description": "<script>alert(1)</script>"}
    answer = browser.get("/oauth2/callback", error)
    assert (answer.status_code, answer.location) == (403, None)
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param((500, {}, b"{}"), id="an error"),
        pytest.param((302, {"Location": "/keys"}, b""), id="a redirect"),
        pytest.param((200, {}, b"<html>"), id="no JSON"),
        pytest.param((200, {}, b"[]"), id="a list"),
        pytest.param((200, {}, b"{}"), id="nothing"),
        pytest.param((200, {}, b'{"id_token": 7}'), id="a number"),
        pytest.param((200, {}, b'{"id_token": "a", "id_token": "b"}'), id="two tokens"),
        pytest.param((200, {}, b"[" * 100_000), id="deep nesting"),
        pytest.param((200, {}, b'{"x":"' + b"x" * 300_000 + b'"}'), id="too much"),
    ],
)
def test_a_provider_out_of_order_is_no_refusal(browser, upstream, fault):
    """A provider that answers no usable token is a 503 page: neither a login nor a refusal."""
    upstream.faults["/token"] = fault
    answer = come_back(browser)
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert not is_signed_in(browser)


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        pytest.param("/.well-known/openid-configuration", (404, {}, b"{}"), id="no document"),
        pytest.param("/.well-known/openid-configuration", (302, {"Location": "/keys"}, b""), id="a redirect"),
        pytest.param("/keys", (500, {}, b"{}"), id="no keys"),
        pytest.param("/keys", (200, {}, b'{"keys": []}'), id="an empty key set"),
    ],
)
def test_a_provider_that_cannot_be_read_is_a_page(new_with_people, path, fault, monkeypatch):
    """A login that cannot begin is a 503 page, and the provider is not asked again at once."""
    monkeypatch.setattr(upstream_requests, "RETRY_SECONDS", 600.0)
    browser = new_with_people
    browser.upstream.faults[path] = fault
    assert [browser.authorize().status_code for _ in range(3)] == [503, 503, 503]
    assert len([one for one in browser.upstream.asked if one["path"] == path]) == 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"issuer": "https://evil.example"}, id="another issuer"),
        pytest.param({"token_endpoint": "http://localhost/token"}, id="a token endpoint without TLS"),
        pytest.param({"token_endpoint": None}, id="no token endpoint"),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, id="keys in a file"),
        pytest.param({"authorization_endpoint": "javascript:alert(1)"}, id="a script"),
        pytest.param({"authorization_endpoint": "https://user@evil.example/"}, id="a user"),
    ],
)
def test_a_document_that_cannot_be_believed_is_a_page(new_with_people, changes):
    """The document of a provider names that provider, and endpoints with TLS."""
    browser = new_with_people
    browser.upstream.faults["document"] = changes
    answer = browser.authorize()
    assert (answer.status_code, answer.location) == (503, None)


def test_only_allowed_people_log_in(start, upstream):
    """The operator may demand a value of a claim; a person without it does not log in."""
    service = start(people=upstream.settings(upstream_allowed="groups=staff"))
    register_clients(service)
    assert come_back(Browser(service, upstream), groups=["guests"]).status_code == 403
    assert come_back(Browser(service, upstream)).status_code == 403
    assert come_back(Browser(service, upstream), groups=["guests", "staff"]).status_code == 303
    assert come_back(Browser(service, upstream), groups="staff").status_code == 303


def test_the_subject_may_be_another_claim(start, upstream):
    """The operator chooses the claim that names the subject; an e-mail address must be verified."""
    service = start(people=upstream.settings(upstream_subject="email"))
    register_clients(service)
    address = {"email": "alice@example.com"}
    assert come_back(Browser(service, upstream), **address).status_code == 403
    assert come_back(Browser(service, upstream), **address, email_verified="true").status_code == 403
    browser = Browser(service, upstream)
    page = browser.log_in(browser.authorize(), **address, email_verified=True)
    code = answer_in(browser.press(page).headers["Refresh"])["code"]
    assert grant_of(exchange(service, code).json["access_token"]).sub == "user:alice@example.com"


def test_logins_are_lines_of_the_audit_log(audited_browser, file):
    """A login and a refused one are one line each, with the subject or the whole reason."""
    come_back(audited_browser)
    audited_browser.upstream.faults["claims"] = {"nonce": "x"}
    come_back(Browser(audited_browser.service, audited_browser.upstream))
    lines = [line for line in events(file) if str(line["event"]).startswith("login.")]
    assert [line["event"] for line in lines] == ["login.succeeded", "login.refused"]
    assert lines[0]["subject"] == "user:alice"
    assert "nonce" in str(lines[1]["reason"])
    assert (lines[1]["error"], lines[1]["status"]) == ("access_denied", 403)
