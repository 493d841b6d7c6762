"""The database, or the audit log, fails between two steps: nothing is half done, and the client can go on."""

from contextlib import AbstractContextManager

import pytest

from macaroon_cbat.audit.file import write_log_to
from tests.support.browsers import RENEWING, WEB, exchange
from tests.support.failing_database import failing_at_statement
from tests.support.service import refused


def failing_at(service, statement: str) -> AbstractContextManager[None]:
    """Let the database of a service fail at each statement that begins so, until the block ends."""
    return failing_at_statement(service.app.extensions["macaroon_cbat"].database.engine, statement)


@pytest.mark.parametrize(
    ("client", "statement"),
    [
        pytest.param(RENEWING, "INSERT INTO families", id="the family begins"),
        pytest.param(RENEWING, "UPDATE expiring_records", id="the code is used, with a family"),
        pytest.param(WEB, "UPDATE expiring_records", id="the code is used"),
        pytest.param(WEB, "SELECT expiring_records", id="the code is looked up"),
        pytest.param(RENEWING, "SELECT revocations", id="the revocations are looked up"),
    ],
)
def test_a_code_is_not_lost_by_an_outage(browser, with_people, client, statement):
    """A code whose exchange the database interrupts is not used: the client exchanges it afterwards."""
    code = browser.code(client)
    with failing_at(with_people, statement):
        refused(exchange(with_people, code, client), 503, "temporarily_unavailable")
    answer = exchange(with_people, code, client)
    assert answer.status_code == 200, answer.text
    assert with_people.introspect(answer.json["access_token"])["active"]
    families, _ = with_people.stores.families.live(int(with_people.now), limit=5)
    assert len(families) == (client == RENEWING)


@pytest.mark.parametrize("statement", ["INSERT INTO revocations", "DELETE FROM families"])
def test_a_replay_revokes_the_tokens_and_the_family_or_neither(browser, with_people, statement):
    """A replayed code revokes for no longer than access tokens live, so its family must end with them."""
    code = browser.code(RENEWING)
    token = exchange(with_people, code, RENEWING).json["access_token"]
    with failing_at(with_people, statement):
        refused(exchange(with_people, code, RENEWING), 503, "temporarily_unavailable")
    families, _ = with_people.stores.families.live(int(with_people.now), limit=5)
    assert with_people.introspect(token)["active"] is bool(families)
    refused(exchange(with_people, code, RENEWING), 400, "invalid_grant")
    assert with_people.stores.families.live(int(with_people.now), limit=5)[0] == []
    assert with_people.introspect(token) == {"active": False}


@pytest.mark.parametrize("client", [WEB, RENEWING])
def test_a_code_is_not_lost_by_a_full_disk(browser, with_people, client):
    """A code whose token cannot be audited is not used, and begins no family."""
    code = browser.code(client)
    write_log_to("/dev/full")
    refused(exchange(with_people, code, client), 503, "temporarily_unavailable")
    write_log_to(None)
    assert with_people.stores.families.live(int(with_people.now), limit=5)[0] == []
    assert exchange(with_people, code, client).status_code == 200


@pytest.mark.parametrize(
    ("decision", "statement"),
    [
        pytest.param("approve", "INSERT INTO expiring_records", id="the code is kept"),
        pytest.param("approve", "DELETE FROM expiring_records", id="the request is decided"),
        pytest.param("deny", "DELETE FROM expiring_records", id="the request is denied"),
    ],
)
def test_a_decision_is_not_lost_by_an_outage(browser, with_people, statement, decision):
    """A decision that the database interrupts is not made: the person presses the button again."""
    page = browser.consent_page()
    with failing_at(with_people, statement):
        assert browser.press(page, decision).status_code == 503
    assert browser.press(page, decision).status_code == 200


def test_a_login_that_cannot_be_kept_is_none(browser, with_people):
    """A login whose session cannot be stored is a 503 page, and the person is not signed in."""
    back = browser.upstream.log_in(browser.authorize().location)
    with failing_at(with_people, "INSERT INTO expiring_records"):
        answer = browser.get(back)
    assert answer.status_code == 503
    assert "You are signed in" not in browser.get("/oauth2/logout").text


def test_a_consent_that_cannot_be_audited_is_none(audited_browser, file):
    """A consent that the audit log does not take is not given, and can be given once there is room."""
    page = audited_browser.consent_page()
    file.unlink()
    file.mkdir()
    assert audited_browser.press(page).status_code == 503
    file.rmdir()
    assert audited_browser.press(page).status_code == 200
