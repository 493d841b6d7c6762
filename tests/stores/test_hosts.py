"""Several hosts in one URL: how they are written, what is refused, and which one is tried first."""

import os
import socket
from typing import Any

import pytest

from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.stores import Database
from macaroon_cbat.stores.hosts import Hosts
from macaroon_cbat.stores.urls import read_url
from tests.support.databases import execute, opened
from tests.support.ports import free_port

BOTH = [("db1", "5432"), ("db2", "5433")]


def arguments(url: str) -> dict[str, Any]:
    """Return what libpq is told of a URL."""
    engine = Database(url).engine
    told: dict[str, Any] = engine.dialect.create_connect_args(engine.url)[1]
    return told


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql://u:p@db1:5432,db2:5433/d", id="as libpq writes them"),
        pytest.param("postgres://u:p@db1,db2:5433/d", id="one with the usual port"),
        pytest.param("postgresql://u:p@/d?host=db1:5432&host=db2:5433", id="as SQLAlchemy writes them"),
        pytest.param("postgresql://u:p@/d?host=db1,db2&port=5432,5433", id="as options of libpq"),
    ],
)
def test_several_hosts_are_read(url):
    """Each spelling of several hosts names the same hosts, user, password and database."""
    told = arguments(url)
    assert Hosts(read_url(url)).all == BOTH
    assert (told["user"], told["password"], told["dbname"]) == ("u", "p", "d")
    assert (told["host"], told["port"]) == ("db1,db2", "5432,5433")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        pytest.param("postgresql://db1,db2/d", [("db1", "5432"), ("db2", "5432")], id="no user"),
        pytest.param(
            "postgresql://u@db1,db2?sslmode=require", [("db1", "5432"), ("db2", "5432")], id="no database"
        ),
        pytest.param("postgresql://[::1]:1,[fe80::2]:2/d", [("::1", "1"), ("fe80::2", "2")], id="IPv6"),
        pytest.param("postgresql://u:a,b%40c@db1/d", [("db1", "")], id="a comma in the password alone"),
        pytest.param(
            "postgresql:///d?host=/run/pg1,/run/pg2", [("/run/pg1", ""), ("/run/pg2", "")], id="sockets"
        ),
    ],
)
def test_hosts_are_read(url, hosts):
    """Hosts are those in front of the database, whatever is around them."""
    assert [(host, str(port)) for host, port in Hosts(read_url(url)).all] == hosts


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("postgresql://u:hunter2@db1:x,db2/d", id="a port that is no number"),
        pytest.param("postgresql://u:hunter2@db1:99999,db2/d", id="a port that is none"),
        pytest.param("postgresql://u:hunter2@db1,/d", id="an empty host"),
        pytest.param("postgresql://u:hunter2@db1,db2/d?host=db3", id="hosts in two places"),
        pytest.param("postgresql://u:hunter2@/d?host=db1,db2&port=1,2,3", id="more ports than hosts"),
        pytest.param(
            "postgresql://u:hunter2@db1,db2/d?target_session_attrs=write", id="an unknown kind of session"
        ),
    ],
)
def test_hosts_that_cannot_be_used_are_refused(url):
    """A list of hosts that cannot be used is a SettingsError in one line, without the password."""
    with pytest.raises(SettingsError, match="MACAROON_CBAT_DATABASE_URL") as refused:
        Database(url)
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def names(hosts: Hosts) -> str:
    return ",".join(one["host"] for one in hosts.in_order())


def test_the_host_that_answered_is_first():
    """The host that answered last is tried first, and the next one after it was left: once for each loss."""
    hosts = Hosts(read_url("postgresql://db1,db2,db3/d"))
    assert names(hosts) == "db1,db2,db3"
    answered = hosts.prefer("db2", 5432)
    assert names(hosts) == "db2,db3,db1"
    for _ in range(3):
        hosts.leave(answered)
    assert names(hosts) == "db3,db1,db2"


def test_connections_to_two_hosts_are_not_used_at_once():
    """A connection to another host than before lets all earlier ones be given up, and no other one does."""
    hosts = Hosts(read_url("postgresql://db1,db2/d"))
    (first, before), again = hosts.join("db1", 5432), hosts.join("db1", 5432)
    assert (first, before) == again
    second, after = hosts.join("db2", 5432)
    assert second != first
    assert after == hosts.generation != before
    assert hosts.join("db2", 5432) == (second, after)


def test_a_single_host_stays_as_it_is():
    """One host, which may be a name that leads to the primary, is connected to as the URL says."""
    hosts = Hosts(read_url("postgresql://db1:5433/d"))
    hosts.leave(hosts.prefer("db1", 5433))
    assert hosts.in_order() == [{"host": "db1", "port": "5433"}]


def test_every_host_out_of_reach_is_named():
    """Hosts out of reach are Unavailable, in one line that names the database by all of them."""
    ports = [free_port(), free_port()]
    there = Database(f"postgresql://u:hunter2@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/d")
    with pytest.raises(Unavailable) as refused, there.reading():
        pass
    place = f"postgresql://u:***@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}/d"
    assert str(refused.value).startswith(f"the database in {place} cannot be used: ")
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_host_that_vanishes_is_noticed(server):
    """The kernel gives a connection up whose data is not acknowledged for 5 s, or whose host is silent."""
    stores = opened(server.new_database())
    with stores.database.reading() as connection:
        number = connection.connection.driver_connection.fileno()
        with socket.socket(fileno=os.dup(number)) as used:
            assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
            assert used.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
    stores.database.close()


@pytest.mark.parametrize(
    ("configured", "used"),
    [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ],
)
def test_a_commit_is_acknowledged_once_it_lasts(server, configured, used):
    """A server or role that would acknowledge commits before they last does not for the service."""
    stores = opened(server.new_database() + f"?options=-csynchronous_commit%3D{configured}")
    assert execute(stores, "SHOW synchronous_commit") == [(used,)]
    stores.database.close()
