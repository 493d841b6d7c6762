"""Reads of the hot paths, which the driver runs itself: what they see, and what a failing database does."""

from contextlib import closing

import pytest
from sqlalchemy import select

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores.prepared import Prepared
from macaroon_cbat.stores.schema import clients, revocations, root_keys
from tests.support.databases import METADATA, NOW, SECRET, execute, grant, revoke_token, without

TABLES = [clients, revocations, root_keys]


def driver_of(stores):
    """Return the driver's connection that the next user gets."""
    with closing(stores.database.engine.raw_connection()) as connection:
        return connection.driver_connection


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_rows_are_those_of_sqlalchemy(stores, table):
    """Every column of each type comes as through SQLAlchemy, under its name."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    revoke_token(stores, grant())
    with stores.database.reading() as connection:
        expected = [dict(row) for row in connection.execute(select(table)).mappings()]
    found = [row._asdict() for row in stores.database.rows(Prepared(select(table)), {})]
    assert found == expected != []


def test_each_read_sees_what_another_process_did_last(stores, open_again):
    """A revocation, and its absence, are never remembered from one read to the next."""
    other = open_again()
    assert stores.revocations.reason(grant(), None) is None
    revoke_token(other, grant())
    assert stores.revocations.reason(grant(), None)
    execute(other, "DELETE FROM revocations")
    assert stores.revocations.reason(grant(), None) is None


def test_a_connection_that_failed_is_not_used_again(stores):
    """A read that fails is Unavailable, and takes its connection with it: the next read has a new one."""
    stores.clients.add("billing", METADATA, secret=SECRET, now=NOW)
    stores.clients.forget()
    with without(stores, "clients"):
        before = driver_of(stores)
        with pytest.raises(Unavailable, match="clients"):
            stores.clients.look_up("billing")
        assert driver_of(stores) is not before
    assert stores.clients.look_up("billing")


def test_a_read_keeps_no_connection(stores):
    """After a read the connection is back in the pool, and holds up no writer."""
    before = driver_of(stores)
    stores.revocations.reason(grant(), None)
    assert stores.database.engine.pool.checkedout() == 0
    assert driver_of(stores) is before
    revoke_token(stores, grant())
    assert stores.revocations.reason(grant(), None)
