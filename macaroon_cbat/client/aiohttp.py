"""The holder's side of `aiohttp`: a middleware that binds each request, and connections that match it.

    auth = MacaroonAuth(TokenClient(issuer=..., client_id=...), ClientCertificate("client.pem", "client.key"))
    async with certificate_session(auth, ca="ca.pem") as session:
        async with session.get("https://api.example/invoices") as answer:
            ...

Child and connection never disagree: the middleware tells the connector which credentials it bound the child
to, and the connector takes the connection from the pool of these very credentials. The request raises in any
other session, before a connection is made. A session belongs to one event loop, hence to one process.
"""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Unpack
from weakref import WeakKeyDictionary

from macaroon_cbat.client.aiohttp_sessions import (
    Chains,
    is_replayable,
    joined_fields,
    refuse_connections,
    session_over,
)
from macaroon_cbat.client.certificate import ClientCertificate
from macaroon_cbat.client.children import ChildSettings
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.client.holder import Bound, Holder, TokenSource, is_rejected, outside_session
from macaroon_cbat.client.pools import PoolKey, Pools
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra

with extra("aiohttp"):
    import aiohttp
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class MacaroonAuth:
    """A middleware that attaches to every request a fresh child, bound to the certificate in use.

    The settings are those of ChildTerms. `discharges` collects what a token with third-party caveats
    needs, and each request carries it, bound to its child. Raises SettingsError for http://, for a token
    that is bound to another certificate, and in a session that `certificate_session` did not make. A
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

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Attach the child and send the request; try once more with a fresh token."""
        connector = request.session.connector
        if not isinstance(connector, CertificateConnector) or not connector.chains.knows(request):
            raise outside_session("certificate_session")
        if not connector.chains.may_carry_child(request):
            return await handler(request)
        return await self._send(request, handler, connector)

    async def _send(
        self, request: ClientRequest, handler: ClientHandlerType, connector: "CertificateConnector"
    ) -> ClientResponse:
        bound = await asyncio.to_thread(self._holder.bind, request.method, str(request.url))
        connector.attach(request, bound)
        response = await handler(request)
        self._hear(bound, response)
        if _may_retry(request, response) and (anew := await asyncio.to_thread(self._holder.bind_anew, bound)):
            response.release()
            connector.attach(request, anew)
            response = await handler(request)
            self._hear(anew, response)
        return response

    def _hear(self, bound: Bound, response: ClientResponse) -> None:
        headers = response.headers
        self._holder.hear(bound, str(response.url), headers.get("Date"), headers.get("Age"))


class CertificateConnector(aiohttp.BaseConnector):
    """Sends each request over a connection that presents the certificate its child is bound to.

    Requests without a child present the current certificate. After a rotation the old connections
    end with their last response. Servers are verified against `ca`, a PEM file that is followed when it is
    replaced, or the system's CAs. `ssl=` of a request raises SettingsError.
    """

    def __init__(self, certificate: ClientCertificate, ca: Path | str | None = None) -> None:
        super().__init__()
        self._certificate = certificate
        self._trust = ServerTrust(ca)
        self._bound: WeakKeyDictionary[ClientRequest, Bound] = WeakKeyDictionary()
        self._closing: set[asyncio.Task[None]] = set()
        self.pools: Pools[PoolKey, aiohttp.TCPConnector] = Pools(
            lambda key: aiohttp.TCPConnector(ssl=key.context())
        )
        """The connection pools by certificate; their number is that of the certificates in use."""
        self.chains = Chains()

    def attach(self, request: ClientRequest, bound: Bound) -> None:
        """Give the request this child, and later a connection that matches it."""
        bound.credentials_in(self._certificate)
        request.headers.update({"Authorization": bound.authorization, **bound.further_headers})
        self._bound[request] = bound

    async def connect(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Return a connection for this request."""
        if req.ssl is not True:
            raise SettingsError("a certificate session takes no ssl=: give it a ca")
        bound, credentials = self._bound.get(req), self._certificate.current()
        if bound is not None and req.headers.get("Authorization") == bound.authorization:
            credentials = bound.credentials_in(self._certificate)
        key = PoolKey(credentials, self._trust.current())
        connector, over = self.pools.lease(key)
        try:
            self._close_soon(over)
            connection = await connector.connect(req, traces, timeout)
        except BaseException:
            self._close_soon(self.pools.give_back(key))
            raise
        connection.add_callback(lambda: self._close_soon(self.pools.give_back(key)))
        return connection

    def close(self, *, abort_ssl: bool = False) -> Awaitable[None]:
        """Close all connections."""
        base = super().close(abort_ssl=abort_ssl)
        self._close_soon(self.pools.take_all())
        return _all_done(base, self._closing)

    def _close_soon(self, connectors: list[aiohttp.TCPConnector]) -> None:
        for connector in connectors:
            task = asyncio.get_running_loop().create_task(_closed(connector))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def certificate_session(
    auth: MacaroonAuth, ca: Path | str | None = None, **settings: Any
) -> aiohttp.ClientSession:
    """Return a session whose requests carry children and whose connections present their certificate.

    `ca` is a PEM file with the CA of the resource servers, by default the system's CAs. `settings` are those
    of aiohttp.ClientSession. Raises SettingsError for one that would take another connection.
    """
    refuse_connections(settings, "a certificate session")
    connector = CertificateConnector(auth.certificate, ca)
    return session_over(connector, connector.chains, auth, **settings)


def _may_retry(request: ClientRequest, response: ClientResponse) -> bool:
    challenge = joined_fields(response, "WWW-Authenticate").get("WWW-Authenticate")
    return is_rejected(response.status, challenge) and is_replayable(request)


async def _closed(connector: aiohttp.TCPConnector) -> None:
    await connector.close()


async def _all_done(base: Awaitable[None], tasks: set[asyncio.Task[None]]) -> None:
    await base
    await asyncio.gather(*tasks)
