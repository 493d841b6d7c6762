"""The requests that wait for a person, as an attacker meets them who would take all places."""

import threading

import pytest

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.service.discharges.waits import Wait, Waits
from tests.support.tls_servers import wait_until

CLIENT, ATTACKER = "192.0.2.1", "203.0.113.9"
PLACES = 2


class Decisions:
    """The secrets about which persons have decided, as a look finds them."""

    def __init__(self):
        self.secrets, self.looks, self.failure = set(), 0, None

    def among(self, asked):
        """Return those among the secrets, or fail."""
        self.looks += 1
        if self.failure is not None:
            raise self.failure
        return self.secrets & asked


@pytest.fixture
def decisions():
    return Decisions()


@pytest.fixture
def waits(decisions):
    found = Waits(decisions.among)
    yield found
    decisions.failure = None
    decisions.secrets = {"secret", "other"}
    wait_until(lambda: not len(found))


@pytest.fixture
def begin(waits):
    """Return the way to begin a wait; it returns the event that the end of the wait sets."""

    def begin(address, secret="secret"):
        over = threading.Event()
        waits.begin(Wait(secret, address, over.set), PLACES)
        return over

    return begin


def test_two_wait_in_two_places(begin):
    """Requests for which there are places end no wait."""
    assert [begin(address).is_set() for address in (CLIENT, ATTACKER)] == [False, False]


def test_an_attacker_keeps_no_client_from_waiting(begin):
    """A client finds a place when an attacker has taken all: the oldest of the attacker's is over."""
    first, second = begin(ATTACKER), begin(ATTACKER)
    own = begin(CLIENT)
    assert [one.is_set() for one in (first, second, own)] == [True, False, False]


def test_an_attacker_ends_no_wait_of_a_client(begin):
    """More requests of the address that has a place end its own wait, not that of another address."""
    own = begin(CLIENT)
    taken = [begin(ATTACKER) for _ in range(5)]
    assert [one.is_set() for one in (own, *taken)] == [False, True, True, True, True, False]


def test_requests_of_unknown_addresses_take_turns(begin):
    """Of requests whose addresses are not known, the one that has waited longest is over."""
    taken = [begin(None) for _ in range(4)]
    assert [one.is_set() for one in taken] == [True, True, False, False]


def test_a_wait_is_left_once(waits, begin):
    """A wait that has lost its place takes no other one with it, and one that is left frees its place."""
    first = Wait("secret", CLIENT, lambda: None)
    waits.begin(first, PLACES)
    second = begin(CLIENT)
    assert (waits.leave(first), waits.leave(first), len(waits)) == (True, False, 1)
    begin(CLIENT)
    assert not second.is_set()


def test_a_decision_ends_the_waits_under_its_secret(begin, decisions):
    """A decision that another process records is found, and ends every wait for it, and no other."""
    mine, again = begin(CLIENT), begin(ATTACKER)
    decisions.secrets = {"secret"}
    assert mine.wait(60)
    assert again.wait(60)
    other = begin(CLIENT, "other")
    looks = decisions.looks
    wait_until(lambda: decisions.looks >= looks + 2)
    assert not other.is_set()


def test_a_failing_look_is_told_once_and_repeated(begin, decisions, caplog):
    """Waits outlive a database that is out of reach: the log says so once, and the look goes on."""
    decisions.failure = Unavailable("the database is out of reach")
    over = begin(CLIENT)
    wait_until(lambda: decisions.looks >= 3)
    assert not over.is_set()
    decisions.failure, decisions.secrets = None, {"secret"}
    assert over.wait(60)
    said = [record.getMessage() for record in caplog.records]
    assert said == ["clients wait, and no decision of a person is seen: the database is out of reach"]


def test_nothing_looks_without_waits(waits, begin, decisions):
    """The thread ends with the last wait, and the next wait has one again."""
    decisions.secrets = {"secret"}
    for _ in range(2):
        assert begin(CLIENT).wait(60)
        wait_until(lambda: not any(one.name == "approvals" for one in threading.enumerate()))
