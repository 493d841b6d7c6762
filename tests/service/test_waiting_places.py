"""The places in which requests wait for a person, as an attacker meets them who would take them all."""

from contextlib import ExitStack

import pytest

from macaroon_cbat.service.discharges.waiting_places import WaitingPlaces

CLIENT, ATTACKER = "192.0.2.1", "203.0.113.9"


@pytest.fixture
def waiting():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def wait(waiting):
    """Return the way to begin a wait, which lasts until the test ends."""
    places = WaitingPlaces(2)
    return lambda address: waiting.enter_context(places.one_for(address))


def test_two_wait_in_two_places(wait):
    """Requests for which there are places end no wait."""
    assert [wait(address).is_set() for address in (CLIENT, ATTACKER)] == [False, False]


def test_an_attacker_keeps_no_client_from_waiting(wait):
    """A client finds a place when an attacker has taken all: the oldest of the attacker's is over."""
    first, second = wait(ATTACKER), wait(ATTACKER)
    own = wait(CLIENT)
    assert [place.is_set() for place in (first, second, own)] == [True, False, False]


def test_an_attacker_ends_no_wait_of_a_client(wait):
    """More requests of the address that has a place end its own wait, not that of another address."""
    own = wait(CLIENT)
    taken = [wait(ATTACKER) for _ in range(5)]
    assert [place.is_set() for place in (own, *taken)] == [False, True, True, True, True, False]


def test_requests_of_unknown_addresses_take_turns(wait):
    """Of requests whose addresses are not known, the one that has waited longest is over."""
    taken = [wait(None) for _ in range(4)]
    assert [place.is_set() for place in taken] == [True, True, False, False]


def test_a_place_is_free_after_the_wait():
    """A wait that is over takes no place, whatever ended it."""
    places = WaitingPlaces(1)
    with places.one_for(CLIENT) as first:
        pass
    with places.one_for(CLIENT) as second:
        assert not first.is_set()
        with places.one_for(CLIENT):
            assert second.is_set()
    with places.one_for(CLIENT) as third:
        assert not third.is_set()


def test_without_places_no_request_waits():
    """A service that lends no place to waits answers at once."""
    with WaitingPlaces(0).one_for(CLIENT) as place:
        assert place is None
