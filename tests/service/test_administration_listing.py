"""The list of what is revoked: live decisions only, page by page, of one kind or of all."""

import pytest
from sqlalchemy import insert

from macaroon_cbat.service.admin.administration import LIST_PAGE
from macaroon_cbat.stores.schema import feed_positions, revocations
from tests.support.administrator import REVOCATIONS, administrator, state
from tests.support.databases import NOW, url_in
from tests.support.resource_server import ask, register, token_for_service
from tests.support.service import API, Service, make_database, refused, settings_in


@pytest.fixture
def ops(on_each_database, certificate):
    """Return what asks as an administrator."""
    return administrator(on_each_database, certificate)


@pytest.fixture(scope="module")
def refused_ops(lasting_on_each_database, certificate):
    """Return what asks as an administrator whose every request here is refused."""
    return administrator(lasting_on_each_database, certificate)


def listed(ops, **query):
    """Return kinds and values of one page."""
    answer = ops("GET", REVOCATIONS, query_string=query)
    assert answer.status_code == 200, answer.text
    return [(one["kind"], one["value"]) for one in answer.json["revocations"]]


def take_back(service, kind, value, lasts=600, **changes):
    service.stores.revocations.revoke(kind, value, now=NOW, expires_at=NOW + lasts, **changes)


def fill(service, count):
    """Put decisions about tokens and clients into the database; every fifth expires in 5 seconds."""
    rows = [
        {"sequence": n, "kind": "token" if n % 2 else "client", "value": f"{n:022}", "audience": API}
        | {"revoked_at": NOW, "expires_at": NOW + (600 if n % 5 else 5)}
        for n in range(1, count + 1)
    ]
    with service.stores.database.writing() as connection:
        connection.execute(insert(revocations), rows)
        connection.execute(insert(feed_positions).values(feed="revocations", position=count))
    return rows


def test_live_decisions_are_listed(ops):
    """Every live decision is listed in order, whatever audience it concerns, and an expired one is not."""
    take_back(ops.service, "client", "mallory")
    take_back(ops.service, "token", "t" * 22, audience=API)
    take_back(ops.service, "subject", "alice", lasts=5)
    assert listed(ops) == [("client", "mallory"), ("token", "t" * 22), ("subject", "alice")]
    ops.service.now += 5
    answer = ops("GET", REVOCATIONS)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["revocations"] == [
        {"kind": "client", "value": "mallory", "revoked_at": NOW, "expires_at": NOW + 600},
        {"kind": "token", "value": "t" * 22, "revoked_at": NOW, "expires_at": NOW + 600},
    ]
    assert answer.json["cursor"] is None


def test_one_kind_can_be_asked_for(ops):
    """`kind` leaves the others out, and an unknown kind is refused with those that there are."""
    take_back(ops.service, "client", "mallory")
    take_back(ops.service, "subject", "alice")
    assert listed(ops, kind="subject") == [("subject", "alice")]
    assert listed(ops, kind="family") == []
    for kind in ("", "Subject", "everything"):
        reason = refused(ops("GET", REVOCATIONS, query_string={"kind": kind}), 400, "invalid_request")
        assert "token, client, subject, family, key, certificate" in reason


def test_pages_are_the_whole_list(ops):
    """The pages together are the list, each decision once, and what expires meanwhile leaves no gap."""
    rows = fill(ops.service, 2 * LIST_PAGE + 7)
    ops.service.now += 5
    for kind in (None, "token"):
        query = {} if kind is None else {"kind": kind}
        seen, cursor = [], "0"
        while cursor is not None:
            answer = ops("GET", REVOCATIONS, query_string={"after": cursor, **query})
            page = [one["value"] for one in answer.json["revocations"]]
            assert 0 < len(page) <= LIST_PAGE
            seen, cursor = seen + page, answer.json["cursor"]
        wanted = [row["value"] for row in rows if row["sequence"] % 5 and kind in (None, row["kind"])]
        assert seen == wanted


def test_a_full_page_may_be_the_last(ops):
    """A list of exactly one page has no cursor."""
    fill(ops.service, LIST_PAGE)
    answer = ops("GET", REVOCATIONS)
    assert (len(answer.json["revocations"]), answer.json["cursor"]) == (LIST_PAGE, None)


@pytest.mark.parametrize("cursor", ["", "1", "-1", "x" * 16 + ".1", "0.", "\u0661"])
def test_a_malformed_cursor_is_refused(refused_ops, cursor):
    """A malformed cursor is refused with a word on how to begin, and nothing changes."""
    before = state(refused_ops.service)
    answer = refused_ops("GET", REVOCATIONS, query_string={"after": cursor})
    assert "after=0" in refused(answer, 400, "invalid_request")
    assert state(refused_ops.service) == before


def test_a_cursor_of_another_view_is_refused(ops, certificate, tmp_path):
    """A cursor that another database gave, or one of a resource server's feed, is refused."""
    folder = tmp_path / "other"
    folder.mkdir()
    make_database(url_in(folder))
    other = Service(folder, settings_in(folder))
    fill(other, LIST_PAGE + 1)
    foreign = administrator(other, certificate)("GET", REVOCATIONS).json["cursor"]
    other.close()
    register(ops.service, "invoices", serves=(API,))
    feed = ask(ops.service, "/resource/revocations", token_for_service(ops.service), certificate)
    for cursor in (foreign, feed.json["cursor"]):
        answer = ops("GET", REVOCATIONS, query_string={"after": cursor})
        assert "another database" in refused(answer, 400, "invalid_request")
