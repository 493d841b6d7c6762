"""The turns of newcomers and of those who are served."""

from macaroon_cbat.tls.overload import Turns


def test_newcomers_wait_for_those_who_are_served():
    """After handshakes newcomers wait for a bounded time while requests come, once."""
    turns = Turns()
    turns.serve(100.0)
    with turns.handshake():
        sum(range(1000))
    assert 0 < turns.take_owed(100.05) <= 0.1
    assert turns.take_owed(100.05) == 0


def test_newcomers_alone_do_not_wait():
    """Handshakes delay no newcomer where no request has come for a while."""
    turns = Turns()
    turns.serve(100.0)
    with turns.handshake():
        sum(range(1000))
    assert turns.take_owed(100.2) == 0
