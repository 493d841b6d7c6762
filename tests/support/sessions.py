"""A session of each library, opened alike, and a source of tokens."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

import macaroon_cbat.client.httpx as holder_httpx
import macaroon_cbat.client.requests as holder_requests
from macaroon_cbat.client import ClientCertificate
from tests.support.client_files import make_token

Sends = Callable[..., Any]
"""Sends one request, given method and URL, over a kept session; returns the answer, read to its end."""

LIBRARIES = ["requests", "httpx", "httpx async"]


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
    httpx_auth = holder_httpx.MacaroonAuth(token, certificate, **terms)
    if library == "httpx":
        transport = holder_httpx.CertificateTransport(certificate, ca)
        with httpx.Client(auth=httpx_auth, transport=transport, follow_redirects=True) as client:
            yield client.request
        return
    with asyncio.Runner() as runner:
        over = holder_httpx.AsyncCertificateTransport(certificate, ca)
        async_client = httpx.AsyncClient(auth=httpx_auth, transport=over, follow_redirects=True)
        yield lambda *args, **options: runner.run(async_client.request(*args, **options))
        runner.run(async_client.aclose())


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
