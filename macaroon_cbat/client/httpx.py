"""The holder's side of `httpx`, sync and async: an auth that binds requests, connections that match.

    auth = MacaroonAuth(TokenClient(issuer=..., client_id=...), ClientCertificate("client.pem", "client.key"))
    with certificate_client(auth, ca="ca.pem") as client:
        client.get("https://api.example/invoices")

Child and connection never disagree: the auth leaves in `request.extensions` which credentials it bound the
child to, and the transport takes the connection from the pool of these very credentials. The request raises
over any other transport: before a connection is made if it is one of httpx's own, otherwise when its response
comes.
"""

from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any, NoReturn, Unpack

from macaroon_cbat.client.certificate import ClientCertificate
from macaroon_cbat.client.children import ChildSettings
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.client.holder import Bound, Holder, TokenSource, is_rejected, outside_session
from macaroon_cbat.client.httpx_bodies import AsyncLeasedBody, LeasedBody, is_replayable, left_unread
from macaroon_cbat.client.pools import PoolKey, Pools
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra

with extra("httpx"):
    import anyio.to_thread
    import httpx

_BOUND, _TRACE = "macaroon_cbat.bound", "trace"
_FACTORIES = "certificate_client or async_certificate_client"


class MacaroonAuth(httpx.Auth):
    """Attaches to every request a fresh child of the token, bound to the certificate in use.

    The settings are those of ChildTerms. `discharges` collects what a token with third-party caveats
    needs, and each request carries it, bound to its child. Raises SettingsError for http://, for a token
    that is bound to another certificate, and over a connection that does not present the certificate. A
    request whose body can be sent again is tried once more with a fresh token when the resource server
    answers 401 invalid_token and the source has another one. The event loop never waits for the source.
    """

    def __init__(
        self,
        token: TokenSource,
        certificate: ClientCertificate,
        *,
        discharges: DischargeClient | None = None,
        **settings: Unpack[ChildSettings],
    ) -> None:
        self._holder = Holder(token, certificate, discharges, **settings)
        self.certificate = certificate

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Attach the child; try once more with a fresh token."""
        bound = self._holder.bind(request.method, str(request.url))
        response = yield _attach(request, bound)
        self._check(bound, response)
        if (rejected := _rejected(response)) and (anew := self._holder.bind_anew(rejected)):
            self._check(anew, (yield _attach(left_unread(response).request, anew)))

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Attach the child; a token is obtained in a thread."""
        bound = await anyio.to_thread.run_sync(self._holder.bind, request.method, str(request.url))
        response = yield _attach(request, bound)
        self._check(bound, response)
        again, in_thread = self._holder.bind_anew, anyio.to_thread.run_sync
        if (rejected := _rejected(response)) and (anew := await in_thread(again, rejected)):
            self._check(anew, (yield _attach(left_unread(response).request, anew)))

    def _check(self, bound: Bound, response: httpx.Response) -> None:
        """Raise SettingsError if the child went over another transport, such as httpx.MockTransport."""
        attached: _Attached | None = response.request.extensions.get(_BOUND)
        if attached is not None and not attached.is_met and attached.is_on(response.request):
            raise outside_session(_FACTORIES)
        self._holder.hear(bound, str(response.url), *map(response.headers.get, ("Date", "Age")))


class _Attached:
    """A child on a request, and whether a connection that matches it was found.

    It stands in `request.extensions` also as the trace function, which httpx's own transports call before
    they connect or send: there it raises. Our transport takes its own copy of the request, without it.
    """

    def __init__(self, bound: Bound, trace: Any) -> None:
        self.bound, self.trace = bound, trace
        self.is_met = False

    def __call__(self, _event: str, _info: object) -> NoReturn:
        raise outside_session(_FACTORIES)

    def is_on(self, request: httpx.Request) -> bool:
        """Return True unless a redirect led to another origin: httpx drops the header then."""
        return str(request.headers.get("Authorization")) == self.bound.authorization


class CertificateTransport(httpx.BaseTransport):
    """Sends each request over a connection that presents the certificate its child is bound to.

    Requests without a child present the current certificate. After a rotation the old connections
    end with their last response. Servers are verified against `ca`, a PEM file that is followed when it is
    replaced, or the system's CAs.
    """

    def __init__(self, certificate: ClientCertificate, ca: Path | str | None = None) -> None:
        self._certificate = certificate
        self._trust = ServerTrust(ca)
        self.pools: Pools[PoolKey, httpx.HTTPTransport] = Pools(
            lambda key: httpx.HTTPTransport(verify=key.context())
        )
        """The connection pools by certificate; their number is that of the certificates in use."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; a child that a redirect led elsewhere is made anew for where it goes."""
        sent, key = _prepared(request, self._certificate, self._trust)
        transport, over = self.pools.lease(key)
        try:
            _close(over)
            response = transport.handle_request(sent)
        except BaseException:
            _close(self.pools.give_back(key))
            raise
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = LeasedBody(response.stream, lambda: _close(self.pools.give_back(key)))
        return response

    def close(self) -> None:
        """Close all connections."""
        _close(self.pools.take_all())


class AsyncCertificateTransport(httpx.AsyncBaseTransport):
    """Does for `httpx.AsyncClient` what CertificateTransport does for `httpx.Client`."""

    def __init__(self, certificate: ClientCertificate, ca: Path | str | None = None) -> None:
        self._certificate = certificate
        self._trust = ServerTrust(ca)
        self.pools: Pools[PoolKey, httpx.AsyncHTTPTransport] = Pools(
            lambda key: httpx.AsyncHTTPTransport(verify=key.context())
        )
        """The connection pools by certificate; their number is that of the certificates in use."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request; a child that a redirect led elsewhere is made anew for where it goes."""
        sent, key = _prepared(request, self._certificate, self._trust)
        transport, over = self.pools.lease(key)
        try:
            await _aclose(over)
            response = await transport.handle_async_request(sent)
        except BaseException:
            await _aclose(self.pools.give_back(key))
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = AsyncLeasedBody(response.stream, lambda: _aclose(self.pools.give_back(key)))
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await _aclose(self.pools.take_all())


def certificate_client(auth: MacaroonAuth, ca: Path | str | None = None, **settings: Any) -> httpx.Client:
    """Return a client whose requests carry children and whose connections present their certificate.

    `ca` is a PEM file with the CA of the resource servers, by default the system's CAs. `settings` are
    those of httpx.Client. Raises SettingsError for one that would take another connection, such as `proxy`.
    """
    return httpx.Client(
        auth=auth,
        transport=CertificateTransport(auth.certificate, ca),
        **allowed(settings, "a certificate client"),
    )


def async_certificate_client(
    auth: MacaroonAuth, ca: Path | str | None = None, **settings: Any
) -> httpx.AsyncClient:
    """Return an httpx.AsyncClient that does what `certificate_client` does."""
    return httpx.AsyncClient(
        auth=auth,
        transport=AsyncCertificateTransport(auth.certificate, ca),
        **allowed(settings, "a certificate client"),
    )


def allowed(settings: dict[str, Any], what: str) -> dict[str, Any]:
    """Return the settings, or raise SettingsError for one that would take another connection.

    `what` is the kind of client that is made.
    """
    if refused := settings.keys() & {"transport", "verify", "cert", "proxy", "mounts"}:
        raise SettingsError(f"{what} makes its connections itself: leave out {', '.join(sorted(refused))}")
    return settings


def _attach(request: httpx.Request, bound: Bound) -> httpx.Request:
    before = request.extensions.get(_TRACE)
    attached = _Attached(bound, before.trace if isinstance(before, _Attached) else before)
    request.headers["Authorization"] = bound.authorization
    request.extensions = {**request.extensions, _BOUND: attached, _TRACE: attached}
    return request


def _prepared(
    request: httpx.Request, certificate: ClientCertificate, trust: ServerTrust
) -> tuple[httpx.Request, PoolKey]:
    """Return a copy of the request that can be sent, and the pool whose connections match it."""
    attached: _Attached | None = request.extensions.get(_BOUND)
    if attached is None:
        return request, PoolKey(certificate.current(), trust.current())
    credentials = certificate.current()
    if attached.is_on(request):
        credentials = attached.bound.credentials_in(certificate)
        _attach(request, attached.bound.for_request(request.method, str(request.url)))
    attached = request.extensions[_BOUND]
    attached.is_met = True
    extensions = {name: value for name, value in request.extensions.items() if name not in (_BOUND, _TRACE)}
    if attached.trace is not None:
        extensions[_TRACE] = attached.trace
    sent = httpx.Request(
        request.method, request.url, headers=request.headers, stream=request.stream, extensions=extensions
    )
    if attached.is_on(request):
        sent.headers.update(attached.bound.further_headers)
    request.extensions = {**extensions, _BOUND: attached}  # the redirect that may follow is made of it
    return sent, PoolKey(credentials, trust.current())


def _rejected(response: httpx.Response) -> Bound | None:
    """Return the child that the server rejects, if its request can be sent again; otherwise None.

    That is the last request of a chain of redirects: the first was accepted, and may have paid a bill.
    """
    request, challenge = response.request, response.headers.get("WWW-Authenticate")
    is_again = is_rejected(response.status_code, challenge) and is_replayable(request)
    attached: _Attached | None = request.extensions.get(_BOUND)
    return attached.bound if is_again and attached is not None and attached.is_on(request) else None


def _close(transports: list[httpx.HTTPTransport]) -> None:
    for transport in transports:
        transport.close()


async def _aclose(transports: list[httpx.AsyncHTTPTransport]) -> None:
    for transport in transports:
        await transport.aclose()
