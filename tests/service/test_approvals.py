"""Approvals: the person that a caveat names decides on a page, once, and the client redeems it once."""

import json
import threading
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from werkzeug.test import EnvironBuilder

from macaroon_cbat.server.parking import PARK, ParkedResponse
from macaroon_cbat.service.discharges import approvals
from macaroon_cbat.service.discharges.approvals import Approvals
from macaroon_cbat.service.discharges.links import LIFETIME, Asked, Links
from macaroon_cbat.service.settings import LASTING
from tests.support.bakery_caveats import discharged, encrypted, form_of
from tests.support.devices import OWN, PersonInBrowser, fields_of
from tests.support.people import SIGN_IN
from tests.support.service import ISSUER, NOW, seconds

PAY = "Pay 7 EUR to <b>Example</b> & Co."
CONDITION = f"user-approves user:ada {PAY}"


class Asking:
    """A client that asks for the discharge of one caveat, and what it was told."""

    def __init__(self, service, condition=CONDITION):
        self.service = service
        key = service.open("/discharge/info", method="GET").json["PublicKey"]
        self.caveat = encrypted(condition, key)
        answer = service.open("/discharge", data=form_of(self.caveat))
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Macaroon"), answer.text
        assert answer.json["Code"] == "interaction required"
        assert answer.headers["Content-Type"] == "application/json"
        links = answer.json["Info"]["InteractionMethods"]["browser-window"]
        assert all(url.startswith(f"{ISSUER}/discharge/") for url in links.values())
        self.page, self.wait = (path_of(links[name]) for name in ("VisitURL", "WaitTokenURL"))

    def waited(self, **request):
        """Wait for the decision."""
        return self.service.open(self.wait, method="GET", **request)

    def is_undecided(self) -> bool:
        """Return True if there is no decision in the store."""
        secret = self.wait.partition("=")[2]
        return (
            Approvals(self.service.stores.expiring, lambda: self.service.now, 0).find(
                secret, seconds(self.service.now)
            )
            is None
        )

    def token(self) -> dict[str, str]:
        """Return the token of the approval, as a client of the bakery sends it on."""
        answer = self.waited()
        assert answer.status_code == 200, answer.text
        return {"token": b64decode(answer.json["token64"]).decode(), "token-kind": answer.json["kind"]}

    def redeem(self, **token: str):
        """Ask for the discharge with this token."""
        return self.service.open("/discharge", data=form_of(self.caveat, **token))


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


@pytest.fixture
def service(service_for_people):
    return service_for_people


@pytest.fixture
def asking(service):
    return Asking(service)


@pytest.fixture
def ada(service):
    return PersonInBrowser(service)


def decide(person, page, decision="approve", **headers):
    """Open the page and use one of its buttons."""
    shown = person.open(page, method="GET")
    assert shown.status_code == 200, shown.text
    return send(person, fields_of(shown) | {"decision": decision}, **headers)


def send(person, fields, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return person.open("/discharge/approve", method="POST", data=fields, headers=OWN | named)


def test_an_approved_transaction_is_discharged(asking, ada):
    """The person approves on the page, the client waits, redeems the approval, and gets the discharge."""
    done = decide(ada, asking.page)
    assert (done.status_code, "Approved" in done.text) == (200, True)
    discharge = discharged(asking.redeem(**asking.token()).json)
    assert [each.caveat_id_bytes for each in discharge.macaroon.caveats] == [
        b"time-before 2025-12-31T23:02:00Z"
    ]


def test_the_page_shows_every_word(asking, ada, service):
    """The page shows the whole transaction as text, and in whose name it would be."""
    shown = ada.open(asking.page, method="GET")
    assert "Pay 7 EUR to &lt;b&gt;Example&lt;/b&gt; &amp; Co." in shown.text
    assert "<b>Example</b>" not in shown.text
    piled = Asking(service, f"user-approves user:ada Pay k{chr(0x323) * 90} 7 EUR")
    calm = ada.open(piled.page, method="GET").text
    assert chr(0x323) * 4 + "\\u0323" in calm
    assert chr(0x323) * 5 not in calm
    long = Asking(service, f"user-approves user:ada {'x' * 900} the end")
    assert "the end" in ada.open(long.page, method="GET").text


def test_a_person_signs_in_first(asking, service):
    """A browser in which no person has signed in comes back to the same page after it."""
    guest = PersonInBrowser(service, subject="")
    answer = guest.open(asking.page, method="GET")
    assert (answer.status_code, answer.headers["Location"]) == (303, SIGN_IN + asking.page)
    refused_page(send(guest, {"asked": asking.page.partition("=")[2], "decision": "approve"}), 400)


def refused_page(answer, status):
    assert (answer.status_code, answer.mimetype) == (status, "text/html"), answer.text


def test_another_person_decides_nothing(asking, ada, service):
    """A person whom the caveat does not name sees nothing of the transaction, and cannot approve it."""
    bob = PersonInBrowser(service, subject="bob")
    shown = bob.open(asking.page, method="GET")
    refused_page(shown, 403)
    assert "Pay 7 EUR" not in shown.text
    fields = fields_of(ada.open(asking.page, method="GET"))
    refused_page(send(bob, fields | {"decision": "approve"}), 403)
    assert asking.redeem(token="x", **{"token-kind": "approval"}).status_code == 403


def test_a_refusal_ends_the_wait(asking, ada):
    """A transaction that the person refuses is never discharged, and the client that waits learns it."""
    assert "Denied" in decide(ada, asking.page, "deny").text
    answer = asking.waited()
    assert (answer.status_code, answer.json["Code"]) == (403, "permission denied")
    secret = asking.wait.partition("=")[2]
    assert asking.redeem(token=secret, **{"token-kind": "approval"}).status_code == 403


def test_nothing_is_discharged_before_the_decision(asking):
    """The secret of the wait is worth nothing before the person has approved."""
    secret = asking.wait.partition("=")[2]
    answer = asking.redeem(token=secret, **{"token-kind": "approval"})
    assert (answer.status_code, answer.json["Code"]) == (403, "permission denied")


def test_an_approval_is_redeemed_once(asking, ada):
    """Of many redemptions of one approval at one instant one succeeds, and none comes later."""
    decide(ada, asking.page)
    token = asking.token()
    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(lambda _: asking.redeem(**token).status_code, range(4)))
    assert statuses == [200, 403, 403, 403]
    assert asking.waited().status_code == 403
    assert "Approved" in ada.open(asking.page, method="GET").text
    refused_page(
        send(ada, fields_of(ada.open(Asking(asking.service).page, method="GET")) | {"decision": "?"}), 400
    )


def test_a_decision_is_made_once(asking, ada):
    """A form that is sent again decides nothing, in either way."""
    fields = fields_of(ada.open(asking.page, method="GET"))
    assert send(ada, fields | {"decision": "deny"}).status_code == 200
    refused_page(send(ada, fields | {"decision": "approve"}), 409)
    assert asking.waited().status_code == 403


def test_an_approval_is_of_its_caveat_alone(asking, ada, service):
    """The approval of one caveat discharges no other, though it has the same words."""
    other = Asking(service)
    decide(ada, asking.page)
    assert other.redeem(**asking.token()).status_code == 403
    assert other.is_undecided()
    assert asking.redeem(**asking.token()).status_code == 200


FORGED = {
    "without a token": lambda fields, _: {"asked": fields["asked"]},
    "with a token of another transaction": lambda fields, other: fields | {"csrf": other["csrf"]},
    "with another transaction": lambda fields, other: fields | {"asked": other["asked"]},
    "without a transaction": lambda fields, _: {"csrf": fields["csrf"]},
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_forged_form_approves_nothing(asking, ada, service, forged):
    """A form without the token of this person, browser and transaction is refused."""
    fields, other = (fields_of(ada.open(one.page, method="GET")) for one in (asking, Asking(service)))
    refused_page(send(ada, forged(fields, other) | {"decision": "approve"}), 403)
    assert asking.is_undecided()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{ISSUER}.evil.example"])
def test_a_form_of_another_site_approves_nothing(asking, ada, origin):
    """A form that another site sends is refused."""
    refused_page(decide(ada, asking.page, Origin=origin), 403)
    assert asking.is_undecided()


def damaged(link: str) -> str:
    return link[:-1] + ("A" if link[-1] != "A" else "Q")


@pytest.mark.parametrize(
    "spoil",
    [
        damaged,
        lambda link: link[:60],
        lambda _: "",
        lambda link: link + "A" * 6000,
        str.swapcase,
        lambda _: "*",
    ],
    ids=["damaged", "cut short", "empty", "long", "other letters", "no link"],
)
def test_a_spoiled_link_leads_nowhere(asking, ada, spoil):
    """A link that is damaged, cut short, empty or long is refused, before any person signs in."""
    path, _, link = asking.page.partition("=")
    refused_page(ada.open(f"{path}={spoil(link)}", method="GET"), 400)


INVENTED = {
    "damaged": damaged,
    "with a later end": lambda secret: secret.replace(".", ".9", 1),
    "without a number": lambda _: "a.b.c",
    "empty": lambda _: "",
    "without a MAC": lambda secret: secret.rpartition(".")[0],
    "beyond ASCII": lambda _: f"x.{NOW + 9}.\u00e9",
    "with a huge end": lambda _: f"x.{'9' * 5000}.x",
}


@pytest.mark.parametrize("spoil", INVENTED.values(), ids=INVENTED)
def test_an_invented_secret_waits_for_nothing(asking, service, spoil):
    """A secret that this service has not given out is refused at once: it holds no thread."""
    answer = service.open(
        "/discharge/wait", method="GET", query_string={"secret": spoil(asking.wait.partition("=")[2])}
    )
    assert (answer.status_code, answer.json["error"], answer.json["Code"]) == (
        400,
        "invalid_request",
        "bad request",
    )


def test_links_and_approvals_expire(asking, ada, service):
    """A link leads nowhere after its time, and an approval that no client has redeemed is gone."""
    decide(ada, asking.page)
    token = asking.token()
    other = Asking(service)
    service.now = NOW + LIFETIME
    refused_page(ada.open(other.page, method="GET"), 400)
    assert service.open(other.wait, method="GET").status_code == 400
    assert asking.redeem(**token).status_code == 403


def test_a_revoked_person_has_approved_nothing(asking, ada, service):
    """Revoking the tokens of a person ends the approvals so far; one of a later login counts."""
    decide(ada, asking.page)
    token = asking.token()
    stores = service.app.extensions["macaroon_cbat"]
    stores.revocations.revoke("subject", "user:ada", now=NOW, expires_at=NOW + LASTING)
    assert asking.redeem(**token).status_code == 403
    service.now = NOW + 1
    later = Asking(service)
    decide(ada, later.page)
    assert later.redeem(**later.token()).status_code == 200


def test_a_wait_without_a_decision_leads_back(asking, monkeypatch):
    """A client that has waited for long in a thread is led to wait on by a redirect."""
    monkeypatch.setattr(approvals, "LONGEST_HELD", 0.1)
    answer = asking.waited()
    assert (answer.status_code, path_of(answer.headers["Location"])) == (303, asking.wait)


def test_a_wait_ends_with_the_decision(asking, ada, monkeypatch):
    """A client that waits in a thread is led to the decision as soon as it is made."""
    monkeypatch.setattr(approvals, "LONGEST_HELD", 3600.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(asking.waited)
        decide(ada, asking.page)
        assert waiting.result().status_code in (200, 303)  # the decision may have come first
        assert asking.waited().status_code == 200


def parked_by(asking, park):
    """Wait over a connection that parks so; return status and fields of what the service answers itself."""
    begun = []
    environ = EnvironBuilder(asking.wait).get_environ() | {PARK: park}
    body = asking.service.app(environ, lambda status, fields: begun.append((status, dict(fields))))
    b"".join(body)
    return begun


class Connection:
    """A connection whose response the embedded server has parked."""

    def __init__(self):
        self.answered, self.parked = threading.Event(), None

    def park(self, seconds, on_end, holder=""):
        """Park the response as the embedded server does."""
        self.parked = ParkedResponse(seconds, on_end, self.answered.set)
        return self.parked

    def answer(self):
        """Return the status and the fields of the response, once it is finished."""
        assert self.answered.wait(60)
        return self.parked.answer.status, dict(self.parked.answer.fields)

    def is_led_back(self, asking):
        """Return True if the response leads back to the wait."""
        status, fields = self.answer()
        return (status, path_of(fields["Location"]), fields["Cache-Control"]) == (
            "303 SEE OTHER",
            asking.wait,
            "no-store",
        )


def test_a_parked_wait_ends_with_the_decision(asking, service, ada):
    """Each parked wait for an approval ends with it, and none for another; the next request has the token."""
    mine, other = [Connection() for _ in range(8)], Connection()
    another = Asking(service)
    for one in mine:
        assert parked_by(asking, one.park) == []
    assert parked_by(another, other.park) == []
    decide(ada, asking.page)
    assert all(one.is_led_back(asking) for one in mine)
    assert asking.token()
    assert not other.answered.is_set()
    other.parked.end_wait()
    assert other.is_led_back(another)


def test_a_decision_of_another_process_ends_a_parked_wait(asking, service):
    """A parked wait ends with the decision that another process records."""
    one = Connection()
    assert parked_by(asking, one.park) == []
    link = asking.page.partition("=")[2]
    keys = service.app.view_functions["discharge"].__self__.discharger.keys
    asked, secret = Links(keys).read(link, NOW)
    elsewhere = Approvals(service.stores.expiring, lambda: NOW, 0)
    elsewhere.decide(secret, asked, NOW, lambda: None, is_approved=True)
    assert one.is_led_back(asking)


def test_a_client_that_goes_before_it_waits_is_not_kept(asking):
    """A wait that the server ends while it begins is answered, and not kept."""
    one = Connection()

    def park(seconds, on_end, holder=""):
        one.park(seconds, on_end).end_wait()
        return one.parked

    assert parked_by(asking, park) == []
    assert one.is_led_back(asking)


def test_a_request_without_a_place_to_park_is_led_back_at_once(asking):
    """A server that parks no more responses blocks no thread in place of it."""
    [(status, fields)] = parked_by(asking, lambda _seconds, _on_end, _holder="": None)
    assert (status, path_of(fields["Location"])) == ("303 SEE OTHER", asking.wait)


def test_decisions_and_discharges_are_audited(asking, ada, service, caplog):
    """The decision and the discharge are one line each, with the person and the words of the caveat."""
    with caplog.at_level("INFO", logger="macaroon_cbat.audit"):
        decide(ada, asking.page)
        asking.redeem(**asking.token())
        decide(ada, Asking(service).page, "deny")
    lines = [
        json.loads(record.getMessage()) for record in caplog.records if record.name == "macaroon_cbat.audit"
    ]
    lines = [line for line in lines if line["event"] != "request.refused"]
    assert [line["event"] for line in lines] == ["approval.given", "discharge.minted", "approval.refused"]
    assert {line["subject"] for line in lines} == {"user:ada"}
    assert [line["reason"] for line in lines] == [PAY, CONDITION, PAY]


def test_no_decision_is_of_use_before_it_is_audited(asking, service):
    """While the decision is written to the audit log, the client still waits: it can redeem nothing."""
    seen = []
    approvals = Approvals(service.stores.expiring, lambda: NOW, 0)
    asked = Asked("number", "digest", "user:ada", PAY, NOW + LIFETIME)
    secret = asking.wait.partition("=")[2]
    approvals.decide(secret, asked, NOW, lambda: seen.append(asking.is_undecided()), is_approved=True)
    assert (seen, asking.is_undecided()) == ([True], False)


def test_wanted_attributes_name_the_person(service, ada):
    """need-declared gets the subject of the person who approved."""
    asking = Asking(service, f"need-declared subject {CONDITION}")
    decide(ada, asking.page)
    texts = [
        each.caveat_id_bytes for each in discharged(asking.redeem(**asking.token()).json).macaroon.caveats
    ]
    assert texts[1] == b"declared subject user:ada"
