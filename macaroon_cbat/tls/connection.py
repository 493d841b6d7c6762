"""The connection of one client: bytes from the socket become exchanges, responses become bytes again.

All of it runs in the loop's thread. A thread that serves a request sees its Exchange alone.
"""

import logging
from functools import partial

from macaroon_cbat.tls.error_answers import error_answer
from macaroon_cbat.tls.exchange import Exchange
from macaroon_cbat.tls.host import Host
from macaroon_cbat.tls.link import Link
from macaroon_cbat.tls.parked import end_wait, unpark
from macaroon_cbat.tls.plain_session import PlainSession
from macaroon_cbat.tls.receiver import Receiver
from macaroon_cbat.tls.request import Request
from macaroon_cbat.tls.request_head import UnusableRequest
from macaroon_cbat.tls.rooms import Room
from macaroon_cbat.tls.session import Session, TlsFailure
from macaroon_cbat.tls.site import ClientAddress, is_over_tls

log = logging.getLogger("macaroon_cbat.tls")

_WRITE_BYTES = 1 << 14  # one TLS record: a slow reader's time runs anew with each
_TURN_BYTES = 1 << 19  # of one response in one turn: a fast reader leaves turns to the other clients
_AHEAD_BYTES = 1 << 16  # behind a request that waits for an event: more comes from no honest client
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Connection:
    """The state of one client. It is in a room while the server waits for it, else in none."""

    __slots__ = ("_address", "_exchange", "_host", "_receiver", "_rooms", "_session", "counted_bytes", "link")

    def __init__(self, host: Host, address: ClientAddress) -> None:
        self._host, self._rooms = host, host.rooms
        self._address = address
        self._session: Session | PlainSession | None = None if is_over_tls(address) else PlainSession()
        self._exchange: Exchange | None = None
        self._receiver = Receiver(host.new_request)
        self.counted_bytes = 0
        self.link = Link(host, self)

    def on_data(self, ciphertext: bytes) -> None:
        """Decrypt the bytes that came, and work on them."""
        session = self._session = self._session or Session(self._host.certificate.context)
        receive = session.receive if session.established else self._shake_hands
        try:
            plaintext = receive(ciphertext)
        except TlsFailure as failure:
            log.log(failure.level, "refused the TLS of %s: %s", self._address[0], failure)
            self.link.send(failure.answer)
            self._close(lingering=True)
            return
        if plaintext:
            self._on_plaintext(plaintext)
        else:
            self.link.send(session.take_output())
        if session.ended:
            self.link.end_input()
        self._host.holdings.count(self)

    def _shake_hands(self, ciphertext: bytes) -> bytes:
        session = self._session
        assert session is not None
        with self._host.turns.handshake():
            plaintext = session.receive(ciphertext)
        if session.established:
            # A client without a request must not hold up a server that stops.
            self.link.wait_in(self._rooms.linger if self._host.site.is_stopping else self._rooms.request)
        return plaintext

    def on_end(self) -> None:
        """Answer a request that is complete, else close. A client that ends a wait for an event is gone."""
        if self._exchange is None or self._exchange.is_parked:
            self._close()

    def is_parked(self) -> bool:
        """Return True if no thread makes the response."""
        return self._exchange is not None and self._exchange.is_parked

    def _on_plaintext(self, plaintext: bytes) -> None:
        if self._exchange is None:
            self._parse(plaintext)
            return
        self._receiver.ahead += plaintext
        self.link.wants_input = self._exchange.is_parked  # one that waits for an event may go
        self.link.watch()
        if len(self._receiver.ahead) > _AHEAD_BYTES:
            self.drop()

    def _parse(self, data: bytes) -> None:
        # The time of a request begins here; neither blank lines nor bytes that trickle start it anew.
        if self.link.room is not self._rooms.request:
            self.link.wait_in(self._rooms.request)
        try:
            request = self._receiver.receive(data)
        except UnusableRequest as refused:
            self._refuse(refused.status)
            return
        except Exception:
            log.exception("the server failed to read a request")
            self._refuse(500)
            return
        if request is not None:
            self._begin_exchange(request)
        elif self._receiver.owes_continue():
            self._send_plaintext(_CONTINUE)

    def _begin_exchange(self, request: Request) -> None:
        assert self._session is not None
        self.link.wait_in(None)
        site, shown = self._host.site, self._session.shown
        self._exchange = Exchange(request, site, self._address, shown, partial(self._host.post, self))
        self._host.submit(self._exchange)

    def _refuse(self, status: int) -> None:
        log.info("refused a request of %s: %d", self._address[0], status)
        self._receiver.discard()
        self._send_plaintext(error_answer(status))
        self._close(lingering=True)

    # From responses to bytes

    def on_response(self) -> None:
        """Send what the thread has made so far."""
        exchange = self._exchange
        if exchange is None:
            return
        exchange.is_announced = False
        if exchange.is_parked and not unpark(exchange, self.link):
            return
        is_whole = exchange.is_finished
        turn = _TURN_BYTES
        while self.link.can_send():
            if turn <= 0:
                self._host.post(self)
                return
            try:
                data = exchange.take(_WRITE_BYTES)
            except Exception:
                log.exception("cannot read what the application answers with")
                self.link.drop()
                return
            if not data:
                if is_whole:
                    self._on_answered(exchange)
                return
            turn -= len(data)
            self._send_plaintext(data)

    def _on_answered(self, exchange: Exchange) -> None:
        link = self.link
        self._exchange = None
        if exchange.is_broken:
            # Without close_notify the client can tell that the response is not whole.
            link.drop()
        elif not exchange.keeps_alive or link.is_ended or self._host.site.is_stopping:
            self._close(lingering=bool(self._receiver.ahead))
        else:
            ahead = self._receiver.take_ahead()
            link.wait_in(self._rooms.request if ahead else self._rooms.idle)
            link.wants_input = True
            link.watch()
            if ahead:
                self._parse(ahead)
            self._host.holdings.count(self)

    def _send_plaintext(self, plaintext: bytes) -> None:
        try:
            if self._session is not None:
                self.link.send(self._session.encrypt(plaintext))
                return
        except TlsFailure:
            pass
        self.link.drop()

    # The end

    def _close(self, *, lingering: bool = False) -> None:
        if self.link.is_closing():
            return
        self._receiver.discard()
        session, self._session = self._session, None
        self.link.close(b"" if session is None else session.close(), lingering=lingering)

    def held_bytes(self) -> int:
        """Return how many bytes of the client are kept, without a request that a thread works on."""
        queued_bytes = 0 if self._exchange is None else self._exchange.queued_bytes()
        session_bytes = 0 if self._session is None else self._session.held_bytes()
        return self._receiver.held_bytes() + queued_bytes + session_bytes

    def shed(self) -> None:
        """Refuse a request that no thread has taken, or close: all clients together hold too much."""
        exchange, is_half_sent = self._exchange, self._receiver.request is not None
        if exchange is not None and self._host.withdraw(exchange):
            self._exchange = None
        elif exchange is not None or not is_half_sent:
            self.drop()
            return
        self._refuse(503)

    def backlog(self) -> tuple[int, bool]:
        """Return how many bytes wait for this reader, and whether a thread is blocked by it."""
        if self._exchange is None:
            return 0, False
        return self._exchange.waiting_bytes(), self._exchange.is_blocked()

    def on_gone(self) -> None:
        """Release the thread that may be writing, and everything that is kept of the client."""
        self._receiver.discard()
        # Now, not when Python collects the circle of link and connection: sessions are large.
        exchange, self._exchange, self._session = self._exchange, None, None
        if exchange is not None:
            exchange.abandon()
            self._host.withdraw(exchange)
        self._host.forget(self)

    def on_deadline(self, room: Room) -> None:
        """Refuse a request that took too long, or close."""
        self.link.room = None
        if self._exchange is not None and room is self._rooms.parked:
            end_wait(self._exchange, self.link)
            return
        log.debug("cut off %s: too slow", self._address[0])
        if self._receiver.request is not None:
            self._refuse(408)
        elif room is self._rooms.handshake or room is self._rooms.reader or self.link.is_closing():
            self.link.drop(resetting=room is self._rooms.reader)
        else:
            self._close()

    def on_stop(self) -> None:
        """Close between two requests, end waits. A handshake may finish: a request is about to follow."""
        if self._exchange is not None and self.link.room is self._rooms.parked:
            end_wait(self._exchange, self.link)
        is_between_requests = self._exchange is None and self._receiver.request is None
        if is_between_requests and self.link.room is not self._rooms.handshake:
            self._close()

    def drop(self) -> None:
        """End at once, to make room for another client."""
        is_slow_reader = self.link.room is self._rooms.reader
        self._close()
        self.link.drop(resetting=is_slow_reader)
