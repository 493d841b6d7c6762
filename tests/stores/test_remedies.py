"""Remedies for a database that cannot be used, as the operator is told them."""

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.stores.database import Database
from macaroon_cbat.stores.remedies import with_remedy
from tests.support.ports import free_port
from tests.support.postgresql import Postgres


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda url: url + "x", "make it on the server", id="a database that is not there"),
        pytest.param(lambda url: url.replace("cbat@", "nix@"), "correct user and password", id="a user"),
        pytest.param(
            lambda url: url.replace(url.split(":")[-1].split("/")[0], str(free_port())),
            "start the server",
            id="a port where nothing listens",
        ),
    ],
)
def test_what_the_server_refuses_says_what_to_do(server: Postgres, change, said: str):
    """A server that cannot be used is named by its URL, with its own words and what to do."""
    url = change(server.new_database())
    with pytest.raises(Unavailable) as refused, Database(url).reading():
        pass
    place = url.replace("postgresql+psycopg", "postgresql")
    assert str(refused.value).startswith(f"the database in {place} cannot be used: connection failed: ")
    assert f": {said}" in str(refused.value)
    assert "?" not in str(refused.value)


def test_a_table_that_is_missing_is_no_missing_database():
    """The remedy for a missing database is not given for a missing table."""
    reason = 'relation "clients" does not exist'
    assert with_remedy(reason) == reason
