"""The time of parked responses: how long one may wait, and the end of its wait."""

import logging

from macaroon_cbat.server.link import Link
from macaroon_cbat.server.parking import GRACE_SECONDS, UNFINISHED
from macaroon_cbat.server.rooms import Waiter
from macaroon_cbat.tls.exchange import Exchange
from macaroon_cbat.tls.host import Host

log = logging.getLogger("macaroon_cbat.tls")


def unpark(exchange: Exchange, host: Host, link: Link, owner: Waiter) -> bool:
    """Return True if the parked response is finished; else wait for it, as long as it may take.

    The connection is read meanwhile, for a client that goes is noticed only so.
    """
    if exchange.unpark(is_last=host.site.is_stopping):
        link.wait_in(None)
        return True
    if link.is_ended:
        owner.drop()
    elif link.room is None:
        link.wants_input = True
        link.watch()
        assert exchange.parked is not None
        _wait(0.0 if host.site.is_stopping else exchange.parked.seconds, host, link, owner)
    return False


def end_wait(exchange: Exchange, host: Host, link: Link, owner: Waiter) -> None:
    """Have the application finish the response; answer 503 the second time."""
    parked = exchange.parked
    assert parked is not None
    if parked.is_over:
        log.error("the application has not finished a parked response")
        parked.finish(*UNFINISHED)
    else:
        _wait(GRACE_SECONDS, host, link, owner)
        parked.end_wait()


def _wait(seconds: float, host: Host, link: Link, owner: Waiter) -> None:
    link.wait_in(None)
    host.rooms.parked.enter_for(owner, host.now(), seconds)
    link.room = host.rooms.parked
