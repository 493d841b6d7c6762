"""Deadlines and bounds of one connection, over a real transport, by a clock that is handed in."""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import uvloop

from macaroon_cbat.gateway.dispatcher import Dispatcher
from macaroon_cbat.gateway.http_connection import LINGER_SECONDS, PROVEN_SECONDS, REQUEST_SECONDS
from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.gateway_in_process import deciding_by, opened, over_tcp
from tests.support.gateway_tokens import good
from tests.support.tls_servers import SECONDS
from tests.support.tokens import KEYS

START = b"GET / HTTP/1.1\r\nHost: x\r\n"
PUBLIC = START + b"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /health\r\n\r\n"
CLOSED = START + b"X-Forwarded-Method: GET\r\nX-Forwarded-Uri: /nothing\r\n\r\n"
HALF = START + b"X-Forwarded-Method: GET\r\n"
REST = b"X-Forwarded-Uri: /health\r\n\r\n"
A_MOMENT = 0.2


@pytest.fixture(scope="module")
def run() -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """Run a coroutine in an event loop like the gateway's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner.run


@pytest.fixture(scope="module")
def deciding(tmp_path_factory: pytest.TempPathFactory) -> Dispatcher:
    """Decide by a key file."""
    folder = tmp_path_factory.mktemp("policy")
    (folder / "keys.json").write_bytes(write_key_file(KEYS))
    (folder / "keys.json").chmod(0o600)
    return deciding_by(folder, keys="keys.json")


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[Dispatcher, socket.socket]]:
    """Decide by asking a service that accepts connections and says nothing, until it is closed."""
    (tmp_path / "secret").write_text("secret")
    with closing(socket.create_server(("127.0.0.1", 0))) as service:
        issuer = f"https://localhost:{service.getsockname()[1]}"
        asked = {"issuer": issuer, "client_id": "asker", "client_secret_file": "secret"}
        yield deciding_by(tmp_path, introspection=asked), service


def test_blank_lines_do_not_restart_the_deadline(run, deciding: Dispatcher):
    """Blank lines from time to time end a connection once the first one is as old as a request may be."""

    async def trickle() -> None:
        async with opened(deciding) as one:
            first = one.comes(b"\r\n")
            await asyncio.sleep(A_MOMENT)
            one.comes(b"\r\n")
            one.connection.sweep(first + REQUEST_SECONDS - A_MOMENT)
            assert not one.transport.is_closing()
            one.connection.sweep(first + REQUEST_SECONDS + A_MOMENT / 2)
            assert one.transport.is_closing()

    run(trickle())


@pytest.mark.parametrize("pieces", [[PUBLIC, HALF], [PUBLIC + HALF], [PUBLIC[:-1], b"\n" + HALF[:1]]])
def test_half_a_question_ends_a_known_connection(run, deciding: Dispatcher, pieces: list[bytes]):
    """A proxy that was answered may be idle for an hour, but not with a question that it does not finish."""

    async def leave_it() -> None:
        async with opened(deciding) as one:
            for piece in pieces:
                last = one.comes(piece)
            one.connection.sweep(last + REQUEST_SECONDS + A_MOMENT)
            assert one.transport.is_closing()

    run(leave_it())


def test_a_known_connection_may_be_idle(run, deciding: Dispatcher):
    """After an answer of 200 a connection without a question stays as long as proxies keep theirs."""

    async def idle() -> None:
        async with opened(deciding) as one:
            last = one.comes(PUBLIC)
            await asyncio.sleep(0)
            one.connection.sweep(last + PROVEN_SECONDS - 1)
            assert not one.transport.is_closing()
            one.connection.sweep(last + PROVEN_SECONDS + 1)
            assert one.transport.is_closing()

    run(idle())


def test_a_connection_without_a_yes_stays_unknown(run, deciding: Dispatcher):
    """A proxy that was only refused so far may be idle as briefly as a silent one, and makes room first."""

    async def refused() -> None:
        async with opened(deciding) as one:
            last = one.comes(CLOSED)
            assert one.connection.is_unproven()
            one.connection.sweep(last + REQUEST_SECONDS + 1)
            assert one.transport.is_closing()

    run(refused())


def test_a_question_that_began_with_another_ones_end_is_finished(run, deciding: Dispatcher):
    """A gateway that is told to stop waits for the rest of a question, in whatever piece it began."""

    async def stop() -> None:
        async with opened(deciding) as one:
            one.comes(PUBLIC + HALF)
            one.connection.finish()
            assert not one.transport.is_closing()
            one.comes(REST)
            assert (await one.answers()).count(b"HTTP/1.1 200") == 2

    run(stop())


def test_nothing_is_read_ahead_of_answers_that_are_not_taken(run, deciding: Dispatcher):
    """A proxy that takes no answers is asked for no more questions; when it takes them, all are there."""

    async def ask_on() -> None:
        async with opened(deciding) as one:
            asked = 0
            while one.transport.is_reading():
                one.comes(PUBLIC * 100)
                asked += 100
                assert asked < 100_000
            assert one.transport.get_write_buffer_size() > 0
            late = one.comes(PUBLIC.replace(b"Host: x", b"Host: x\r\nConnection: close"))
            one.connection.sweep(late + REQUEST_SECONDS - 1)
            assert (await one.answers()).count(b"HTTP/1.1 200") == asked + 1

    run(ask_on())


def test_reading_goes_on_once_answers_are_taken(run, deciding: Dispatcher):
    """A proxy that takes its answers late is asked for more questions again."""

    async def ask_on() -> None:
        async with opened(deciding) as one:
            while one.transport.is_reading():
                one.comes(PUBLIC * 100)
            while not one.transport.is_reading():
                assert await one.takes()

    run(ask_on())


def test_who_does_not_take_answers_is_cut_off(run, deciding: Dispatcher):
    """Answers are not kept for longer than a request may take."""

    async def ask_on() -> None:
        async with opened(deciding) as one:
            while one.transport.is_reading():
                last = one.comes(PUBLIC * 100)
            one.connection.sweep(last + REQUEST_SECONDS - 1)
            assert not one.transport.is_closing()
            one.connection.sweep(last + REQUEST_SECONDS + 1)
            assert one.transport.is_closing()

    run(ask_on())


def asking(**more: str) -> bytes:
    fields = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/any", "Clientcertx5t": "none", **more}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return START + f"{lines}Authorization: Bearer {good(None)}\r\n\r\n".encode()


@pytest.mark.parametrize(("count", "is_too_many"), [(32, False), (33, True)])
def test_few_questions_are_read_ahead_of_one_that_waits(run, waiting, count: int, is_too_many: bool):  # noqa: FBT001
    """Behind a question that waits for the service so many others are kept; one more ends the connection."""
    deciding, service = waiting

    async def ask_on() -> None:
        async with opened(deciding) as one:
            one.comes(asking() + PUBLIC * count)
            assert one.transport.is_closing() == is_too_many
            service.close()

    run(ask_on())


def test_half_a_question_behind_one_that_waits_is_bounded(run, waiting):
    """Behind a question that waits no other one may grow without bound: the connection ends."""
    deciding, service = waiting

    async def ask_on() -> None:
        async with opened(deciding) as one:
            one.comes(asking())
            for _ in range(70):
                one.comes(b"Cookie: " + b"a" * 1024 if one.transport.is_reading() else b"")
            assert one.transport.is_closing()
            service.close()

    run(ask_on())


MORE = {"questions": PUBLIC * 40, "nonsense": b"nonsense\r\n\r\n", "half a long one": HALF + b"a" * 70_000}
UPGRADE = {"Connection": "upgrade", "Upgrade": "h2c"}
LAST = {
    "an upgrade": lambda: asking(**UPGRADE),
    "a close": lambda: asking(Connection="close"),
    "HTTP/1.0": lambda: asking(Connection="keep-alive").replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("more", MORE.values(), ids=MORE)
@pytest.mark.parametrize("last", LAST.values(), ids=LAST)
def test_behind_the_last_question_nothing_is_read(run, waiting, last: Callable[[], bytes], more: bytes):
    """While the last question of a connection waits, what comes after it is no question and no mistake."""
    deciding, service = waiting

    async def ask_on() -> None:
        async with opened(deciding) as one:
            one.comes(last() + more)
            one.comes(more)
            assert not one.transport.is_closing()
            service.close()
            answers = await one.answers()
            assert answers.startswith(b"HTTP/1.1 503")
            assert answers.count(b"HTTP/1.1") == 1

    run(ask_on())


def test_a_question_that_waits_is_answered_before_the_end(run, waiting):
    """A gateway that is told to stop answers a question that waits for the service, and then ends."""
    deciding, service = waiting

    async def stop() -> None:
        async with opened(deciding) as one:
            one.comes(asking())
            one.connection.finish()
            assert not one.transport.is_closing()
            service.close()
            answers = await one.answers()
            assert answers.startswith(b"HTTP/1.1 503")
            assert b"connection: close" in answers

    run(stop())


REFUSED = {
    "too long": (HALF + b"X: " + b"a" * 70_000, 431),
    "no HTTP": (b"nonsense\r\n\r\n", 400),
    "a body": (HALF + b"Content-Length: 4000000\r\n\r\n", 400),
    "a last question": (PUBLIC.replace(b"Host: x", b"Host: x\r\nConnection: close"), 200),
}


@pytest.mark.parametrize(("start", "status"), REFUSED.values(), ids=REFUSED)
def test_the_last_answer_reaches_a_proxy_that_still_sends(
    run, deciding: Dispatcher, start: bytes, status: int
):
    """A proxy that sends on after the last answer gets that answer and the end, and no reset in its place."""

    async def send_on() -> None:
        async with opened(deciding, pair=over_tcp) as one:
            sending = asyncio.get_running_loop().sock_sendall(one.proxy, start + b"a" * 4_000_000)
            await asyncio.wait_for(sending, SECONDS)
            answers = await one.answers()
            assert answers.startswith(b"HTTP/1.1 %d" % status)
            assert answers.count(b"HTTP/1.1") == 1

    run(send_on())


def test_a_proxy_that_sends_on_is_cut_off(run, deciding: Dispatcher):
    """After the last answer a connection stays for a moment and no longer, however much a proxy sends."""

    async def send_on() -> None:
        async with opened(deciding) as one:
            last = one.comes(b"nonsense\r\n\r\n")
            one.comes(b"more")
            one.connection.sweep(last)
            one.connection.sweep(last + LINGER_SECONDS - A_MOMENT)
            assert not one.transport.is_closing()
            one.comes(b"more")
            one.connection.sweep(last + LINGER_SECONDS + A_MOMENT)
            assert one.transport.is_closing()

    run(send_on())
