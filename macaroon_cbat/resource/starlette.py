"""The guard of a Starlette or FastAPI application: `Guard(app, keys=...)`, `Depends(guard.require("read"))`.

In Starlette, which has no dependencies, `@guard.endpoint("read")` stands over an endpoint. Where the guard
does not deny by default, an endpoint can also ask it: `principal = await guard.require("read")(request)`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Unpack, cast

from macaroon_cbat.errors import OAuthError, SettingsError, Unavailable
from macaroon_cbat.errors.extras import extra
from macaroon_cbat.macaroon.custom import Judge
from macaroon_cbat.macaroon.verification import Principal
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.asgi import presented, send_answer
from macaroon_cbat.resource.default_deny import Admitted, admitted_before, default_deny
from macaroon_cbat.resource.event_loop import admit
from macaroon_cbat.resource.metadata import metadata_path
from macaroon_cbat.resource.responses import Answer, answer_to, metadata_answer
from macaroon_cbat.resource.settings import GuardSettings, judges_of, make_admission
from macaroon_cbat.resource.starlette_endpoints import Endpoint, Requirement, guarded_endpoint
from macaroon_cbat.resource.starlette_middleware import ADMITTED, JUDGED, PASSED, ROOT, Around, Gate
from macaroon_cbat.resource.starlette_routes import Requirements

with extra("starlette"):
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import HTTPConnection
    from starlette.responses import Response
    from starlette.websockets import WebSocket


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
        self._judges = judges_of(settings)
        self._admission = make_admission({**settings, "caveats": self._judges})
        self._settings = settings
        self._scopes: set[str] = set()
        self._requirements: dict[frozenset[str], Requirement] = {}
        self._under = Requirements(self, self._requirements.values())
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
        app.add_middleware(Around, path=path, document=self._document, deny=deny)
        if deny is not None:  # innermost: no other middleware changes what the gate has judged
            app.user_middleware.append(
                Middleware(
                    Gate,
                    deny=deny,
                    find=partial(self._under.find, app),
                    forgotten=partial(self._under.forgotten, app),
                )
            )

    def caveat(self, name: str, judge: Judge, *, blocks: bool = True) -> None:
        """Let this function judge the custom caveats of this name, once all others allow the request.

        It takes the caveat's JSON value and the facts of the request, and returns the reason to refuse it, or
        None. It runs in a thread unless `blocks` is False for every judge. Raises SettingsError for an
        unusable name or judge.
        """
        self._judges.add(name, judge, blocks=blocks)

    def require(self, scope: str = "") -> Requirement:
        """Return the dependency that returns the Principal of a request with each of these scopes.

        `scope` is empty (any valid token), or one or more scopes with a space between two. The dependency is
        one object for the same scopes, in any order: FastAPI calls it once a request, and
        `dependency_overrides[guard.require("read")]` replaces it.
        """
        scopes = frozenset(scope.split())
        self._scopes.update(scopes)
        return self._requirements.setdefault(scopes, self._requirement(scope))

    def endpoint(self, scope: str = "") -> Callable[[Endpoint], Endpoint]:
        """Return a decorator that runs an endpoint of Starlette's for tokens with each of these scopes alone.

        The endpoint is a function or method that takes a request or a WebSocket last, a class such as
        HTTPEndpoint, or an ASGI application to mount, such as StaticFiles; it finds its Principal as
        `request.state.principal`. Put the decorator outermost: what stands around it is not known to be
        guarded. FastAPI's endpoints take `Depends(guard.require(...))` instead.
        """
        return partial(guarded_endpoint, self, self.require(scope))

    def _requirement(self, scope: str) -> Requirement:
        async def principal(connection: HTTPConnection) -> Principal:
            judged: list[Answer] | None = connection.scope.get(JUDGED)
            if judged is None:
                raise SettingsError("an endpoint is under a guard on which init_app(app) was never called")
            root = connection.scope[ROOT]
            request = presented(connection.scope, self._admission, root=root)
            try:
                before = admitted_before(connection.scope.get(ADMITTED), self._admission, request, scope)
                found = before or await admit(self._admission, request, scope)
                if connection.scope["type"] == "http":  # an open WebSocket may be judged anew
                    connection.scope[ADMITTED] = Admitted(self._admission, request, found)
            except (OAuthError, Unavailable) as error:
                answer = answer_to(error, self._admission, request)
                judged.append(answer)
                raise RefusedRequest(answer) from error
            judged.append(PASSED)
            return found

        return _documented(principal, self._admission)

    def _document(self) -> Answer:
        return metadata_answer(self._admission, self._scopes)


async def _answer(connection: HTTPConnection, error: Exception) -> Response | None:
    assert isinstance(error, RefusedRequest)
    if isinstance(connection, WebSocket):
        await send_answer(error.answer, connection.scope, connection.send)
        return None
    return Response(error.answer.body, error.answer.status, dict(error.answer.headers))


def _documented(requirement: Requirement, admission: Admission) -> Requirement:
    """Return the dependency as FastAPI describes it in OpenAPI, where FastAPI is installed."""
    try:
        from macaroon_cbat.resource.fastapi import Documented
    except ImportError:
        return requirement
    return Documented(requirement, admission)
