"""One client's connection: bytes from the socket become exchanges, responses become bytes again.

Everything here runs in the loop's thread; a thread that serves a request sees its Exchange only.
"""

import logging
import selectors
import socket
import struct
from typing import TYPE_CHECKING, Any

from macaroon_cbat.tls.exchange import Exchange
from macaroon_cbat.tls.session import Session, TlsFailure
from macaroon_cbat.tls.waiting import Room
from macaroon_cbat.tls.wsgi import error_answer, https_expected, new_request

if TYPE_CHECKING:
    from macaroon_cbat.tls.loop import Loop

log = logging.getLogger("macaroon_cbat.tls")

_READ_BYTES = 1 << 16
_WRITE_BYTES = 1 << 16
_TURN_BYTES = 1 << 19
_AHEAD_BYTES = 1 << 16
_PROGRESS_BYTES = 1 << 14
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TLS_HANDSHAKE = 0x16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Connection:
    """The state of one client. It owes us something (it is in a room) or we owe it (it is in none)."""

    __slots__ = (
        "_ahead", "_exchange", "_is_closing", "_is_ended", "_lingers", "_loop", "_output",
        "_progress", "_request", "_room", "_session", "_watched", "address", "is_open", "sock",
    )  # fmt: skip

    def __init__(self, loop: "Loop", sock: socket.socket, address: tuple[str, int]) -> None:
        self.sock = sock
        self.address = address
        self.is_open = True
        self._loop = loop
        self._session: Session | None = None
        self._room: Room | None = None
        self._request: Any = None
        self._exchange: Exchange | None = None
        self._ahead = b""
        self._output = memoryview(b"")
        self._progress = 0
        self._is_ended = False
        self._is_closing = False
        self._lingers = False
        self._watched = 0
        self._wait_in(loop.rooms.handshake)
        self._watch()

    # What the socket says

    def on_ready(self, events: int) -> None:
        """Do what the socket is ready for."""
        if events & selectors.EVENT_WRITE and self.is_open:
            self._on_writable()
        if events & selectors.EVENT_READ and self.is_open:
            self._on_readable()

    def _on_readable(self) -> None:
        try:
            ciphertext = self.sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.drop()
            return
        if not ciphertext:
            self._on_end()
        elif self._is_closing:
            # Somebody who is still sending what we refused; read on, or the kernel resets the answer away.
            pass
        elif self._session is None and ciphertext[0] != _TLS_HANDSHAKE:
            self._refuse_plain_http(ciphertext)
        else:
            self._on_ciphertext(ciphertext)

    def _on_ciphertext(self, ciphertext: bytes) -> None:
        session = self._session = self._session or Session(self._loop.context)
        was_established = session.established
        try:
            plaintext = session.receive(ciphertext)
        except TlsFailure as failure:
            log.info("refused the TLS of %s: %s", self.address[0], failure)
            self._send(session.take_output())
            self.close(lingering=True)
            return
        if session.established and not was_established:
            self._wait_in(self._loop.rooms.request)
        if plaintext:
            self._on_plaintext(plaintext)
        else:
            self._send(session.take_output())
        if session.ended:
            self._on_end()

    def _on_end(self) -> None:
        """Nothing more will come; a request that is complete is still answered."""
        self._is_ended = True
        if self._output or self._exchange is not None:
            self._watch()
        elif self._is_closing:
            self.drop()
        else:
            self.close()

    def _refuse_plain_http(self, beginning: bytes) -> None:
        log.info("refused %s: it does not speak TLS", self.address[0])
        if not beginning[:1].isalpha():
            self.drop()
            return
        self._send(https_expected())
        self.close(lingering=True)

    # From plaintext to exchanges

    def _on_plaintext(self, plaintext: bytes) -> None:
        if self._exchange is not None:
            self._ahead += plaintext
            self._watch()
        else:
            self._parse(plaintext)

    def _parse(self, data: bytes) -> None:
        while data and self._exchange is None and self.is_open and not self._is_closing:
            if self._request is None:
                self._request = new_request(self._loop.site)
                if self._room is not self._loop.rooms.request:
                    self._wait_in(self._loop.rooms.request)
            try:
                consumed = self._request.received(data)
            except Exception:  # noqa: BLE001  # the parser lets some malformed targets raise what they like
                self._refuse(400)
                return
            data = data[consumed:]
            self._on_parsed(data)

    def _on_parsed(self, rest: bytes) -> None:
        request = self._request
        if request.error is not None:
            self._refuse(request.error.code)
        elif request.completed:
            self._request = None
            # Blank lines before a request are no request and do not start its time anew.
            if not request.empty:
                self._begin_exchange(request, rest)
        elif request.expect_continue and request.headers_finished:
            request.expect_continue = False
            self._send_plaintext(_CONTINUE)

    def _begin_exchange(self, request: Any, rest: bytes) -> None:
        assert self._session is not None
        self._ahead = rest
        self._wait_in(None)
        self._exchange = Exchange(
            request, self._loop.site, self.address, self._session.peer_certificate, self._announce
        )
        self._loop.submit(self._exchange)

    def _announce(self) -> None:
        # The only method that a thread calls.
        self._loop.post(self)

    def _refuse(self, status: int) -> None:
        log.info("refused a request of %s: %d", self.address[0], status)
        self._discard_request()
        self._send_plaintext(error_answer(status))
        self.close(lingering=True)

    def _discard_request(self) -> None:
        if self._request is not None:
            self._request.close()
            self._request = None

    # From responses to bytes

    def on_response(self) -> None:
        """Send what the thread has made so far."""
        exchange = self._exchange
        if exchange is None or not self.is_open:
            return
        exchange.is_announced = False
        is_whole = exchange.is_finished
        turn = _TURN_BYTES
        while not self._output:
            if turn <= 0:
                # The others have a turn; this socket is writable and will call back at once.
                self._watch(has_more=True)
                return
            data = exchange.take(_WRITE_BYTES)
            if not data:
                if is_whole:
                    self._on_answered(exchange)
                return
            turn -= len(data)
            self._send_plaintext(data)
            if self not in self._loop.connections:
                return

    def _on_answered(self, exchange: Exchange) -> None:
        self._exchange = None
        if exchange.is_broken:
            # Without close_notify the client can tell that the response is not whole.
            self.drop()
        elif not exchange.keeps_alive or self._is_ended or self._loop.site.is_stopping:
            self.close(lingering=bool(self._ahead))
        else:
            ahead, self._ahead = self._ahead, b""
            self._wait_in(self._loop.rooms.request if ahead else self._loop.rooms.idle)
            self._watch()
            self._parse(ahead)

    def _send_plaintext(self, plaintext: bytes) -> None:
        assert self._session is not None
        try:
            records = self._session.encrypt(plaintext)
        except TlsFailure:
            self.drop()
        else:
            self._send(records)

    def _send(self, data: bytes) -> None:
        if not data or not self.is_open:
            return
        if self._output:
            self._output = memoryview(bytes(self._output) + data)
        else:
            self._output = memoryview(data)
            self._flush()

    def _flush(self) -> None:
        try:
            sent = self.sock.send(self._output)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.drop()
            return
        self._output = self._output[sent:]
        if self._exchange is not None or self._is_closing:
            self._judge_reader(sent)
        self._watch()

    def _judge_reader(self, sent: int) -> None:
        """Start the reader's time anew only when it has taken a fair amount since it began."""
        reader = self._loop.rooms.reader
        self._progress += sent
        if not self._output:
            if self._room is reader:
                self._wait_in(None)
        elif self._room is not reader or self._progress >= _PROGRESS_BYTES:
            self._progress = 0
            self._wait_in(reader)

    def _on_writable(self) -> None:
        if self._output:
            self._flush()
        if self._output or not self.is_open:
            return
        if self._is_closing:
            self._finish_closing()
        else:
            self.on_response()

    # The end

    def close(self, *, lingering: bool = False) -> None:
        """Say goodbye, send what is left, and close; lingering reads on so that the answer arrives."""
        if self._is_closing or not self.is_open:
            return
        self._is_closing = True
        self._lingers = lingering
        self._discard_request()
        if self._session is not None:
            self._send(self._session.close())
        if not self._output:
            self._finish_closing()
        elif self._room is not self._loop.rooms.reader:
            self._wait_in(self._loop.rooms.reader)

    def _finish_closing(self) -> None:
        if not self._lingers or self._is_ended:
            self.drop()
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.drop()
            return
        self._wait_in(self._loop.rooms.linger)
        self._watch()

    def drop(self, *, resetting: bool = False) -> None:
        """Close at once; `resetting` also throws away what the kernel still holds for the reader."""
        if not self.is_open:
            return
        self.is_open = False
        self._wait_in(None)
        self._loop.forget(self, self._watched)
        self._discard_request()
        if self._exchange is not None:
            self._exchange.abandon()
        if resetting:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.sock.close()

    def on_deadline(self, room: Room) -> None:
        """End what took too long."""
        self._room = None
        rooms = self._loop.rooms
        log.debug("cut off %s: too slow", self.address[0])
        if room is rooms.request and self._request is not None:
            self._refuse(408)
        elif room is rooms.request or room is rooms.idle:
            self.close()
        else:
            self.drop(resetting=room is rooms.reader)

    def on_stop(self) -> None:
        """End what has no request under way."""
        if self._exchange is None and self._request is None:
            self.close()

    def _wait_in(self, room: Room | None) -> None:
        if self._room is not None:
            self._room.leave(self)
        self._room = room
        if room is not None:
            room.enter(self, self._loop.now)

    def _watch(self, *, has_more: bool = False) -> None:
        """Have the loop watch for what is useful now: never for input while output is stuck."""
        if not self.is_open:
            return
        if self._output or has_more:
            events = selectors.EVENT_WRITE
        elif not self._is_ended and len(self._ahead) <= _AHEAD_BYTES:
            events = selectors.EVENT_READ
        else:
            events = 0
        if events != self._watched:
            self._loop.watch(self, self._watched, events)
            self._watched = events
