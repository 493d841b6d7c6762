"""The page of device authorization (RFC 8628 3.3): a person enters the code of a device, and decides."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, request

from macaroon_cbat.errors import Conflict, InvalidRequest
from macaroon_cbat.macaroon.claims import EpochSeconds, several
from macaroon_cbat.service.audit import write_done, write_or_log_refusal
from macaroon_cbat.service.http.request_input import read_query
from macaroon_cbat.service.oauth2.code_tries import count_try, forgive_try
from macaroon_cbat.service.oauth2.device_authorization import DEVICE_PATH
from macaroon_cbat.service.oauth2.device_codes import Decision, DeviceCodes, DeviceRequest
from macaroon_cbat.service.oauth2.user_codes import read_user_code
from macaroon_cbat.service.pages.forms import FIELD, Forms, Visit, is_led_by_another_site
from macaroon_cbat.service.pages.people import PeopleAtHand, PersonAtHand
from macaroon_cbat.service.pages.rendering import page
from macaroon_cbat.service.pages.routes import add_page
from macaroon_cbat.stores import Stores

_PURPOSE = "device"
_DECISIONS: dict[str, Decision] = {"approve": "approved", "deny": "denied"}
_UNKNOWN = (
    "No device waits with this code. Compare it with the one that your device shows: it lives 10 minutes."
)


@dataclass(frozen=True, slots=True)
class DevicePage:
    """The views of the page. A person signs in first, for wrong codes are counted by person.

    A link of another site is followed to the code in the field, and no further: wrong codes in links would
    lock the person out, and a person whom an attacker sends there is to see the warning first.
    """

    issuer: str
    stores: Stores
    people: PeopleAtHand
    forms: Forms
    clock: Callable[[], float]

    def show(self) -> Response:
        """Return the page that takes a code, or with a live code in the query the one that asks to decide."""
        typed = read_query(request, "user_code").get("user_code")
        code = None if typed is None else read_user_code(typed)
        person = self.people.signed_in(request)
        if person is None:
            return self.people.sign_in(request, DEVICE_PATH + ("" if code is None else f"?user_code={code}"))
        if typed is None or is_led_by_another_site(request):
            return self._entry(person, code=code)  # a link must not use up the person's tries
        now = self._now()
        count_try(self.stores.expiring, person.subject, now)
        asked = None if code is None else self._codes.find(code, now)
        if code is None or asked is None:
            write_or_log_refusal(400, "invalid_grant", f"{person.subject} entered a wrong user code")
            return self._entry(person, _UNKNOWN)
        forgive_try(self.stores.expiring, person.subject, now)
        return self._confirmation(person, code, asked, now)

    def decide(self) -> Response:
        """Record the decision of the person, and return the page that says so."""
        person = self.people.signed_in(request)
        if person is None:
            return self.people.sign_in(request, DEVICE_PATH)
        session = person.session
        fields = self.forms.posted(
            request, _PURPOSE, lambda given: _matter(session, given["user_code"]), ["user_code"]
        )
        decision = _DECISIONS.get(fields.get("decision", ""))
        if decision is None:
            raise InvalidRequest("the form says neither approve nor deny: use a button of the page")
        code, now = fields["user_code"], self._now()
        asked = self._codes.decide(code, decision, person.subject, now, _audit)
        return page("device_done.html", {"is_approved": decision == "approved", "client": self._name(asked)})

    def _entry(
        self, person: PersonAtHand, problem: str | None = None, *, code: str | None = None
    ) -> Response:
        """Return the page that takes a code; `code` stands in its field."""
        content = {"person": person.name, "problem": problem, "action": self.issuer + DEVICE_PATH}
        content |= {"code": code or ""}
        return page("device_entry.html", content, status=200 if problem is None else 400)

    def _confirmation(
        self, person: PersonAtHand, code: str, asked: DeviceRequest, now: EpochSeconds
    ) -> Response:
        visit: Visit = self.forms.visit(request)
        content = {
            "action": self.issuer + DEVICE_PATH,
            "person": person.name,
            "code": code,
            "client": self._name(asked),
            "client_id": asked.client_id,
            "scopes": asked.scope.split(" "),
            "audiences": several(asked.audience or ()),
            "details": asked.detail_lines,
            # No host that an operator named tells here who gets the access, as it does where a code goes.
            "is_vetted": self.stores.registrations.bounds(asked.client_id, now) is None,
            "address": asked.address,
            "minutes": max(0, now - asked.begun_at) // 60,
            "field": FIELD,
            "csrf": visit.token(_PURPOSE, _matter(person.session, code)),
        }
        return visit.keep(page("device_confirm.html", content))

    def _name(self, asked: DeviceRequest) -> str:
        """Return the name of the client to show, or raise Conflict if it has been removed meanwhile."""
        client = self.stores.clients.find(asked.client_id)
        if client is None:
            raise Conflict("the client of this device is no longer registered: begin again at the device")
        return client.metadata.client_name or client.client_id

    @property
    def _codes(self) -> DeviceCodes:
        return DeviceCodes(self.stores.expiring)

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self.clock()))


def device_pages(app: Flask, views: DevicePage, root_path: str) -> None:
    """Route the page."""
    add_page(app, "GET", DEVICE_PATH, views.show, root_path, label="device")
    add_page(app, "POST", DEVICE_PATH, views.decide, root_path, label="device decision")


def _matter(session: str, user_code: str) -> str:
    return f"{session} {user_code}"


def _audit(asked: DeviceRequest) -> None:
    """Write what a person decides, or raise Unavailable."""
    write_done(
        "device.approved" if asked.decision == "approved" else "device.denied",
        client_id=asked.client_id,
        subject=asked.subject,
        scope=asked.scope,
        audience=" ".join(several(asked.audience or ())) or None,
        certificate=asked.certificate,
    )
