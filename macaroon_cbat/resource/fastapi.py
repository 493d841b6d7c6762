"""The guard's description in the OpenAPI document of a FastAPI application."""

from collections.abc import Awaitable, Callable

from macaroon_cbat.errors.extras import extra
from macaroon_cbat.macaroon.verification import Principal

with extra("fastapi"):
    from fastapi.openapi.models import HTTPBearer
    from fastapi.requests import HTTPConnection
    from fastapi.security.base import SecurityBase


class Documented(SecurityBase):
    """A dependency of the guard that FastAPI reads as a security scheme."""

    def __init__(self, requirement: Callable[[HTTPConnection], Awaitable[Principal]]) -> None:
        """Describe this dependency."""
        self.model = HTTPBearer(
            bearerFormat="macaroon",
            description="A macaroon bound to the client certificate of the connection (RFC 8705)",
        )
        self.scheme_name = "macaroon"
        self._requirement = requirement

    async def __call__(self, connection: HTTPConnection) -> Principal:
        """Return the principal. Raises RefusedRequest if the request may not pass."""
        return await self._requirement(connection)
