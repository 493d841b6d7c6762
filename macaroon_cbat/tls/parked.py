"""The time of parked responses: how long one may wait, and the end of its wait."""

import logging

from macaroon_cbat.server.parking import GRACE_SECONDS, ParkedResponse
from macaroon_cbat.tls.exchange import Exchange
from macaroon_cbat.tls.link import Link

log = logging.getLogger("macaroon_cbat.tls")


def unpark(exchange: Exchange, link: Link) -> bool:
    """Return True if there is something to send of the parked response; else wait, as long as it may take.

    The connection is read meanwhile, for a client that goes is noticed only so. A stream that is cut, or
    whose reader leaves too much unread, is dropped without its end.
    """
    if exchange.unpark(is_last=link.host.site.is_stopping):
        if link.room is link.host.rooms.parked:
            link.wait_in(None)
        return True
    if link.is_ended or exchange.is_overrun():
        link.owner.drop()
        return False
    if link.room is None and link.can_send():
        link.wants_input = True
        link.watch()
        parked, host = exchange.parked, link.host
        assert parked is not None
        seconds = parked.seconds if parked.until is None else parked.until - host.now()
        _wait(parked, 0.0 if host.site.is_stopping else seconds, link)
    return exchange.waiting_bytes() > 0


def end_wait(exchange: Exchange, link: Link) -> None:
    """Have the application finish the response; answer 503, or cut a stream, the second time."""
    parked = exchange.parked
    assert parked is not None
    if parked.is_over:
        log.error("the application has not finished a parked response")
        parked.fail()
    else:
        _wait(parked, GRACE_SECONDS, link)
        parked.end_wait()


def _wait(parked: ParkedResponse, seconds: float, link: Link) -> None:
    room, now = link.host.rooms.parked, link.host.now()
    parked.until = now + seconds
    link.wait_in(None)
    room.enter_for(link.owner, now, seconds)
    link.room = room
