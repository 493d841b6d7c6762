"""Endpoints of Starlette applications under a guard, which the guard recognizes before they run."""

from collections.abc import Awaitable, Callable
from functools import partial, update_wrapper
from inspect import iscoroutinefunction, isfunction, ismethod
from typing import Any, TypeVar, cast

from macaroon_cbat.errors.extras import extra
from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.resource.asgi import Receive, Scope, Send
from macaroon_cbat.resource.starlette_routes import MARK

with extra("starlette"):
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import HTTPConnection

Requirement = Callable[[HTTPConnection], Awaitable[Principal]]
"""A dependency: takes a request or a WebSocket, and returns its principal or raises RefusedRequest."""

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def guarded_endpoint(key: object, requirement: Requirement, endpoint: Endpoint) -> Endpoint:
    """Return the endpoint under the requirement, marked with `key`.

    What is no function or method is an ASGI application, as Starlette has it: a class of endpoints, too.
    """
    inner: Any = endpoint
    while isinstance(inner, partial):
        inner = inner.func
    is_function = isfunction(inner) or ismethod(inner)
    guarded = (
        _guarded_function(requirement, endpoint) if is_function else GuardedApplication(requirement, endpoint)
    )
    setattr(guarded, MARK, (key, guarded))
    return cast("Endpoint", guarded)


class GuardedApplication:
    """An ASGI application that is called for judged requests alone."""

    def __init__(self, requirement: Requirement, app: Any) -> None:
        """Stand before `app`, whose name routes then have."""
        self._requirement, self._app = requirement, app
        self.__name__ = getattr(app, "__name__", type(app).__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge the request, and call the application."""
        connection = HTTPConnection(scope)
        connection.state.principal = await self._requirement(connection)
        await self._app(scope, receive, send)


def _guarded_function(requirement: Requirement, endpoint: Callable[..., Any]) -> Any:
    async def guarded(*given: Any) -> Any:
        connection: HTTPConnection = given[-1]  # a method has its object before it
        connection.state.principal = await requirement(connection)
        if _is_async(endpoint):
            return await endpoint(*given)
        return await run_in_threadpool(endpoint, *given)

    return update_wrapper(guarded, endpoint)


def _is_async(endpoint: Any) -> bool:
    while isinstance(endpoint, partial):
        endpoint = endpoint.func
    return iscoroutinefunction(endpoint)
