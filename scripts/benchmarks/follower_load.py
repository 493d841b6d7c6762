"""Many followers of the revocations in one process: real mutual TLS over loopback, one connection each.

`python -m follower_load SETTINGS`, in JSON. Each follower asks as RevocationFeed does: for a stream of pages,
for another one at its end, and after a pause when it fails. A line on standard input is a question, which is
answered by a line of JSON.
"""

import asyncio
import json
import os
import random
import re
import resource
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec
from follower_line import Gone, Line, connected

WAIT, SILENCE, POLL_SECONDS, FIRST_PAUSE, LONGEST_PAUSE, TIMEOUT = 30, 10, 0.5, 0.25, 5.0, 5.0
AT_A_TIME = 32
"""Followers that connect at a time at the very beginning."""


class Refused(Gone):
    """The service has answered with an error."""


class Settings(msgspec.Struct):
    """The service of each follower in turn, and the certificate and token of each client in turn."""

    ports: list[int]
    ca: str
    followers: int
    first: int
    clients: list[tuple[str, str]]


class Page(msgspec.Struct):
    """A page of the feed."""

    cursor: str
    is_last: bool
    decisions: list[list[Any]]
    complete_after: int = 0
    ask_within: int = 0


@dataclass
class Told:
    """The arrivals of what was revoked, and the number of followers that are current."""

    arrivals: dict[str, list[float]] = field(default_factory=dict)
    current: int = 0
    pages: int = 0
    requests: int = 0
    failures: int = 0
    refused: int = 0


class Follower:
    """One follower: its connection, and the cursor up to which it knows everything."""

    def __init__(self, port: int, context: ssl.SSLContext, token: str, told: Told) -> None:
        self._port, self._context, self._told = port, context, told
        self._tail = (
            f" HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: application/x-ndjson, application/json\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        )
        self._cursor, self._is_current = "0", False
        self._line: Line | None = None

    async def follow(self, doors: asyncio.Semaphore) -> None:
        """Follow for ever."""
        async with doors:
            with suppress(OSError, Gone, TimeoutError):
                await self._turn(wait=0)
        failures = 0
        while True:
            begun = time.monotonic()
            try:
                page = await self._turn(WAIT if self._is_current and not failures else 0)
            except (OSError, Gone, TimeoutError) as error:
                self._told.refused += isinstance(error, Refused)
                self._lose()
                failures += 1
                longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(failures - 1, 8))
                await asyncio.sleep(longest * (1 + random.random()) / 2)  # noqa: S311 # no secret
                continue
            has_failed, failures = bool(failures), 0
            if page.is_last and not has_failed:
                polled = 0.0 if page.decisions else POLL_SECONDS - (time.monotonic() - begun)
                moment = (0.1 + 0.9 * random.random()) * page.ask_within  # noqa: S311 # the same
                await asyncio.sleep(max(0.0, polled, moment))

    async def _turn(self, wait: int) -> Page:
        """Read a page or a stream of them; return the last one."""
        async with asyncio.timeout(TIMEOUT):
            line = self._line = self._line or await connected(self._port, self._context)
            request = f"GET /resource/revocations?after={self._cursor}&wait={wait}{self._tail}"
            await line.send(request.encode())
            self._told.requests += 1
        page = None
        async for text in _texts(line):
            page = self._read(text, line.came_at)
        if page is None:
            raise Gone("it sent no page")
        return page

    def _read(self, text: bytes, came_at: float) -> Page:
        page = msgspec.json.decode(text, type=Page)
        self._told.pages += 1
        for row in page.decisions:
            self._told.arrivals.setdefault(row[1], []).append(came_at)
        self._cursor = page.cursor
        if page.is_last and not self._is_current:
            self._is_current = True
            self._told.current += 1
        return page

    def _lose(self) -> None:
        self._told.failures += 1
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if self._is_current:
            self._is_current = False
            self._told.current -= 1


async def _texts(line: Line) -> AsyncIterator[bytes]:
    """Yield the body of an answer, or the parts of a stream."""
    data = await _until(line, b"", b"\r\n\r\n")
    head, _, data = data.partition(b"\r\n\r\n")
    if int(head[9:12]) != 200:
        raise Refused(f"it answered {head[:12]!r}")
    if (found := re.search(rb"\r\nContent-Length: (\d+)", head)) is not None:
        while len(data) < int(found[1]):
            data += await _received(line)
        yield data
        return
    while True:
        data = await _until(line, data, b"\r\n")
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        while len(data) < length + 2:
            data += await _received(line)
        if not length:
            return
        yield data[:length]
        data = data[length + 2 :]


async def _until(line: Line, data: bytes, end: bytes) -> bytes:
    while end not in data:
        data += await _received(line)
    return data


async def _received(line: Line) -> bytes:
    async with asyncio.timeout(SILENCE + TIMEOUT):
        return await line.receive()


async def _follow(settings: Settings, answer: Callable[[Told, str], object]) -> None:
    told, doors = Told(), asyncio.Semaphore(AT_A_TIME)
    contexts = [_context(settings.ca, certificate) for certificate, _ in settings.clients]
    following: list[asyncio.Task[None]] = []
    for number in range(settings.first, settings.first + settings.followers):
        port = settings.ports[number % len(settings.ports)]
        client = number % len(settings.clients)
        follower = Follower(port, contexts[client], settings.clients[client][1], told)
        following.append(asyncio.ensure_future(follower.follow(doors)))
        following[-1].add_done_callback(_report)
    while line := await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(json.dumps(answer(told, line.strip())) + "\n")
        sys.stdout.flush()


def _report(ended: "asyncio.Task[None]") -> None:
    """Say why a follower has ended, which none should."""
    if not ended.cancelled():
        sys.stderr.write(f"a follower has ended: {ended.exception()!r}\n")


def _context(ca: str, certificate: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate)
    return context


def _answered(told: Told, question: str) -> object:
    """Return what is asked for: the times at which a name arrived, or the numbers of all followers."""
    if question.startswith("arrivals "):
        return told.arrivals.get(question.partition(" ")[2], [])
    return {
        "current": told.current,
        "pages": told.pages,
        "requests": told.requests,
        "failures": told.failures,
        "refused": told.refused,
    }


def main() -> None:
    """Follow until standard input ends."""
    os.nice(3)  # they would have machines of their own: they must not take that of the service
    settings = msgspec.json.decode(sys.argv[1], type=Settings)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_follow(settings, _answered))


if __name__ == "__main__":
    main()
