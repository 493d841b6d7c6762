"""The two middlewares of a guarded Starlette application: around it, and at the gate to its endpoints."""

import logging
from collections.abc import Callable, Iterable

from macaroon_cbat.errors import OAuthError, Unavailable
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
from macaroon_cbat.resource.default_deny import Admitted, DefaultDeny
from macaroon_cbat.resource.event_loop import admit
from macaroon_cbat.resource.metadata import DecodedPath
from macaroon_cbat.resource.responses import Answer, answer_to
from macaroon_cbat.resource.starlette_routes import Found

log = logging.getLogger("macaroon_cbat.resource")

JUDGED = "macaroon_cbat.judged"
ADMITTED = "macaroon_cbat.admitted"
ROOT = "macaroon_cbat.root_path"
"""Scope key of the root_path that the application was called with: each Mount below adds to the scope's."""

_WITHOUT_ENDPOINT = frozenset({307, 404, 405})
"""Answers of a router that knows no endpoint for the request."""

PASSED = Answer(200, (("Cache-Control", "no-store"),), b"")


class Around:
    """The middleware that answers the metadata document, and completes the headers of judged responses."""

    def __init__(
        self,
        app: Application,
        path: DecodedPath,
        document: Callable[[], Answer],
        deny: DefaultDeny | None,
    ) -> None:
        """Stand around `app`; with `deny`, ask for a valid token first."""
        self._app = app
        self._path = path
        self._document = document
        self._deny = deny

    async def __call__(self, connection: Scope, receive: Receive, send: Send) -> None:
        """Answer the document, refuse the request, or call the application."""
        if is_for(self._path, connection):
            await send_answer(self._document(), connection, send)
            return
        judged: list[Answer] = []
        connection[JUDGED] = judged
        connection[ROOT] = connection.get("root_path", "")

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and judged:
                message = {**message, "headers": _completed(message, judged[-1])}
            await send(message)

        if self._deny is None or connection["type"] == "lifespan":
            await self._app(connection, receive, sending)
        else:
            await self._denying(self._deny, connection, receive, sending)

    async def _denying(self, deny: DefaultDeny, connection: Scope, receive: Receive, send: Send) -> None:
        connection.pop(ADMITTED, None)
        request = presented(connection, deny.admission)
        if deny.is_open(request):
            await self._app(connection, receive, send)
            return
        try:
            principal = await admit(deny.admission, request)
        except (OAuthError, Unavailable) as error:
            await send_answer(answer_to(error, deny.admission, request), connection, send)
            return
        connection[ADMITTED] = Admitted(deny.admission, request, principal)

        def refusal() -> Answer:
            return answer_to(deny.unguarded(request, principal), deny.admission, request)

        await self._app(connection, receive, withholding(send, connection, connection[JUDGED], refusal))


class Gate:
    """The middleware next to the router, which lets no request reach an endpoint that forgot the guard."""

    def __init__(
        self,
        app: Application,
        deny: DefaultDeny,
        find: Callable[[Scope], Found],
        forgotten: Callable[[], Iterable[str]],
    ) -> None:
        """Stand before `app`.

        `find` tells what the router will do with a request, and `forgotten` which paths it serves in vain.
        """
        self._app = app
        self._deny = deny
        self._find = find
        self._forgotten = forgotten

    async def __call__(self, connection: Scope, receive: Receive, send: Send) -> None:
        """Call the application, or refuse the request."""
        if connection["type"] == "lifespan":
            self._warn()
            await self._app(connection, receive, send)
            return
        admitted = connection.get(ADMITTED)
        if admitted is None and self._is_open(connection):
            await self._app(connection, receive, send)
            return
        judged: list[Answer] = connection.get(JUDGED, [])
        found = self._find(connection)
        if found is Found.OVERRIDDEN and admitted is not None:
            judged.append(PASSED)
        elif found is Found.NO_ENDPOINT:
            send = _of_the_router(send, judged)
        elif found is not Found.REQUIRED:
            await self._refuse(connection, send, admitted, judged)
            return
        await self._app(connection, receive, send)

    def _warn(self) -> None:
        """Log the endpoints that are there at the start and that no request reaches."""
        paths = [path for path in self._forgotten() if not self._deny.public.has(path)]
        if paths:
            log.warning(
                "refused to every token are %s, neither under require(...) nor public: put each endpoint "
                "under Depends(guard.require(...)) or guard.endpoint(...), or name its path in public",
                ", ".join(dict.fromkeys(paths)),
            )

    def _is_open(self, connection: Scope) -> bool:
        """Return True if the path is public still: a middleware before the gate may have changed it."""
        return self._deny.is_open(presented(connection, self._deny.admission, root=connection.get(ROOT)))

    async def _refuse(
        self, connection: Scope, send: Send, admitted: Admitted | None, judged: list[Answer]
    ) -> None:
        admission = self._deny.admission
        request = presented(connection, admission, root=connection.get(ROOT))
        error = self._deny.unguarded(request, None if admitted is None else admitted.principal)
        judged.append(answer_to(error, admission, request))
        await send_answer(judged[-1], connection, send)


def _of_the_router(send: Send, judged: list[Answer]) -> Send:
    """Return what lets an answer through that a router gives by itself."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in _WITHOUT_ENDPOINT:
            judged.append(PASSED)
        await send(message)

    return sending


def _completed(message: Message, answer: Answer) -> list[tuple[bytes, bytes]]:
    """Return the headers of a response, with those that a handler of the application's own left out."""
    headers = list(message.get("headers", ()))
    there = {name.lower() for name, _ in headers}
    for name, value in answer.headers:
        key = name.lower().encode()
        if key not in there and (key == b"cache-control" or message["status"] == answer.status):
            headers.append((key, value.encode("latin-1")))
    return headers
