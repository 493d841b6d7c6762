"""The page of consent: what it says, who can send its form, and what its answer leads to."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from macaroon_cbat.service.authorization.asking import WAITING_SECONDS
from macaroon_cbat.service.authorization.consent import in_words, redirect_host
from macaroon_cbat.service.authorization.endpoint import CONSENT_PATH
from macaroon_cbat.service.pages.cookies import Cookies
from macaroon_cbat.service.pages.forms import Visit
from tests.support.audit_events import events
from tests.support.browsers import APP, LOOPBACK, NATIVE, PHONE, RENEWING, WEB, Browser, answer_in, form_in
from tests.support.databases import NOW
from tests.support.service import API, ISSUER, SECRETS, client_metadata

MARKUP = "<script>alert(1)</script>\"' onload=x"
HOSTILE = MARKUP + "\u202e\n"


def left_for(answer) -> str:
    """Check that this page sends the browser on; return the URL."""
    assert answer.status_code == 200, answer.text
    url: str = answer.headers["Refresh"].removeprefix("0; url=")
    return url


def test_the_page_says_what_is_asked_for(browser):
    """The page names client, scope, audience, lifetime, the place of the answer, and the person."""
    text = browser.consent_page(scope="read write").text
    for shown in ("Billing", WEB, "read", "write", API, "10 minutes", "app.example", "Alice", "user:alice"):
        assert shown in text


def test_the_page_says_how_long_a_login_is_renewed(browser):
    """The page of a client with refresh tokens says for how long it can renew its token by itself."""
    assert "renewed without you for 90 days" in browser.consent_page(RENEWING).text
    assert "renewed" not in browser.consent_page().text


def test_the_page_runs_nothing_and_is_framed_nowhere(browser):
    """The page allows no script, no frame and no cache (RFC 9700 4.16)."""
    answer = browser.consent_page()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-inline" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "<script" not in answer.text


def test_no_text_of_a_client_becomes_markup(browser, with_people):
    """Text of a client or a provider stays text on the page, on one line, in one direction."""
    metadata = client_metadata(client_name=MARKUP, redirect_uris=(APP,), grant_types=("authorization_code",))
    with_people.stores.clients.add("hostile", metadata, secret=SECRETS["billing"], now=NOW)
    page = browser.log_in(browser.authorize(client_id="hostile"), name=HOSTILE)
    assert "<script" not in page.text
    assert "\u202e" not in page.text
    assert "&lt;script&gt;" in page.text


def test_nothing_that_a_person_decides_about_is_cut(browser, with_people):
    """A host, a scope and an audience are shown to their end, so an ellipsis hides nothing."""
    host, scope = f"login.bank.example.{'a' * 50}.{'b' * 50}.attacker.example", "read-" + "x" * 110 + "-all"
    audience = f"https://api.example/{'x' * 110}/payments"
    metadata = client_metadata(
        redirect_uris=(f"https://{host}/",),
        grant_types=("authorization_code",),
        scope=scope,
        audiences=(audience,),
    )
    with_people.stores.clients.add("long", metadata, secret=SECRETS["billing"], now=NOW)
    text = browser.consent_page("long", redirect_uri=None, scope=None).text
    assert [shown for shown in (host, scope, audience) if shown not in text] == []


def test_a_device_is_warned_about(browser):
    """A redirect that any program of the device may take is said to be one (RFC 8252 8.6)."""
    assert "cannot prove" in browser.consent_page(PHONE).text
    assert "cannot prove" not in browser.consent_page().text


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        (APP, "app.example"),
        ("https://app.example:8443?x=1", "app.example:8443"),
        (LOOPBACK, "an application of this device (127.0.0.1)"),
        ("http://[::1]:7/x", "an application of this device ([::1]:7)"),
        (NATIVE, "an application of this device (com.example.app:)"),
    ],
)
def test_the_place_of_the_answer_is_shown(uri, shown):
    """The page shows the host of a redirect URI, or that it is the device itself."""
    assert redirect_host(uri) == shown


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (600, "10 minutes"), (3600, "1 hour"), (86_400, "1 day"), (61, "61 seconds")],
)
def test_a_time_is_shown_in_words(seconds, words):
    """A lifetime is shown in the greatest unit that measures it."""
    assert in_words(seconds) == words


def test_consent_leads_to_the_client(browser):
    """After consent the browser goes to the redirect URI with code, state and issuer, and nothing else."""
    url = left_for(browser.press(browser.consent_page(state="x y&z=1")))
    assert url.startswith(APP + "?")
    answer = answer_in(url)
    assert set(answer) == {"code", "state", "iss"}
    assert (answer["state"], answer["iss"]) == ("x y&z=1", ISSUER)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:50123/callback", NATIVE])
def test_consent_leads_to_a_device(browser, uri):
    """After consent the browser goes to the port or the application that the request named."""
    url = left_for(browser.press(browser.consent_page(PHONE, redirect_uri=uri)))
    assert url.startswith(uri + "?code=")


def test_a_refusal_leads_to_the_client(browser):
    """A person who refuses sends access_denied to the client, with state and issuer."""
    answer = answer_in(left_for(browser.press(browser.consent_page(), "deny")))
    assert set(answer) == {"error", "error_description", "state", "iss"}
    assert answer["error"] == "access_denied"


def test_a_request_is_decided_once(browser):
    """The form of a request works once: pressing a button again, or another one, decides nothing."""
    page = browser.consent_page()
    left_for(browser.press(page, "deny"))
    assert browser.press(page, "approve").status_code == 400
    assert browser.press(page, "deny").status_code == 400


def test_two_presses_at_once_give_one_code(browser, with_people):
    """Of two forms that arrive at the same instant one is carried out."""
    form = form_in(browser.consent_page().text)  # read once: no two threads can read one answer
    fields = form.fields | {"decision": "approve"}
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: browser.post(form.action, fields), range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 400]


@pytest.mark.parametrize(
    ("changes", "headers"),
    [
        pytest.param({"csrf": ""}, {}, id="no token"),
        pytest.param({"csrf": "A" * 64}, {}, id="a made-up token"),
        pytest.param({}, {"Origin": "https://evil.example"}, id="a page of another site"),
        pytest.param({}, {"Origin": "null"}, id="a page of no site"),
        pytest.param({}, {"Origin": ""}, id="no origin"),
        pytest.param({}, {"Sec-Fetch-Site": "cross-site"}, id="a cross-site request"),
        pytest.param({}, {"Sec-Fetch-Site": "same-site"}, id="a page of a sibling host"),
    ],
)
def test_a_forged_form_decides_nothing(browser, changes, headers):
    """A form that another site sends is refused, and the request still waits for its person."""
    page = browser.consent_page()
    form = form_in(page.text)
    answer = browser.post(form.action, form.fields | {"decision": "approve"} | changes, **headers)
    assert answer.status_code == 403
    assert "Refresh" not in answer.headers
    assert left_for(browser.press(page))


def test_the_token_of_one_form_serves_no_other(browser):
    """The token of a form is for one request: it does not allow another one of the same browser."""
    first = form_in(browser.consent_page().text).fields
    second = browser.consent_page(scope="write")
    assert browser.press(second, csrf=first["csrf"]).status_code == 403
    assert browser.press(second, request=first["request"]).status_code == 403


def test_the_token_of_a_form_ends_with_its_session(browser, with_people, upstream):
    """A form that was shown to one person cannot be sent after another person has logged in."""
    page = browser.consent_page()
    browser.log_in(browser.authorize(prompt="login"), sub="bob")
    assert browser.press(page).status_code == 403


def test_a_request_does_not_move_to_another_browser(browser, with_people, upstream):
    """Another browser sees nothing of a request, even if its person has logged in."""
    waiting = browser.authorize()
    asked = browser.get(upstream.log_in(waiting.location)).location
    other = Browser(with_people, upstream)
    other.consent_page()
    assert other.get(asked).status_code == 400
    stranger = Browser(with_people, upstream)
    assert stranger.get(asked).status_code == 400


def test_a_request_waits_for_some_minutes(browser, with_people):
    """A request that waited too long is an error page."""
    page = browser.consent_page()
    with_people.now = NOW + WAITING_SECONDS
    assert browser.press(page).status_code == 400


@pytest.mark.parametrize("decision", ["", "APPROVE", "approve deny", "yes"])
def test_an_unknown_decision_decides_nothing(browser, decision):
    """A form without one of the two decisions is refused, and the request waits on."""
    page = browser.consent_page()
    assert browser.press(page, decision).status_code == 400
    assert left_for(browser.press(page))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"redirect_uris": ("https://app.example/new",)}, id="another redirect URI"),
        pytest.param({"grant_types": ("client_credentials",), "redirect_uris": ()}, id="without the grant"),
        pytest.param(None, id="removed"),
    ],
)
def test_a_client_that_changed_meanwhile_gets_no_answer(browser, with_people, changes):
    """The redirect URI must be registered when the answer is sent, and not only when it was asked for."""
    page, clients = browser.consent_page(), with_people.stores.clients
    members = {"redirect_uris": (APP,), "grant_types": ("authorization_code",)}
    if changes is None:
        clients.remove(WEB, lambda: NOW - 9, lasting=9)
    else:
        clients.change(WEB, lambda _: client_metadata(**(members | changes)), lambda: NOW - 9, lasting=9)
    answer = browser.press(page)
    assert answer.status_code == 400
    assert "Refresh" not in answer.headers


def test_the_same_grant_is_not_asked_twice_in_a_session(browser):
    """A person who has consented to a web client's grant is not asked again in the same session."""
    left_for(browser.press(browser.consent_page()))
    again = browser.authorize(state="again")
    assert again.status_code == 303
    assert again.location.startswith(APP + "?code=")
    assert answer_in(again.location)["state"] == "again"


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"scope": "read write"}, id="more scope"),
        pytest.param({"scope": "write"}, id="another scope"),
        pytest.param({"prompt": "consent"}, id="a client that wants the page"),
    ],
)
def test_another_grant_is_asked_for(browser, changes):
    """A consent covers exactly the grant that the page showed, and a client can have it shown again."""
    left_for(browser.press(browser.consent_page()))
    assert "wants access" in browser.get(browser.authorize(**changes).location).text


def test_a_device_is_asked_each_time(browser):
    """A consent to a redirect that does not prove its client is never remembered (RFC 8252 8.6)."""
    left_for(browser.press(browser.consent_page(PHONE)))
    assert "wants access" in browser.get(browser.authorize(PHONE).location).text


def test_a_refusal_is_not_remembered(browser):
    """A person who refused is asked again, and no consent is remembered."""
    left_for(browser.press(browser.consent_page(), "deny"))
    assert "wants access" in browser.get(browser.authorize().location).text


def test_a_consent_ends_with_the_session(browser, with_people):
    """After a new login the person is asked again."""
    left_for(browser.press(browser.consent_page()))
    page = browser.log_in(browser.authorize(prompt="login"))
    assert "wants access" in page.text


def test_a_consent_ends_when_the_client_loses_a_right(browser, with_people):
    """A client that was changed, so that its tokens were revoked, is asked about anew."""
    left_for(browser.press(browser.consent_page()))
    with_people.stores.clients.revoke_tokens("client", WEB, lambda: NOW - 9, lasting=86_400)
    with_people.app.extensions["macaroon_cbat"].forget()
    assert "wants access" in browser.get(browser.authorize().location).text


def test_decisions_are_lines_of_the_audit_log(audited_browser, file):
    """A consent and a refusal are one line each, with client, person, scope and audience."""
    left_for(audited_browser.press(audited_browser.consent_page()))
    left_for(audited_browser.press(audited_browser.consent_page(scope="write"), "deny"))
    lines = [line for line in events(file) if str(line["event"]).startswith("consent.")]
    assert [line["event"] for line in lines] == ["consent.given", "consent.refused"]
    known = {"client_id": WEB, "subject": "user:alice", "audience": API}
    assert [line["scope"] for line in lines] == ["read", "write"]
    assert [known.items() <= line.items() for line in lines] == [True, True]


@pytest.mark.parametrize(("sent", "matter"), [({}, "  "), ({"shown": "x"}, "  x"), ({"request": "x"}, "x  ")])
def test_a_form_without_its_fields_is_forged(browser, sent, matter):
    """A program without a login makes a token for its own cookie, and no defect of the service."""
    visit = Visit("A" * 43, is_new=False, cookies=Cookies(ISSUER))
    browser.client.set_cookie(visit.cookies.name("browser"), visit.secret, domain="as.example", secure=True)
    form = {"csrf": visit.token("consent", matter), "decision": "approve"} | sent
    assert browser.post(CONSENT_PATH, form).status_code == 403
