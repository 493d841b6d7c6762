"""The page of device authorization as attackers meet it: forged forms, guessed codes, markup in names."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from macaroon_cbat.service.oauth2.grants.device_code import DEVICE_CODE
from macaroon_cbat.service.oauth2.user_codes import ALPHABET, new_user_code, read_user_code
from tests.support.devices import BROWSER, PersonInBrowser, begin, fields_of, poll, register_terminal
from tests.support.people import SIGN_IN
from tests.support.registering import invitation, registered
from tests.support.service import ISSUER, refused

ATTACK = "\"><script>alert(1)</script>'"


@pytest.fixture
def service(service_for_people):
    register_terminal(service_for_people)
    return service_for_people


@pytest.fixture
def begun(service, certificate):
    return begin(service, certificate).json


@pytest.fixture
def ada(service):
    return PersonInBrowser(service)


def is_pending(service, begun, certificate):
    answer = poll(service, begun["device_code"], certificate)
    return (answer.status_code, answer.json["error"]) == (400, "authorization_pending")


def test_a_person_signs_in_first(service, begun):
    """A browser in which no person has signed in comes back to the same code after it."""
    guest = PersonInBrowser(service, subject="")
    answer = guest.enter(begun["user_code"].lower())
    assert answer.status_code == 303
    assert answer.headers["Location"] == f"{SIGN_IN}/device?user_code={begun['user_code']}"
    assert guest.send({"user_code": begun["user_code"]}).headers["Location"] == f"{SIGN_IN}/device"


@pytest.mark.parametrize("typed", ["https://evil.example", "//evil.example", "a&b=c\r\nSet-Cookie: x=y"])
def test_a_person_comes_back_to_the_page_alone(service, typed):
    """Text that is no code goes nowhere with the login: there is no open redirect."""
    answer = PersonInBrowser(service, subject="").enter(typed)
    assert answer.headers["Location"] == f"{SIGN_IN}/device"


def test_the_page_names_what_is_asked(ada, begun):
    """A person sees the code, the program, what it may do, where, in whose name, and a warning."""
    page = ada.enter(begun["user_code"]).text
    wanted = (begun["user_code"], "Terminal", "<code>read</code>", "https://api.example", "Ada", "just now")
    assert [text for text in wanted if text not in page] == []
    assert "Approve only if you started this yourself" in page


@pytest.mark.parametrize("spelled", [str.lower, lambda code: code.replace("-", " "), lambda code: f" {code}.",
                                     lambda code: code.replace("-", "")])  # fmt: skip
def test_a_code_is_typed_in_any_spelling(ada, begun, spelled):
    """Case, spaces and dashes of a typed code do not matter."""
    assert "Does your device show this code?" in ada.enter(spelled(begun["user_code"])).text


FORGED = {
    "without a token": lambda fields, _: {"user_code": fields["user_code"]},
    "with a token of another code": lambda fields, other: fields | {"csrf": other["csrf"]},
    "with another code": lambda fields, other: fields | {"user_code": other["user_code"]},
    "without a code": lambda fields, _: {"csrf": fields["csrf"]},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_decision_decides_nothing(service, ada, begun, certificate, forged):
    """A form without the token of this person, browser and code is refused, and the device waits on."""
    fields, other = (
        fields_of(ada.enter(one["user_code"])) for one in (begun, begin(service, certificate).json)
    )
    answer = ada.send(forged(fields, other) | {"decision": "approve"})
    assert answer.status_code == 403
    assert answer.mimetype == "text/html"
    assert is_pending(service, begun, certificate)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Origin": "null"}, id="null"),
        pytest.param({"Origin": "https://evil.example"}, id="another site"),
        pytest.param({"Sec_Fetch_Site": "cross-site"}, id="fetched from another site"),
    ],
)
def test_a_decision_of_another_site_decides_nothing(service, ada, begun, certificate, headers):
    """A form that another site sent is refused, though its token fits."""
    assert ada.decide(begun["user_code"], **headers).status_code == 403
    assert is_pending(service, begun, certificate)


def test_a_token_of_another_person_decides_nothing(service, ada, begun, certificate):
    """An attacker who signs in as himself gets no token that another person's browser could send."""
    eve = PersonInBrowser(service, "eve")
    stolen = fields_of(eve.enter(begun["user_code"]))
    ada.enter(begun["user_code"])
    assert ada.send(stolen | {"decision": "approve"}).status_code == 403
    assert is_pending(service, begun, certificate)


def test_a_token_does_not_outlive_its_session(service, ada, begun, certificate):
    """A page that was shown before the person signed in anew decides nothing."""
    fields = fields_of(ada.enter(begun["user_code"]))
    ada.client.set_cookie("person", "ada.2", domain="as.example")
    assert ada.send(fields | {"decision": "approve"}).status_code == 403
    assert is_pending(service, begun, certificate)


@pytest.mark.parametrize("decision", ["", "yes", "APPROVE", "approve deny"])
def test_another_word_is_no_decision(service, ada, begun, certificate, decision):
    """A form that says neither approve nor deny is refused."""
    fields = fields_of(ada.enter(begun["user_code"]))
    assert ada.send(fields | {"decision": decision}).status_code == 400
    assert is_pending(service, begun, certificate)


def test_the_first_decision_holds(service, ada, begun, certificate):
    """Of several decisions about one device at once, one is taken, and the others learn that it is over."""
    fields = fields_of(ada.enter(begun["user_code"]))
    cookie = ada.client.get_cookie(next(name for name in cookies_of(ada) if "browser" in name), "as.example")
    others = [PersonInBrowser(service) for _ in range(4)]
    for one in others:
        one.client.set_cookie(cookie.key, cookie.value, domain="as.example")
    words = ("approve", "deny", "approve", "deny")
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda one, word: one.send(fields | {"decision": word}), others, words)]
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert ada.enter(begun["user_code"]).status_code == 400


def cookies_of(person):
    return [cookie.key for cookie in person.client._cookies.values()]  # noqa: SLF001 # a test client has no list


def test_guesses_are_bounded(service, ada, begun, certificate):
    """A person who has tried ten wrong codes waits until they are all over, with the right code as well."""
    assert {ada.enter(f"BBBB-BBB{letter}").status_code for letter in "BCDFGHJKLM"} == {400}
    answer = ada.enter(begun["user_code"])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "600")
    assert PersonInBrowser(service, "eve").enter(begun["user_code"]).status_code == 200
    service.now += 600
    assert ada.enter(begin(service, certificate).json["user_code"]).status_code == 200


def test_guesses_at_once_are_bounded(service, begun):
    """Of many wrong codes at the same instant, in as many sessions of a person, ten are looked up."""
    sessions = [PersonInBrowser(service, session=str(number)) for number in range(16)]
    ready = Barrier(len(sessions))

    def guess(person):
        ready.wait()
        return person.enter("BBBB-BBBB").status_code

    with ThreadPoolExecutor(len(sessions)) as pool:
        answers = [*pool.map(guess, sessions)]
    assert sorted(answers) == [400] * 10 + [429] * 6


def test_a_right_code_is_no_guess(ada, begun):
    """A person may open the page of a right code as often as wanted."""
    assert {ada.enter(begun["user_code"]).status_code for _ in range(12)} == {200}


def test_user_codes_are_drawn_evenly():
    """A user code is eight consonants, of which each is drawn as often as another."""
    codes = [new_user_code() for _ in range(2000)]
    letters = "".join(codes).replace("-", "")
    assert len(set(codes)) > len(codes) - 3, "two of 2000 are alike once in 13,000 times"
    assert set(letters) == set(ALPHABET)
    assert all(abs(letters.count(letter) - 800) < 200 for letter in ALPHABET)
    assert [code for code in codes if read_user_code(code) != code] == []


@pytest.mark.parametrize(
    "text", ["", "BCDF", "AEIO-UAEI", "BCDF-GHJ1", "\u0412CDF-GHJK", "B" * 100, "\0" * 8]
)
def test_other_text_is_no_user_code(text):
    """Vowels, digits, letters of another script and other lengths are no user code."""
    assert read_user_code(text) is None


def test_markup_in_a_name_is_text(service, ada, certificate):
    """Markup in a client's name is shown as text."""
    register_terminal(service, "evil-terminal", client_name=ATTACK)
    begun = begin(service, certificate, client_id="evil-terminal").json
    for page in (ada.enter(begun["user_code"]), ada.decide(begun["user_code"])):
        assert page.status_code == 200
        assert "<script" not in page.text
        assert "&lt;script&gt;" in page.text


def test_markup_in_a_code_is_nowhere(ada):
    """Text in place of a code is not repeated in the page."""
    page = ada.enter(ATTACK)
    assert page.status_code == 400
    assert "alert(1)" not in page.text


@pytest.mark.parametrize("query", ["user_code=BCDF-GHJK&user_code=X", "code=1", "user_code=%ff"])
def test_another_query_is_refused_by_page(ada, query):
    """A repeated, unknown or garbled parameter is refused, as a page."""
    answer = ada.open("/device", method="GET", query_string=query)
    assert (answer.status_code, answer.mimetype) == (400, "text/html")


def test_a_program_learns_refusals_as_json(service):
    """A program that sends the form without asking for HTML is refused in JSON."""
    client = PersonInBrowser(service).client
    answer = client.post("/device", base_url=ISSUER, data={"user_code": "x"})
    refused(answer, 403, "access_denied")


def test_pages_with_forms_keep_their_rules(ada, begun):
    """The pages with a form forbid frames, scripts and caches as all do, and set a cookie of the host."""
    answer = ada.enter(begun["user_code"])
    assert "form-action 'self'; frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    [cookie] = answer.headers.getlist("Set-Cookie")
    assert cookie.startswith("__Host-")
    assert set(cookie.split("; ")[1:]) == {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"}


def test_decisions_are_audited(tmp_path, service, ada, begun, certificate):
    """The audit log has who let which client in, for what; a wrong code is a line, a pending poll none."""
    from macaroon_cbat.audit.file import write_log_to

    file = tmp_path / "audit.log"
    write_log_to(str(file))
    assert is_pending(service, begun, certificate)
    ada.enter("BBBB-BBBB")
    ada.decide(begun["user_code"])
    write_log_to(None)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["request.refused", "device.approved"]
    approved = lines[-1]
    assert (approved["subject"], approved["client_id"]) == ("user:ada", "terminal")
    assert (approved["scope"], approved["audience"]) == ("read", "https://api.example")
    assert begun["user_code"] not in file.read_text()


def test_a_decision_that_cannot_be_audited_does_not_hold(service, ada, begun, certificate, tmp_path):
    """An approval that the audit log does not take is none: the device goes on waiting."""
    from macaroon_cbat.audit.file import write_log_to

    fields = fields_of(ada.enter(begun["user_code"]))
    write_log_to("/dev/full")
    assert ada.send(fields | {"decision": "approve"}).status_code == 503
    write_log_to(None)
    assert is_pending(service, begun, certificate)


def test_a_browser_without_scripts_has_all_it_needs(ada, begun):
    """The pages have labels, a language, and a form that needs no script."""
    entry = ada.open("/device", method="GET").text
    assert '<html lang="en">' in entry
    assert '<label for="user_code">' in entry
    assert BROWSER.startswith("text/html")
    assert 'method="post"' in ada.enter(begun["user_code"]).text


def test_a_database_out_of_reach_is_a_page(service, ada, begun, certificate):
    """A person whose decision cannot be recorded reads so on a page, and may try again later."""
    fields = fields_of(ada.enter(begun["user_code"]))
    with closing(sqlite3.connect(service.folder / "db.sqlite3", isolation_level=None)) as database:
        database.execute("ALTER TABLE expiring_records RENAME TO elsewhere")
        answer = ada.send(fields | {"decision": "approve"})
        database.execute("ALTER TABLE elsewhere RENAME TO expiring_records")
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert int(answer.headers["Retry-After"]) > 0
    assert "Not available at the moment" in answer.text
    assert is_pending(service, begun, certificate)


def test_the_page_warns_of_a_program_that_registered_itself(service, begun, ada, certificate):
    """A person learns that no operator has checked the name which a program gave itself by an invitation."""
    assert "registered itself" not in ada.enter(begun["user_code"]).text
    members = {
        "client_name": "Terminal",
        "grant_types": [DEVICE_CODE],
        "token_endpoint_auth_method": "none",
        "tls_client_certificate_bound_access_tokens": True,
    }
    invited = registered(service, invitation(service, grant_types=[DEVICE_CODE]), members)
    own = begin(service, certificate, client_id=invited["client_id"]).json
    shown = ada.enter(own["user_code"]).text
    assert "<strong>Terminal</strong>" in shown
    assert "registered itself" in shown
