"""The holder's side of `httpx` by a DPoP key, sync and async: an auth, and clients that prove each request.

    auth = DpopAuth(TokenClient(issuer=..., client_id=...), DpopKey.load("dpop.key"))
    with dpop_client(auth, ca="ca.pem") as client:
        client.get("https://api.example/invoices")

Child and proof are made when a request is sent, for the method and URL that it then has: a redirect and a
request that is sent again get their own. A redirect to another origin gets neither.
"""

from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from macaroon_cbat.client.children import ChildSettings
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.client.dpop_holder import PLACEHOLDER, DpopHolder, Proved
from macaroon_cbat.client.dpop_key import ProofKey
from macaroon_cbat.client.holder import TokenSource
from macaroon_cbat.client.httpx import allowed
from macaroon_cbat.client.httpx_bodies import is_replayable
from macaroon_cbat.client.trust import server_trust
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.files.process_values import PerProcess

with extra("httpx"):
    import anyio.to_thread
    import httpx

_HOLDER = "macaroon_cbat.dpop_holder"


class DpopAuth(httpx.Auth):
    """Lets the client send every request with a fresh child of the token, and a proof by the key.

    The settings are those of ChildTerms. `discharges` collects what a token with third-party caveats needs.
    A request is sent once more if the server wants a nonce, and once more with a fresh token if it answers
    401 invalid_token and the source has another one, provided that its body can be sent again. Raises
    SettingsError for http:// and for a token that is bound otherwise. The event loop never waits for the
    source.
    """

    def __init__(
        self,
        token: TokenSource,
        key: ProofKey,
        *,
        discharges: DischargeClient | None = None,
        **settings: Unpack[ChildSettings],
    ) -> None:
        self.holder = DpopHolder(token, key, discharges, **settings)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Mark the request, which the transport then proves."""
        request.headers["Authorization"] = PLACEHOLDER
        request.extensions = {**request.extensions, _HOLDER: self.holder}
        yield request


class DpopTransport(httpx.BaseTransport):
    """Proves each request that carries the mark of a DpopAuth, and sends it by another transport.

    Each process has a transport of its own: a forked child leaves the connections of its parent alone.
    """

    def __init__(self, make: Callable[[], httpx.BaseTransport]) -> None:
        self._transports = PerProcess(make)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request with a new proof, again if the answer asks for that."""
        holder, transport = _holder_of(request), self._transports.current()
        if holder is None:
            return transport.handle_request(request)
        proved = holder.prove(request.method, str(request.url))
        while True:
            response = transport.handle_request(_proved(request, proved))
            status, fields = response.status_code, response.headers
            anew = holder.again(proved, status, fields, is_replayable=is_replayable(request))
            if anew is None:
                return response
            response.close()  # and not read to its end: a body may have none
            proved = anew

    def close(self) -> None:
        """Close all connections."""
        self._transports.current().close()


class AsyncDpopTransport(httpx.AsyncBaseTransport):
    """Does for `httpx.AsyncClient` what DpopTransport does for `httpx.Client`."""

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._transports = PerProcess(make)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request with a new proof, again if the answer asks for that."""
        holder, transport = _holder_of(request), self._transports.current()
        if holder is None:
            return await transport.handle_async_request(request)
        proved = await anyio.to_thread.run_sync(holder.prove, request.method, str(request.url))
        while True:
            response = await transport.handle_async_request(_proved(request, proved))
            again = partial(holder.again, is_replayable=is_replayable(request))
            status, fields = response.status_code, response.headers
            anew = await anyio.to_thread.run_sync(again, proved, status, fields)
            if anew is None:
                return response
            await response.aclose()  # and not read to its end: a body may have none
            proved = anew

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transports.current().aclose()


def dpop_client(auth: DpopAuth, ca: Path | str | None = None, **settings: Any) -> httpx.Client:
    """Return a client that proves its requests. `ca` is a PEM file, by default the system's CAs.

    `settings` are those of httpx.Client. Raises SettingsError for one that would take another transport.
    """
    context = server_trust(ca)
    transport = DpopTransport(lambda: httpx.HTTPTransport(verify=context))
    return httpx.Client(auth=auth, transport=transport, **allowed(settings, "a DPoP client"))


def async_dpop_client(auth: DpopAuth, ca: Path | str | None = None, **settings: Any) -> httpx.AsyncClient:
    """Return an httpx.AsyncClient that does what `dpop_client` does."""
    context = server_trust(ca)
    transport = AsyncDpopTransport(lambda: httpx.AsyncHTTPTransport(verify=context))
    return httpx.AsyncClient(auth=auth, transport=transport, **allowed(settings, "a DPoP client"))


def _holder_of(request: httpx.Request) -> DpopHolder | None:
    """Return the holder of a marked request; httpx drops the mark of a redirect to another origin."""
    if request.headers.get("Authorization") != PLACEHOLDER:
        return None
    found: DpopHolder | None = request.extensions.get(_HOLDER)
    return found


def _proved(request: httpx.Request, proved: Proved) -> httpx.Request:
    """Return a copy of the request with child and proof; the request itself may become a redirect's."""
    headers = httpx.Headers(request.headers)
    headers.update(proved.headers)
    return httpx.Request(
        request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
    )
