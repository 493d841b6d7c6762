"""Records that expire, on every kind of database."""

import pytest

from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from tests.support.databases import NOW, all_rows, opened

NAME = "kBq1Zf8mQ-vT2Yw5h7Rs"


@pytest.fixture
def records(stores):
    return stores.expiring


def test_a_record_is_found_until_it_expires(records):
    """A record is found up to its last second, and not in the second from which it has expired."""
    assert records.add("code", NAME, b"{}", expires_at=NOW + 60, now=NOW)
    assert records.find("code", NAME, NOW + 59) == b"{}"
    assert records.find("code", NAME, NOW + 60) is None
    assert records.take("code", NAME, NOW + 60) is None


def test_a_name_is_added_once(records):
    """A live record keeps its content when its name is added again, and an expired one is replaced."""
    assert records.add("used_assertion", NAME, b"1", expires_at=NOW + 60, now=NOW)
    assert not records.add("used_assertion", NAME, b"2", expires_at=NOW + 90, now=NOW + 59)
    assert records.find("used_assertion", NAME, NOW) == b"1"
    assert records.add("used_assertion", NAME, b"3", expires_at=NOW + 90, now=NOW + 60)


def test_a_record_is_taken_once(records):
    """A record that was taken is gone."""
    records.add("code", NAME, b"{}", expires_at=NOW + 60, now=NOW)
    assert records.take("code", NAME, NOW) == b"{}"
    assert records.take("code", NAME, NOW) is None


def test_a_name_of_another_kind_is_another_name(records):
    """A session cannot be taken for a code of the same name."""
    records.add("session", NAME, b"{}", expires_at=NOW + 60, now=NOW)
    assert records.find("code", NAME, NOW) is None
    assert records.take("code", NAME, NOW) is None


def test_a_change_sees_the_last_one(records, stores):
    """A change sees what another process left, and one that raises changes nothing."""
    records.add("device", NAME, b"1", expires_at=NOW + 60, now=NOW)
    second = opened(stores.database.engine.url.render_as_string(hide_password=False))
    other = second.expiring
    assert other.change("device", NAME, lambda content: content + b"2", NOW) == b"12"
    assert records.change("device", NAME, lambda content: content + b"3", NOW) == b"123"
    with pytest.raises(ZeroDivisionError):
        records.change("device", NAME, lambda _: bytes(1 // 0), NOW)
    assert other.find("device", NAME, NOW) == b"123"
    second.database.close()
    assert records.change("device", "another", lambda content: content, NOW) is None


def test_the_database_has_no_name(records, stores):
    """A reader of the database learns no code: it has the hash of each name alone."""
    records.add("code", NAME, b"{}", expires_at=NOW + 60, now=NOW)
    assert NAME not in str(all_rows(stores)["expiring_records"])


def test_long_expired_records_are_deleted(records, stores):
    """A record is deleted once even a process with a slow clock takes it for expired."""
    records.add("code", "first", expires_at=NOW + 60, now=NOW)
    records.add("code", "second", expires_at=NOW + 900, now=NOW + 60 + LONGEST_CLOCK_SKEW - 1)
    assert len(all_rows(stores)["expiring_records"]) == 2
    records.add("code", "third", expires_at=NOW + 900, now=NOW + 60 + LONGEST_CLOCK_SKEW)
    assert len(all_rows(stores)["expiring_records"]) == 2


def test_a_dropped_record_is_gone(records):
    """A record that is dropped cannot be found, and one that is not there can be dropped."""
    records.add("session", NAME, expires_at=NOW + 60, now=NOW)
    records.drop("session", NAME)
    records.drop("session", NAME)
    assert records.find("session", NAME, NOW) is None
