"""A session of each library, opened alike, and a source of tokens."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import requests

import macaroon_cbat.client.aiohttp as holder_aiohttp
import macaroon_cbat.client.httpx as holder_httpx
import macaroon_cbat.client.requests as holder_requests
from macaroon_cbat.client import ClientCertificate
from tests.support.client_files import make_token

Sends = Callable[..., Any]
"""Sends one request, given method and URL, over a kept session; returns the answer, read to its end."""

NOT_TRUSTED = (requests.exceptions.SSLError, httpx.ConnectError, aiohttp.ClientConnectorCertificateError)
"""The errors of the libraries for a server whose CA is not trusted."""

LIBRARIES = ["requests", "httpx", "httpx async", "aiohttp"]


@contextmanager
def session_of(
    library: str, token: Any, certificate: ClientCertificate, ca: Path, **terms: Any
) -> Iterator[Sends]:
    """Open a session of the library, with our auth and our connections, that follows redirects."""
    if library == "requests":
        auth = holder_requests.MacaroonAuth(token, certificate, **terms)
        with holder_requests.certificate_session(auth, ca) as session:
            yield session.request
        return
    if library == "aiohttp":
        with asyncio.Runner() as runner:
            aiohttp_auth = holder_aiohttp.MacaroonAuth(token, certificate, **terms)
            aiohttp_session = runner.run(_opened(aiohttp_auth, ca))
            yield lambda *args, **options: runner.run(_answered(aiohttp_session, *args, **options))
            runner.run(aiohttp_session.close())
        return
    httpx_auth = holder_httpx.MacaroonAuth(token, certificate, **terms)
    if library == "httpx":
        with holder_httpx.certificate_client(httpx_auth, ca, follow_redirects=True) as client:
            yield client.request
        return
    with asyncio.Runner() as runner:
        async_client = holder_httpx.async_certificate_client(httpx_auth, ca, follow_redirects=True)
        yield lambda *args, **options: runner.run(async_client.request(*args, **options))
        runner.run(async_client.aclose())


async def _opened(auth: holder_aiohttp.MacaroonAuth, ca: Path) -> aiohttp.ClientSession:
    return holder_aiohttp.certificate_session(auth, ca)


@dataclass(frozen=True)
class Answer:
    """An answer of aiohttp, shaped as those of the other libraries."""

    status_code: int
    url: str
    text: str

    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.text)


async def _answered(session: aiohttp.ClientSession, *args: Any, **options: Any) -> Answer:
    async with session.request(*args, **options) as answer:
        return Answer(answer.status, str(answer.url), await answer.text())


class Tokens:
    """A source that has another token at each renewal, and counts them."""

    def __init__(self, first: int) -> None:
        self.number = first
        self.discarded: list[str] = []

    def __call__(self) -> str:
        """Return the token of this number."""
        return make_token(number=self.number)

    def discard(self, token: str) -> None:
        """Have another token."""
        self.discarded.append(token)
        self.number += 1
