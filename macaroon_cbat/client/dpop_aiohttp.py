"""The holder's side of `aiohttp` by a DPoP key: a middleware that proves each request, and its session.

    auth = DpopAuth(TokenClient(issuer=..., client_id=...), DpopKey.load("dpop.key"))
    async with dpop_session(auth, ca="ca.pem") as session:
        await session.get("https://api.example/invoices")

Child and proof are made when a request is sent, for the method and URL that it then has: a redirect and a
request that is sent again get their own. A redirect to another origin gets neither.
"""

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Unpack
from weakref import WeakKeyDictionary

from macaroon_cbat.client.children import ChildSettings
from macaroon_cbat.client.discharges import DischargeClient
from macaroon_cbat.client.dpop_holder import DpopHolder
from macaroon_cbat.client.dpop_key import ProofKey
from macaroon_cbat.client.holder import TokenSource
from macaroon_cbat.client.trust import server_trust
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra

with extra("aiohttp"):
    import aiohttp
    from aiohttp import ClientHandlerType, ClientRequest, ClientResponse
    from aiohttp.payload import BytesPayload
    from yarl import URL

_REFUSED = {"connector", "connector_owner", "request_class"}


@dataclass(slots=True)
class _Redirects:
    """The origin that was asked first, and whether a redirect has led away from it."""

    origin: URL | None = None
    has_left: bool = False


_redirects: ContextVar[_Redirects | None] = ContextVar("macaroon_cbat_dpop_redirects", default=None)


async def _begin(_session: object, context: SimpleNamespace, _event: object) -> None:
    context.redirects = _Redirects()
    _redirects.set(context.redirects)


async def _go_on(_session: object, context: SimpleNamespace, _event: object) -> None:
    _redirects.set(context.redirects)


class DpopAuth:
    """A middleware that sends every request with a fresh child of the token, and a proof by the key.

    The settings are those of ChildTerms. `discharges` collects what a token with third-party caveats needs.
    A request is sent once more if the server wants a nonce, and once more with a fresh token if it answers
    401 invalid_token and the source has another one, provided that its body can be sent again. Raises
    SettingsError for http:// and for a token that is bound otherwise, and in a session that `dpop_session`
    did not make. The event loop never waits for the source.
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
        self._redirects: WeakKeyDictionary[ClientRequest, _Redirects] = WeakKeyDictionary()

    async def note(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Note the redirects that led to the request: the outermost middleware, before nested requests."""
        if (redirects := _redirects.get()) is not None:
            self._redirects[request] = redirects
        try:
            return await handler(request)
        finally:
            _redirects.set(redirects)

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Prove the request and send it, again if the answer asks for that."""
        redirects = self._redirects.get(request)
        if redirects is None:
            raise SettingsError("a DpopAuth works only in a session that dpop_session made: use one")
        redirects.origin = redirects.origin or request.url.origin()
        redirects.has_left = redirects.has_left or request.url.origin() != redirects.origin
        if redirects.has_left:
            return await handler(request)
        proved = await asyncio.to_thread(self.holder.prove, request.method, str(request.url))
        while True:
            request.headers.update(proved.headers)
            response = await handler(request)
            again = partial(self.holder.again, is_replayable=_is_replayable(request))
            anew = await asyncio.to_thread(again, proved, response.status, response.headers)
            if anew is None:
                return response
            response.release()
            proved = anew


def dpop_session(auth: DpopAuth, ca: Path | str | None = None, **settings: Any) -> aiohttp.ClientSession:
    """Return a session that proves its requests. `ca` is a PEM file, by default the system's CAs.

    `settings` are those of aiohttp.ClientSession. Raises SettingsError for one that would take another
    connection.
    """
    if refused := settings.keys() & _REFUSED:
        raise SettingsError(
            f"a DPoP session makes its connections itself: leave out {', '.join(sorted(refused))}"
        )
    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(_begin)
    tracing.on_request_redirect.append(_go_on)
    # The auth comes last, next to the connection: other middlewares may change method and target.
    middlewares = (auth.note, *settings.pop("middlewares", ()), auth)
    traces = [*(settings.pop("trace_configs", None) or ()), tracing]
    connector = aiohttp.TCPConnector(ssl=server_trust(ca))
    return aiohttp.ClientSession(
        connector=connector, middlewares=middlewares, trace_configs=traces, **settings
    )


def _is_replayable(request: ClientRequest) -> bool:
    return request.body == b"" or isinstance(request.body, BytesPayload)
