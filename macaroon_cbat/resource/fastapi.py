"""The parts of the guard that know FastAPI: its OpenAPI description, and the routers that it includes.

FastAPI 0.115 copies the routes of an included router. Later ones keep the router, and find its route by
methods without a public name; where these are missing or new, nothing is found, and the request is refused.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

from macaroon_cbat.errors.extras import extra
from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.asgi import Scope

with extra("fastapi"):
    from fastapi import APIRouter, FastAPI, routing
    from fastapi.openapi.models import HTTPBase, HTTPBearer
    from fastapi.requests import HTTPConnection
    from fastapi.security.base import SecurityBase

ROUTERS = (APIRouter,)
APPLICATIONS = (FastAPI,)
LEAVES = (routing.APIRoute, routing.APIWebSocketRoute)
_INCLUDED: Any = getattr(routing, "_IncludedRouter", ())

_BY_CERTIFICATE = "a macaroon bound to the client certificate of the connection (RFC 8705)"
_BY_KEY = "a macaroon bound to the key of a DPoP proof, with the proof in the header DPoP (RFC 9449)"


class Documented(SecurityBase):
    """A dependency of the guard that FastAPI reads as a security scheme."""

    def __init__(
        self, requirement: Callable[[HTTPConnection], Awaitable[Principal]], admission: Admission
    ) -> None:
        """Describe this dependency of a guard with these rules."""
        self.model = _scheme(admission)
        self.scheme_name = "macaroon"
        self._requirement = requirement

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """Return the principal. Raises RefusedRequest if the request may not pass."""
        return await self._requirement(connection)


def _scheme(admission: Admission) -> HTTPBase:
    """Return the security scheme of a guard: the confirmation that it requires of every token."""
    if admission.require == "dpop":
        return HTTPBase(scheme="DPoP", description=_sentence(_BY_KEY))
    if admission.require == "either":
        wanted = f"{_BY_CERTIFICATE}; or, as Authorization: DPoP, {_BY_KEY}"
    else:
        wanted = _BY_CERTIFICATE if admission.requires_certificate else "a macaroon, bound or not"
    return HTTPBearer(bearerFormat="macaroon", description=_sentence(wanted))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def is_included(route: object) -> bool:
    """Return True for the entry that FastAPI makes of an included router."""
    return isinstance(route, _INCLUDED)


def included(route: Any, scope: Scope) -> tuple[Any, Mapping[str, Any], Any, Any]:
    """Return whether an included router matches, the scope, the inner route, its dependencies if they differ.

    The inner route is None where none is known for sure.
    """
    router = getattr(route, "original_router", None)
    methods = (getattr(type(router), "handle", None), getattr(type(router), "matches", None))
    if not hasattr(route, "_match") or methods != (APIRouter.handle, APIRouter.matches):
        return (*route.matches(scope), None, None)
    match, child, inner, context = route._match(scope)  # noqa: SLF001 # no public name
    dependant = getattr(context, "dependant", None)
    own = routing.APIRoute
    if dependant is not None and (type(inner).handle, type(inner).matches) != (own.handle, own.matches):
        return match, {}, None, None
    return match, child, inner, dependant


def routes_of(route: Any) -> Iterator[tuple[Any, Any, str]]:
    """Return the routes of an included router, each with its dependencies if they differ, and its path."""
    if not hasattr(route, "effective_route_contexts"):
        yield route, None, "/*"
        return
    for context in route.effective_route_contexts():
        inner = context.starlette_route or context.original_route
        yield inner, context.dependant, context.path or getattr(inner, "path", "")


def fallback_of(router: Any, scope: Scope) -> Any:
    """Return the dependencies of the static files that answer if no route does, or None without any."""
    match_low_priority = getattr(router, "_match_low_priority", None)
    if match_low_priority is None:
        return None
    match, _, route, context = match_low_priority(scope)
    if match.name == "NONE":
        return None
    return getattr(context, "dependant", None) or route.dependant
