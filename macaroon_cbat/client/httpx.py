"""The holder's side of `httpx`, sync and async: an auth that binds requests, connections that match.

    auth = MacaroonAuth(TokenClient(issuer=..., client_id=...), ClientCertificate("client.pem", "client.key"))
    transport = CertificateTransport(auth.certificate, ca="ca.pem")
    with httpx.Client(auth=auth, transport=transport) as client:
        client.get("https://api.example/invoices")

Child and connection never disagree: the auth leaves in `request.extensions` which credentials it
bound the child to, and the transport takes the connection from the pool of these very credentials.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from pathlib import Path

from macaroon_cbat.client.certificate import ClientCertificate, Credentials
from macaroon_cbat.client.children import ChildTerms
from macaroon_cbat.client.holder import Bound, Holder, TokenSource, is_rejected
from macaroon_cbat.client.pools import Pools
from macaroon_cbat.errors.extras import extra

with extra("httpx"):
    import anyio.to_thread
    import httpx

_BOUND = "macaroon_cbat.bound"


class MacaroonAuth(httpx.Auth):
    """Attaches to every request a fresh child of the token, bound to the certificate in use.

    `lifetime` counts seconds; `audience` is needed only for a token of none or several; with
    `bind_request` the child is good for the method and target of its request only. Raises
    SettingsError for http:// and for a token that is bound to another certificate. A request whose
    body can be sent again is tried once more with a fresh token when the resource server answers
    401 invalid_token and the source has another one. The event loop never waits for the source.
    """

    def __init__(
        self,
        token: TokenSource,
        certificate: ClientCertificate,
        *,
        lifetime: int = 60,
        audience: str | None = None,
        bind_request: bool = False,
    ) -> None:
        self._holder = Holder(token, certificate, ChildTerms(lifetime, audience, bind_request))
        self.certificate = certificate

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Attach the child; try once more with a fresh token."""
        bound = self._holder.bind(request.method, str(request.url))
        response = yield _attach(request, bound)
        self._hear(bound, response)
        if _may_retry(request, response) and (anew := self._holder.bind_anew(bound)):
            self._hear(anew, (yield _attach(request, anew)))

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Do the same; getting a token may take a while."""
        bound = await anyio.to_thread.run_sync(self._holder.bind, request.method, str(request.url))
        response = yield _attach(request, bound)
        self._hear(bound, response)
        if _may_retry(request, response) and (
            anew := await anyio.to_thread.run_sync(self._holder.bind_anew, bound)
        ):
            self._hear(anew, (yield _attach(request, anew)))

    def _hear(self, bound: Bound, response: httpx.Response) -> None:
        headers = response.headers
        self._holder.hear(bound, str(response.url), headers.get("Date"), headers.get("Age"))


class CertificateTransport(httpx.BaseTransport):
    """Sends each request over a connection that presents the certificate its child is bound to.

    Requests without a child present the current certificate. After a rotation the old connections
    end with their last response. Servers are verified against `ca`, a PEM file, or the system's CAs.
    """

    def __init__(self, certificate: ClientCertificate, ca: Path | str | None = None) -> None:
        self._certificate = certificate
        self._pools = Pools(lambda credentials: httpx.HTTPTransport(verify=credentials.context(ca)))

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; a child that a redirect led elsewhere is made anew for where it goes."""
        credentials = _credentials(request, self._certificate)
        transport, over = self._pools.lease(credentials)
        try:
            _close(over)
            response = transport.handle_request(request)
        except BaseException:
            _close(self._pools.give_back(credentials))
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Stream(response.stream, lambda: _close(self._pools.give_back(credentials)))
        return response

    def close(self) -> None:
        """Close all connections."""
        _close(self._pools.take_all())


class AsyncCertificateTransport(httpx.AsyncBaseTransport):
    """Does for `httpx.AsyncClient` what CertificateTransport does for `httpx.Client`."""

    def __init__(self, certificate: ClientCertificate, ca: Path | str | None = None) -> None:
        self._certificate = certificate
        self._pools = Pools(lambda credentials: httpx.AsyncHTTPTransport(verify=credentials.context(ca)))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; a child that a redirect led elsewhere is made anew for where it goes."""
        credentials = _credentials(request, self._certificate)
        transport, over = self._pools.lease(credentials)
        try:
            await _aclose(over)
            response = await transport.handle_async_request(request)
        except BaseException:
            await _aclose(self._pools.give_back(credentials))
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _AsyncStream(response.stream, lambda: _aclose(self._pools.give_back(credentials)))
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await _aclose(self._pools.take_all())


class _Stream(httpx.SyncByteStream):
    """A response body, which ends the lease of its pool."""

    def __init__(self, body: httpx.SyncByteStream, ended: Callable[[], None]) -> None:
        self._body = body
        self._ended = ended

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        try:
            self._body.close()
        finally:
            self._ended()


class _AsyncStream(httpx.AsyncByteStream):
    """A response body, which ends the lease of its pool."""

    def __init__(self, body: httpx.AsyncByteStream, ended: Callable[[], Awaitable[None]]) -> None:
        self._body = body
        self._ended = ended

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            await self._ended()


def _attach(request: httpx.Request, bound: Bound) -> httpx.Request:
    request.headers["Authorization"] = bound.authorization
    request.extensions = {**request.extensions, _BOUND: bound}
    return request


def _credentials(request: httpx.Request, certificate: ClientCertificate) -> Credentials:
    """Return what the connection must present, after a redirect with a child for the new target.

    httpx drops the header, but not the extension, when a redirect leads to another origin.
    """
    bound: Bound | None = request.extensions.get(_BOUND)
    if bound is None or request.headers.get("Authorization") != bound.authorization:
        return certificate.current()
    _attach(request, bound.for_request(request.method, str(request.url)))
    return bound.credentials


def _may_retry(request: httpx.Request, response: httpx.Response) -> bool:
    is_replayable = isinstance(request.stream, httpx.ByteStream)
    return is_replayable and is_rejected(response.status_code, response.headers.get("WWW-Authenticate"))


def _close(transports: list[httpx.HTTPTransport]) -> None:
    for transport in transports:
        transport.close()


async def _aclose(transports: list[httpx.AsyncHTTPTransport]) -> None:
    for transport in transports:
        await transport.aclose()
