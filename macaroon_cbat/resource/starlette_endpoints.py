"""Endpoints of Starlette applications under a guard, which the guard recognizes before they run."""

from collections.abc import Awaitable, Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.resource.starlette_routes import MARK

with extra("starlette"):
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import HTTPConnection

Requirement = Callable[[HTTPConnection], Awaitable[Principal]]
"""A dependency: takes a request or a WebSocket, and returns its principal or raises RefusedRequest."""

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def guarded_endpoint(key: object, requirement: Requirement, endpoint: Endpoint) -> Endpoint:
    """Return the endpoint under the requirement, marked with `key`.

    Raises SettingsError for a class without `dispatch`, which cannot be guarded so.
    """
    if isinstance(endpoint, type):
        guarded = _guarded_class(requirement, endpoint)
    else:
        guarded = _guarded_function(requirement, endpoint)
    setattr(guarded, MARK, (key, guarded))
    return cast("Endpoint", guarded)


def _guarded_function(requirement: Requirement, endpoint: Callable[..., Any]) -> Any:
    @wraps(endpoint)
    async def guarded(*given: Any) -> Any:
        connection: HTTPConnection = given[-1]  # a method has its object before it
        connection.state.principal = await requirement(connection)
        if iscoroutinefunction(endpoint):
            return await endpoint(*given)
        return await run_in_threadpool(endpoint, *given)

    return guarded


def _guarded_class(requirement: Requirement, endpoint: Any) -> Any:
    if not hasattr(endpoint, "dispatch"):
        raise SettingsError(
            f"class {endpoint.__name__} has no dispatch: put guard.endpoint(...) around an HTTPEndpoint, a "
            "WebSocketEndpoint or a function"
        )

    class Guarded(endpoint):  # type: ignore[misc] # the class is known where it is decorated
        async def dispatch(self) -> None:
            connection = HTTPConnection(self.scope)
            connection.state.principal = await requirement(connection)
            await super().dispatch()

    for name in ("__name__", "__qualname__", "__module__", "__doc__"):
        setattr(Guarded, name, getattr(endpoint, name))
    return Guarded
