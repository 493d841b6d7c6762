"""The sessions of `aiohttp` on the holder's side, and the redirects of their requests.

A child stays within the origin that was asked first. A middleware sees a redirect as a new request, so the
trace of the session tells which requests are of one chain.
"""

from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra

with extra("aiohttp"):
    import aiohttp
    from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse
    from aiohttp.payload import BytesPayload
    from yarl import URL

_REFUSED = {"connector", "connector_owner", "request_class"}


@dataclass(slots=True)
class _Chain:
    """A request and the redirects that follow it."""

    origin: URL | None = None
    has_left: bool = False

    def stays_with(self, url: URL) -> bool:
        """Return True unless a redirect has led to another origin."""
        if self.origin is None:
            self.origin = url.origin()
        self.has_left = self.has_left or url.origin() != self.origin
        return not self.has_left


_chain: ContextVar[_Chain | None] = ContextVar("macaroon_cbat_redirects", default=None)


async def _begin(_session: object, context: SimpleNamespace, _event: object) -> None:
    context.chain = _Chain()
    _chain.set(context.chain)


async def _go_on(_session: object, context: SimpleNamespace, _event: object) -> None:
    _chain.set(context.chain)  # requests that were sent meanwhile, such as a middleware's, began their own


class Chains:
    """The chain of redirects that each request belongs to."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[ClientRequest, _Chain] = WeakKeyDictionary()

    async def note(self, request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
        """Note the chain of the request: the outermost middleware, which no nested request comes before."""
        if (chain := _chain.get()) is not None:
            self._of[request] = chain
        try:
            return await handler(request)
        finally:
            _chain.set(chain)  # aiohttp may send the request again, after requests that began their own

    def knows(self, request: ClientRequest) -> bool:
        """Return True if the request is one of a session that `session_over` made for these chains."""
        return request in self._of

    def may_carry_child(self, request: ClientRequest) -> bool:
        """Return True unless a redirect has led the request to another origin than the first one."""
        return self._of[request].stays_with(request.url)


def session_over(
    connector: aiohttp.BaseConnector, chains: Chains, auth: ClientMiddlewareType, **settings: Any
) -> aiohttp.ClientSession:
    """Return a session whose requests go through this auth and connector, once their chain is noted.

    `settings` are those of aiohttp.ClientSession that `refuse_connections` lets pass.
    """
    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(_begin)
    tracing.on_request_redirect.append(_go_on)
    # The auth comes last, next to the connection: other middlewares may change method and target.
    middlewares = (chains.note, *settings.pop("middlewares", ()), auth)
    traces = [*(settings.pop("trace_configs", None) or ()), tracing]
    return aiohttp.ClientSession(
        connector=connector, middlewares=middlewares, trace_configs=traces, **settings
    )


def refuse_connections(settings: dict[str, Any], what: str) -> None:
    """Raise SettingsError for settings that would take another connection than this kind of session makes."""
    if refused := settings.keys() & _REFUSED:
        raise SettingsError(f"{what} makes its connections itself: leave out {', '.join(sorted(refused))}")


def is_replayable(request: ClientRequest) -> bool:
    """Return True if the body of the request can be sent again."""
    return request.body == b"" or isinstance(request.body, BytesPayload)


def joined_fields(response: ClientResponse, *names: str) -> dict[str, str]:
    """Return these header fields of an answer, a repeated one with commas (RFC 9110 5.3), as others do."""
    return {name: ", ".join(response.headers.getall(name)) for name in names if name in response.headers}
