"""The time of parked responses: how long one may wait, and the end of its wait."""

import logging

from macaroon_cbat.server.link import Link
from macaroon_cbat.server.parking import GRACE_SECONDS
from macaroon_cbat.server.rooms import Waiter
from macaroon_cbat.tls.exchange import Exchange
from macaroon_cbat.tls.host import Host

log = logging.getLogger("macaroon_cbat.tls")


def unpark(exchange: Exchange, host: Host, link: Link, owner: Waiter) -> bool:
    """Return True if there is something to send of the parked response; else wait, as long as it may take.

    The connection is read meanwhile, for a client that goes is noticed only so. A stream that is cut, or
    whose reader leaves too much unread, is dropped without its end.
    """
    if exchange.unpark(is_last=host.site.is_stopping):
        if link.room is host.rooms.parked:
            link.wait_in(None)
        return True
    if link.is_ended or exchange.is_overrun():
        owner.drop()
        return False
    if link.room is None and link.can_send():
        link.wants_input = True
        link.watch()
        assert exchange.parked is not None
        until = exchange.parked.until
        seconds = exchange.parked.seconds if until is None else until - host.now()
        _wait(exchange, 0.0 if host.site.is_stopping else seconds, host, link, owner)
    return exchange.waiting_bytes() > 0


def end_wait(exchange: Exchange, host: Host, link: Link, owner: Waiter) -> None:
    """Have the application finish the response; answer 503, or cut a stream, the second time."""
    parked = exchange.parked
    assert parked is not None
    if parked.is_over:
        log.error("the application has not finished a parked response")
        parked.fail()
    else:
        _wait(exchange, GRACE_SECONDS, host, link, owner)
        parked.end_wait()


def _wait(exchange: Exchange, seconds: float, host: Host, link: Link, owner: Waiter) -> None:
    assert exchange.parked is not None
    exchange.parked.until = host.now() + seconds
    link.wait_in(None)
    host.rooms.parked.enter_for(owner, host.now(), seconds)
    link.room = host.rooms.parked
