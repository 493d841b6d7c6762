"""Revocations as resource servers read them: in order, without a gap, and only their part."""

import pytest
from sqlalchemy import insert

from macaroon_cbat.stores.revocations import PAGE
from macaroon_cbat.stores.schema import feed_positions, revocations
from tests.support.databases import NOW, url_in
from tests.support.resource_server import TIMES, ask, register, token_for_service
from tests.support.service import (
    API,
    ISSUER,
    OTHER_API,
    Service,
    make_database,
    refused,
    settings_in,
)

KEYS, REVOCATIONS = "/resource/keys", "/resource/revocations"


@pytest.fixture
def served(on_each_database):
    register(on_each_database, "invoices", serves=(API,))
    register(on_each_database, "both", serves=(API, OTHER_API, ISSUER))
    return on_each_database


@pytest.fixture
def feed(served, certificate):
    """Return a call that reads the feed of a client."""
    return reader_of(served, certificate)


@pytest.fixture(scope="module")
def lasting_feed(lasting_on_each_database, certificate):
    """Return a call that reads the feed of a client, where nothing is revoked."""
    register(lasting_on_each_database, "invoices", serves=(API,))
    return reader_of(lasting_on_each_database, certificate)


def reader_of(served, certificate):
    def read(after="0", client="invoices", **query):
        query = {"after": after, **query}
        return ask(served, REVOCATIONS, token_for_service(served, client), certificate, query=query)

    return read


def take_back(service, *names, kind="token", audience=API):
    for name in names:
        service.stores.revocations.revoke(kind, name, now=NOW, expires_at=NOW + 600, audience=audience)


def values(answer):
    assert answer.status_code == 200, answer.text
    return [value for _, value, _, _ in answer.json["decisions"]]


def test_the_feed_has_what_concerns_the_caller(served, feed):
    """Decisions come in order: those of the caller's audiences and those about all."""
    take_back(served, "a" * 22)
    take_back(served, "b" * 22, audience=OTHER_API)
    take_back(served, "mallory", kind="client", audience=None)
    answer = feed()
    assert answer.json["decisions"] == [
        ["token", "a" * 22, NOW, NOW + 600],
        ["client", "mallory", NOW, NOW + 600],
    ]
    assert answer.json["is_last"] is True
    assert answer.headers["Cache-Control"] == "no-store"
    assert values(feed(client="both")) == ["a" * 22, "b" * 22, "mallory"]


def test_the_cursor_leads_on_without_gap_or_repeat(served, feed):
    """Reading on from the cursor gives what came after it, once."""
    take_back(served, "first", "second")
    answer = feed()
    assert values(answer) == ["first", "second"]
    assert values(feed(answer.json["cursor"])) == []
    take_back(served, "third")
    take_back(served, "elsewhere", audience=OTHER_API)
    later = feed(answer.json["cursor"])
    assert values(later) == ["third"]
    assert values(feed(later.json["cursor"])) == []


def test_an_empty_feed_has_a_cursor(lasting_feed):
    """Before the first revocation there is a cursor to read on from already."""
    answer = lasting_feed()
    assert (values(answer), answer.json["is_last"]) == ([], True)
    assert values(lasting_feed(answer.json["cursor"])) == []


def test_long_feeds_come_in_pages(served, feed):
    """More than one page is told as such, and the pages together are the whole feed."""
    total = 2 * PAGE + 7
    rows = [
        {"sequence": n, "value": f"{n:022}", "kind": "token", "audience": API, **TIMES}
        for n in range(1, total + 1)
    ]
    with served.stores.database.writing() as connection:
        connection.execute(insert(revocations), rows)
        connection.execute(insert(feed_positions).values(feed="revocations", position=total))
    seen, cursor, ends = [], "0", []
    for _ in range(3):
        answer = feed(cursor)
        seen += values(answer)
        cursor = answer.json["cursor"]
        ends.append(answer.json["is_last"])
    assert seen == [f"{n:022}" for n in range(1, total + 1)]
    assert ends == [False, False, True]


@pytest.mark.parametrize("cursor", ["", "-1", "1", "00", "0.", "x" * 16 + ".1", "A.1", "\u0661", "0" * 900])
def test_a_malformed_cursor_is_refused(lasting_feed, cursor):
    """A malformed cursor is an error that says how to begin."""
    assert "after=0" in refused(lasting_feed(cursor), 400, "invalid_request")


def test_a_cursor_of_other_audiences_is_refused(served, feed):
    """The cursor of another resource server, or of other audiences, would leave a gap."""
    cursor = feed(client="both").json["cursor"]
    assert "other audiences" in refused(feed(cursor), 400, "invalid_request")


def test_a_cursor_of_another_database_is_refused(served, feed, certificate, tmp_path_factory):
    """A database that was made anew does not continue the old feed."""
    cursor = feed().json["cursor"]
    folder = tmp_path_factory.mktemp("another")
    make_database(url_in(folder))
    other = Service(folder, settings_in(folder))
    try:
        register(other, "invoices", serves=(API,))
        answer = ask(other, REVOCATIONS, token_for_service(other), certificate, query={"after": cursor})
        assert "another database" in refused(answer, 400, "invalid_request")
    finally:
        other.close()


def test_a_cursor_from_the_future_is_refused(served, feed):
    """A cursor beyond the newest revocation, as after a restored backup, is an error."""
    take_back(served, "one")
    feed_name, _, sequence = feed().json["cursor"].partition(".")
    refused(feed(f"{feed_name}.{int(sequence) + 1}"), 400, "invalid_request")


@pytest.mark.parametrize("wait", ["-1", "31", "x", "", "1.5", "1e1", "99999"])
def test_a_wait_out_of_bounds_is_refused(lasting_feed, wait):
    """Waiting takes 0 to 30 whole seconds."""
    assert "0 to 30" in refused(lasting_feed(wait=wait), 400, "invalid_request")


@pytest.mark.parametrize("path", [KEYS, REVOCATIONS])
def test_feeds_are_read_only(lasting_on_each_database, path, certificate):
    """The feeds answer GET alone."""
    assert lasting_on_each_database.open(path, certificate).status_code == 405
