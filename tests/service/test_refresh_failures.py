"""Refreshes at the same instant, and refreshes whose database or audit log fails: no family forks."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.service.refresh_settings import RefreshSettings
from tests.support.failing_database import ROTATION, failing_at
from tests.support.refresh import ask_refresh, begun, family_of, refreshed, register, rows
from tests.support.service import grant_of, refused

AT_ONCE = 8


def ask_at_once(service, token):
    """Send one refresh token in several requests at the same instant."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda _: ask_refresh(service, token), range(AT_ONCE)))


def test_simultaneous_refreshes_give_one_family(on_each_database):
    """Within the grace all succeed with the same refresh token: one family, one current token."""
    service = on_each_database
    register(service)
    token = begun(service)
    answers = ask_at_once(service, token)
    assert {answer.status_code for answer in answers} == {200}
    [successor] = {answer.json["refresh_token"] for answer in answers}
    assert rows(service) == [(family_of(token), grant_of(successor).jti)]
    refreshed(service, successor)


def test_without_a_grace_one_of_them_succeeds(start):
    """Without a grace one succeeds, and the others end the family: a copy may be a thief's."""
    service = start(refresh=RefreshSettings(refresh_grace=0))
    register(service)
    answers = ask_at_once(service, begun(service))
    assert sorted(answer.status_code for answer in answers) == [200] + [400] * (AT_ONCE - 1)
    assert rows(service) == []


@pytest.mark.parametrize("step", ROTATION)
def test_a_database_that_fails_costs_no_token(service, step):
    """Whichever step of a rotation the database fails at, the client goes on with its old token."""
    register(service)
    token = begun(service)
    before = rows(service)
    with failing_at(service.app.extensions["macaroon_cbat"].database.engine, step) as failed:
        refused(ask_refresh(service, token), 503, "temporarily_unavailable")
    assert failed == [step]
    assert rows(service) == before
    refreshed(service, token)
    assert len(rows(service)) == 1


def test_a_refresh_that_cannot_be_audited_costs_no_token(service):
    """While the audit log cannot be written, a refresh is 503, and the old token stays the current one."""
    register(service)
    token = begun(service)
    before = rows(service)
    write_log_to("/dev/full")
    refused(ask_refresh(service, token), 503, "temporarily_unavailable")
    write_log_to(None)
    assert rows(service) == before
    refreshed(service, token)


def test_a_replay_that_cannot_be_audited_ends_the_family(service):
    """A full disk under the audit log does not let a thief go on."""
    register(service)
    token = begun(service)
    refreshed(service, refreshed(service, token)["refresh_token"])
    write_log_to("/dev/full")
    refused(ask_refresh(service, token), 503, "temporarily_unavailable")
    write_log_to(None)
    assert rows(service) == []
