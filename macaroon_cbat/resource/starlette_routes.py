"""The endpoint that a Starlette or FastAPI application will run for a request, found before it runs.

The search walks the application's routes as its routers will. Routers, routes and mounted applications of
other kinds route by rules of their own, so that their endpoints count as forgotten.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from typing import Any, cast

from macaroon_cbat.errors.extras import extra
from macaroon_cbat.resource.asgi import Scope

with extra("starlette"):
    from starlette.applications import Starlette
    from starlette.routing import Host, Match, Mount, Route, Router, WebSocketRoute

fastapi: Any = None
with suppress(ImportError):  # an application of Starlette's needs no FastAPI
    from macaroon_cbat.resource import fastapi as _fastapi

    fastapi = _fastapi

MARK = "_macaroon_cbat_endpoint"
"""The attribute of an endpoint under `guard.endpoint(...)`: the guard's own key, and the endpoint itself."""

_ROUTERS = (Router, *(fastapi.ROUTERS if fastapi else ()))
_APPLICATIONS = (Starlette, *(fastapi.APPLICATIONS if fastapi else ()))
_MOUNTS = (Mount, Host)
_LEAVES = (Route, WebSocketRoute, *(fastapi.LEAVES if fastapi else ()))
_OWN = frozenset({"__call__", "app", "handle", "matches", "not_found", "build_middleware_stack"})
"""The methods that route a request. A class that defines one of them anew is of another kind."""


class Found(Enum):
    """The treatment of a request by the application that is to answer it."""

    NO_ENDPOINT = "no route leads to an endpoint: the router answers 404, 405 or a redirect"
    REQUIRED = "the endpoint is under require(...)"
    OVERRIDDEN = "it is, and dependency_overrides replaces the guard there"
    FORGOTTEN = "the endpoint is not under require(...), or cannot be judged"


class Requirements:
    """The requirements of one guard, and the search for the endpoint that is under one of them."""

    def __init__(self, key: object, dependencies: Collection[object]) -> None:
        """Recognize endpoints that carry `key`, and these dependencies, to which more may be added."""
        self._key, self._dependencies = key, dependencies

    def find(self, app: Any, scope: Scope) -> Found:
        """Return what is found for the request with which the application's own router is called."""
        overrides = getattr(app, "dependency_overrides", {})
        # FastAPI writes to this entry while it matches; the request keeps its own.
        probe = {**scope, "fastapi": dict(scope.get("fastapi") or {})}
        return self._in_router(app.router, probe, overrides)

    def forgotten(self, app: Any) -> Iterator[str]:
        """Return the paths below which no token helps, as far as the routes tell them."""
        return self._forgotten(app.router, "")

    def _forgotten(self, router: Any, prefix: str) -> Iterator[str]:
        if not _is_known(router, _ROUTERS):
            yield prefix + "/*"
            return
        for route in router.routes:
            is_included = fastapi and fastapi.is_included(route)
            for inner, dependant, path in fastapi.routes_of(route) if is_included else [(route, None, "")]:
                yield from self._forgotten_route(
                    inner, dependant, prefix + (path or getattr(inner, "path", ""))
                )

    def _forgotten_route(self, route: Any, dependant: Any, path: str) -> Iterator[str]:
        if _is_known(route, _MOUNTS):
            app = getattr(route, "_base_app", route.app)
            if not self._is_marked(app):
                yield from self._forgotten(app.router if _is_known(app, _APPLICATIONS) else app, path)
        elif dependant is not None:
            if self._in_dependant(dependant, {}) is Found.FORGOTTEN:
                yield path
        elif self._in_route(route, None, {}, {}) is Found.FORGOTTEN:
            yield path

    def _in_router(self, router: Any, scope: Scope, overrides: Mapping[Any, Any]) -> Found:
        if not _is_known(router, _ROUTERS):
            return Found.FORGOTTEN
        partial = None
        for route in router.routes:
            match, child, inner, dependant = self._matching(route, scope)
            if match is Match.NONE or (match is Match.PARTIAL and partial is not None):
                continue
            found = (inner, dependant, _below(scope, child))
            if match is Match.FULL:
                return self._in_route(*found, overrides)
            partial = found
        if partial is not None:
            return self._in_partial(*partial)
        if fastapi and isinstance(router, fastapi.ROUTERS):
            dependant = fastapi.fallback_of(router, scope)
            if dependant is not None:
                return self._in_dependant(dependant, overrides)
        return Found.NO_ENDPOINT if router.default == router.not_found else Found.FORGOTTEN

    def _matching(self, route: Any, scope: Scope) -> tuple[Match, Mapping[str, Any], Any, Any]:
        """Return whether the route matches, its scope, and the inner route and dependencies if any."""
        if fastapi and fastapi.is_included(route):
            return cast("tuple[Match, Any, Any, Any]", fastapi.included(route, scope))
        return (*route.matches(scope), route, None)

    def _in_route(self, route: Any, dependant: Any, scope: Scope, overrides: Mapping[Any, Any]) -> Found:
        """Return what is found for a route that matches, or for None if no route is known to run."""
        if dependant is not None:
            return self._in_dependant(dependant, overrides)
        if _is_known(route, _MOUNTS):
            return self._in_app(getattr(route, "_base_app", route.app), scope, overrides)
        if fastapi and fastapi.is_included(route):
            _, child, inner, below = fastapi.included(route, scope)
            return self._in_route(inner, below, _below(scope, child), overrides)
        if not _is_known(route, _LEAVES):
            return Found.FORGOTTEN
        if (own := getattr(route, "dependant", None)) is not None:
            return self._in_dependant(own, overrides)
        return Found.REQUIRED if self._is_marked(route.endpoint) else Found.FORGOTTEN

    def _in_partial(self, route: Any, _: Any, scope: Scope) -> Found:
        """Return what is found for a route that has the path, but not the method: 405 where it is known."""
        if fastapi and fastapi.is_included(route):
            _, child, inner, _ = fastapi.included(route, scope)
            return self._in_partial(inner, None, _below(scope, child))
        return Found.NO_ENDPOINT if _is_known(route, _LEAVES) else Found.FORGOTTEN

    def _in_app(self, app: Any, scope: Scope, overrides: Mapping[Any, Any]) -> Found:
        if self._is_marked(app):
            return Found.REQUIRED
        if isinstance(app, Router):
            return self._in_router(app, scope, overrides)
        if not _is_known(app, _APPLICATIONS):
            return Found.FORGOTTEN
        if root := getattr(app, "root_path", ""):  # FastAPI routes below this one
            scope = {**scope, "root_path": root}
        return self._in_router(app.router, scope, getattr(app, "dependency_overrides", {}))

    def _in_dependant(self, dependant: Any, overrides: Mapping[Any, Any]) -> Found:
        """Return what is found in the tree of the dependencies that FastAPI calls before the endpoint."""
        found = Found.FORGOTTEN
        waiting = [(one, False) for one in dependant.dependencies]
        while waiting:
            one, is_cut = waiting.pop()
            is_cut = is_cut or (bool(overrides) and one.call in overrides)
            if any(one.call is dependency for dependency in self._dependencies):
                if not is_cut:
                    return Found.REQUIRED
                found = Found.OVERRIDDEN
            waiting.extend((below, is_cut) for below in one.dependencies)
        return found

    def _is_marked(self, endpoint: Any) -> bool:
        """Return True if this guard made the endpoint; a copy of its attributes guards nothing."""
        endpoint = getattr(endpoint, "__func__", endpoint)
        key, marked = getattr(endpoint, MARK, (None, None))
        return key is self._key and marked is endpoint


def _below(scope: Scope, child: Mapping[str, Any]) -> Scope:
    inner = {**scope.get("fastapi", {}), **child.get("fastapi", {})}
    return {**scope, **child, "fastapi": inner}


def _is_known(one: Any, kinds: tuple[type, ...]) -> bool:
    """Return True for an object of one of these classes, or of a subclass that routes as they do."""
    known = _known(cast("Any", type(one)), kinds)
    return known is not None and _OWN.isdisjoint(_set_on(one, known))


@lru_cache(maxsize=1024)
def _known(own: Any, kinds: tuple[type, ...]) -> type | None:
    known = next((kind for kind in own.__mro__ if kind in kinds), None)
    is_like = all(getattr(own, name, None) is getattr(known, name, None) for name in _OWN)
    return known if is_like else None


def _set_on(one: Any, known: type) -> set[str]:
    """Return the names that stand on the object itself; `app` is data of a route and a method of a router."""
    return {name for name in _OWN & vars(one).keys() if callable(getattr(known, name, None))}
