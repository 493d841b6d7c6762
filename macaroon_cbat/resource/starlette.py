"""The guard of a Starlette or FastAPI application: `Guard(app, keys=...)`, `Depends(guard.require("read"))`.

In Starlette, which has no dependencies, `reader = guard.require("read")` stands beside the endpoints, and
each awaits it: `principal = await reader(request)`.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Unpack, cast

from macaroon_cbat.errors import OAuthError, SettingsError, Unavailable
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.resource.asgi import (
    Application,
    Message,
    Receive,
    Scope,
    Send,
    is_for,
    presented,
    send_answer,
)
from macaroon_cbat.resource.asgi_withholding import withholding
from macaroon_cbat.resource.default_deny import Admitted, DefaultDeny, admitted_before, default_deny
from macaroon_cbat.resource.event_loop import admit
from macaroon_cbat.resource.metadata import DecodedPath, metadata_path
from macaroon_cbat.resource.responses import Answer, answer_to, metadata_answer
from macaroon_cbat.resource.settings import GuardSettings, make_admission

with extra("starlette"):
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import HTTPConnection
    from starlette.responses import Response
    from starlette.websockets import WebSocket

_JUDGED = "macaroon_cbat.judged"
_ADMITTED = "macaroon_cbat.admitted"
_ROOT = "macaroon_cbat.root_path"
"""Scope key of the root_path that the application was called with: each Mount below adds to the scope's."""

Requirement = Callable[[HTTPConnection], Awaitable[Principal]]
"""A dependency: takes a request or a WebSocket, and returns its principal or raises RefusedRequest."""


class RefusedRequest(HTTPException):
    """A request that may not pass, with the whole answer to it."""

    def __init__(self, answer: Answer) -> None:
        headers = {name: value for name, value in answer.headers if name != "Content-Type"}
        super().__init__(answer.status, answer.body.decode(), headers)
        self.answer = answer


class Guard:
    """The guard of a Starlette or FastAPI application. It refuses unbound tokens by default."""

    def __init__(self, app: Starlette | None = None, **settings: Unpack[GuardSettings]) -> None:
        """Verify with `keys` (a key file, a KeyFeed or AudienceKeys) or a `verifier`.

        GuardSettings has the other settings. Without `app`, call `init_app(app)` before the application
        starts. Raises SettingsError for unusable settings.
        """
        self._admission = make_admission(settings)
        self._settings = settings
        self._scopes: set[str] = set()
        self._requirements: dict[frozenset[str], Requirement] = {}
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Starlette) -> None:
        """Let this application answer refusals and the metadata document (RFC 9728).

        Raises SettingsError if it has a guard already.
        """
        if hasattr(app.state, "macaroon_cbat"):
            raise SettingsError("this application has a guard already")
        app.state.macaroon_cbat = self
        app.add_exception_handler(RefusedRequest, cast("Any", _answer))  # requests and WebSockets alike
        path = metadata_path(self._admission.verifier.audience)
        deny = default_deny(self._settings, self._admission, path)
        app.add_middleware(_Around, path=path, document=self._document, deny=deny)

    def require(self, scope: str = "") -> Requirement:
        """Return the dependency that returns the Principal of a request with each of these scopes.

        `scope` is empty (any valid token), or one or more scopes with a space between two. The dependency is
        one object for the same scopes, in any order: FastAPI calls it once a request, and
        `dependency_overrides[guard.require("read")]` replaces it.
        """
        scopes = frozenset(scope.split())
        self._scopes.update(scopes)
        return self._requirements.setdefault(scopes, self._requirement(scope))

    def _requirement(self, scope: str) -> Requirement:
        async def principal(connection: HTTPConnection) -> Principal:
            judged: list[Answer] | None = connection.scope.get(_JUDGED)
            if judged is None:
                raise SettingsError("an endpoint is under a guard on which init_app(app) was never called")
            root = connection.scope[_ROOT]
            request = presented(connection.scope, self._admission, root=root)
            try:
                before = admitted_before(connection.scope.get(_ADMITTED), self._admission, request, scope)
                found = before or await admit(self._admission, request, scope)
            except (OAuthError, Unavailable) as error:
                answer = answer_to(error, self._admission, request)
                judged.append(answer)
                raise RefusedRequest(answer) from error
            judged.append(_PASSED)
            return found

        return _documented(principal)

    def _document(self) -> Answer:
        return metadata_answer(self._admission, self._scopes)


_PASSED = Answer(200, (("Cache-Control", "no-store"),), b"")


class _Around:
    """The middleware that answers the metadata document, and completes the headers of judged responses."""

    def __init__(
        self,
        app: Application,
        path: DecodedPath,
        document: Callable[[], Answer],
        deny: DefaultDeny | None,
    ) -> None:
        self._app = app
        self._path = path
        self._document = document
        self._deny = deny

    async def __call__(self, connection: Scope, receive: Receive, send: Send) -> None:
        if is_for(self._path, connection):
            await send_answer(self._document(), connection, send)
            return
        judged: list[Answer] = []
        connection[_JUDGED] = judged
        connection[_ROOT] = connection.get("root_path", "")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and judged:
                message = {**message, "headers": _completed(message, judged[-1])}
            await send(message)

        if self._deny is None or connection["type"] == "lifespan":
            await self._app(connection, receive, sending)
        else:
            await self._denying(self._deny, connection, receive, sending)

    async def _denying(self, deny: DefaultDeny, connection: Scope, receive: Receive, send: Send) -> None:
        connection.pop(_ADMITTED, None)
        request = presented(connection, deny.admission)
        if deny.is_open(request):
            await self._app(connection, receive, send)
            return
        try:
            principal = await admit(deny.admission, request)
        except (OAuthError, Unavailable) as error:
            await send_answer(answer_to(error, deny.admission, request), connection, send)
            return
        connection[_ADMITTED] = Admitted(deny.admission, request, principal)

        def refusal() -> Answer:
            return answer_to(deny.unguarded(request, principal), deny.admission, request)

        await self._app(connection, receive, withholding(send, connection, connection[_JUDGED], refusal))


def _completed(message: Message, answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers of a response, with those that a handler of the application's own left out."""
    headers = list(message.get("headers", ()))
    there = {name.lower() for name, _ in headers}
    for name, value in answer.headers:
        key = name.lower().encode()
        if key not in there and (key == b"cache-control" or message["status"] == answer.status):
            headers.append((key, value.encode("latin-1")))
    return headers


async def _answer(connection: HTTPConnection, error: Exception) -> Response | None:
    assert isinstance(error, RefusedRequest)
    if isinstance(connection, WebSocket):
        await send_answer(error.answer, connection.scope, connection.send)
        return None
    return Response(error.answer.body, error.answer.status, dict(error.answer.headers))


def _documented(requirement: Requirement) -> Requirement:
    """Return the dependency as FastAPI describes it in OpenAPI, where FastAPI is installed."""
    try:
        from macaroon_cbat.resource.fastapi import Documented
    except ImportError:
        return requirement
    return Documented(requirement)
