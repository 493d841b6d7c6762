"""The page on which a person approves a transaction, or refuses it."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import Flask, Response, request

from macaroon_cbat.audit.event import EventKind
from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.errors.discharges import ConditionNotMet, InvalidLink
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.audit import write_done
from macaroon_cbat.service.discharges.approvals import Approvals
from macaroon_cbat.service.discharges.discharger import Discharger
from macaroon_cbat.service.discharges.links import Asked, Links
from macaroon_cbat.service.discharges.shapes import APPROVE_PATH
from macaroon_cbat.service.http.request_input import read_query
from macaroon_cbat.service.pages.forms import FIELD, Forms
from macaroon_cbat.service.pages.people import PeopleAtHand, PersonAtHand
from macaroon_cbat.service.pages.rendering import page
from macaroon_cbat.service.pages.routes import add_page

_PURPOSE = "approval"
_DECISIONS = {"approve": True, "deny": False}


@dataclass(frozen=True, slots=True)
class ApprovalPage:
    """The views of the page. The person that the caveat names signs in first, and no other decides."""

    discharger: Discharger
    approvals: Approvals
    people: PeopleAtHand
    forms: Forms
    clock: Callable[[], float]

    def show(self) -> Response:
        """Return the page that shows the transaction, or the redirect by which the person signs in."""
        link = read_query(request, "asked").get("asked", "")
        asked, secret = self._read(link)
        person = self.people.signed_in(request)
        if person is None:
            return self.people.sign_in(request, f"{APPROVE_PATH}?asked={link}")
        _refuse_others(person, asked)
        if (decision := self.approvals.find(secret, self._now())) is not None:
            return page(
                "approval_done.html", {"text": asked.text, "is_approved": decision.state != "refused"}
            )
        visit = self.forms.visit(request)
        content = {
            "action": self.discharger.issuer + APPROVE_PATH,
            "person": person.name,
            "text": asked.text,
            "asked": link,
            "minutes": (asked.expires_at - self._now() + 59) // 60,
            "field": FIELD,
            "csrf": visit.token(_PURPOSE, _matter(person, link)),
        }
        return visit.keep(page("approval.html", content))

    def decide(self) -> Response:
        """Record the decision, and return the page that says so."""
        person = self.people.signed_in(request)
        if person is None:
            raise InvalidLink("the person is no longer signed in")
        fields = self.forms.posted(
            request, _PURPOSE, lambda given: _matter(person, given["asked"]), ["asked"]
        )
        asked, secret = self._read(fields["asked"])
        _refuse_others(person, asked)
        is_approved = _DECISIONS.get(fields.get("decision", ""))
        if is_approved is None:
            raise InvalidRequest("the form says neither approve nor deny: use a button of the page")

        def audit() -> None:
            kind: EventKind = "approval.given" if is_approved else "approval.refused"
            write_done(kind, subject=person.subject, reason=asked.text)

        self.approvals.decide(secret, asked, self._now(), audit, is_approved=is_approved)
        return page("approval_done.html", {"text": asked.text, "is_approved": is_approved})

    def _read(self, link: str) -> tuple[Asked, str]:
        return Links(self.discharger.keys).read(link, self._now())

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self.clock()))


def approval_pages(app: Flask, views: ApprovalPage, root_path: str) -> None:
    """Route the page."""
    add_page(app, "GET", APPROVE_PATH, views.show, root_path, label="approval")
    add_page(app, "POST", APPROVE_PATH, views.decide, root_path, label="approval decision")


def _refuse_others(person: PersonAtHand, asked: Asked) -> None:
    """Raise ConditionNotMet unless the caveat names this person."""
    if person.subject != asked.subject:
        raise ConditionNotMet(f"{person.subject} was led to what {asked.subject} is to approve")


def _matter(person: PersonAtHand, link: str) -> str:
    return f"{person.session} {link}"
