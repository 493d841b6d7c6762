"""Polls of approved devices that fail: the login stays, and the next poll gets the tokens, once."""

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.stores.grant_types import DEVICE_CODE
from tests.support.devices import PersonInBrowser, begin, poll, register_terminal
from tests.support.service import OTHER_API, refused

GRANTS = {"refresh": (DEVICE_CODE, "refresh_token"), "no refresh": (DEVICE_CODE,)}


@pytest.fixture(params=GRANTS.values(), ids=GRANTS)
def service(request, service_for_people):
    register_terminal(service_for_people, grant_types=request.param)
    return service_for_people


@pytest.fixture
def approved(service, certificate):
    """Return a device code that a person approved."""
    begun = begin(service, certificate).json
    PersonInBrowser(service).decide(begun["user_code"])
    return begun["device_code"]


def later(service, code, certificate, **form):
    """Poll after the interval."""
    service.now += 6
    return poll(service, code, certificate, **form)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_database_that_fails_under_a_poll_costs_no_login(service, approved, certificate, number):
    """Whichever transaction fails before the tokens, a repeated poll gets them, and no third one does."""
    engine = service.app.extensions["macaroon_cbat"].database.engine
    begun = iter(range(1, 100))

    def fail(*_connection: object) -> None:
        if next(begun) == number:
            raise OperationalError("BEGIN", None, Exception("the database was killed"))

    event.listen(engine, "checkout", fail)
    try:
        failed = later(service, approved, certificate)
    finally:
        event.remove(engine, "checkout", fail)
    assert failed.status_code == 503
    assert later(service, approved, certificate).status_code == 200
    refused(later(service, approved, certificate), 400, "invalid_grant")


def test_an_audit_log_that_fails_under_a_poll_costs_no_login(service, approved, certificate):
    """A poll whose token cannot be audited is 503, and a repeated one gets the tokens."""
    write_log_to("/dev/full")
    refused(later(service, approved, certificate), 503, "temporarily_unavailable")
    write_log_to(None)
    assert service.stores.families.live(int(service.now), limit=5)[0] == []
    assert later(service, approved, certificate).status_code == 200


@pytest.mark.parametrize(
    ("form", "code"),
    [({"resource": OTHER_API}, "target"), ({"authorization_details": "x"}, "authorization_details")],
    ids=["resource", "details"],
)
def test_a_poll_for_what_was_not_granted_costs_no_login(service, approved, certificate, form, code):
    """A device that names what it cannot have is told so, and gets what was granted when it polls again."""
    refused(later(service, approved, certificate, **form), 400, f"invalid_{code}")
    assert later(service, approved, certificate).status_code == 200
