"""The guard around any ASGI application, for HTTP and WebSockets.

guard = Guard(keys="keys.json")
app = guard.require("read")(app)

The application finds the principal in its scope under PRINCIPAL. A WebSocket is judged at its
handshake, as a GET, and not again while it is open.
"""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Unpack

from macaroon_cbat.certificate.asgi_connection import AsgiConnection
from macaroon_cbat.errors import OAuthError, Unavailable
from macaroon_cbat.macaroon.credential_headers import credentials_in_headers
from macaroon_cbat.macaroon.custom import Judge
from macaroon_cbat.resource.admission import Admission
from macaroon_cbat.resource.asgi_servers import running_server
from macaroon_cbat.resource.default_deny import always_deny
from macaroon_cbat.resource.event_loop import admit
from macaroon_cbat.resource.metadata import DecodedPath, metadata_path
from macaroon_cbat.resource.overrides import overrides_in_headers
from macaroon_cbat.resource.paths import NOT_UTF_8, whole_path
from macaroon_cbat.resource.presented_proof import proof_in
from macaroon_cbat.resource.request import PresentedRequest
from macaroon_cbat.resource.responses import Answer, answer_to, metadata_answer
from macaroon_cbat.resource.settings import GuardSettings, judges_of, make_admission

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

PRINCIPAL = "macaroon_cbat.principal"
"""Scope key of the principal."""

_UNDECODABLE = re.compile("[\ufffd\ud800-\udfff]")
"""The characters that servers put in place of bytes that are not UTF-8."""

_POLICY_VIOLATION = 1008


class Guard:
    """The guard around ASGI applications. It refuses unbound tokens by default."""

    def __init__(self, **settings: Unpack[GuardSettings]) -> None:
        """Verify with `keys` (a key file, a KeyFeed or AudienceKeys) or a `verifier`.

        GuardSettings has the other settings. Raises SettingsError for unusable ones.
        """
        self._judges = judges_of(settings)
        self._admission = make_admission({**settings, "caveats": self._judges}, is_around=True)
        self._path = metadata_path(self._admission.verifier.audience)
        self._deny = always_deny(settings, self._admission, self._path)
        self._scopes: set[str] = set()

    def caveat(self, name: str, judge: Judge, *, blocks: bool = True) -> None:
        """Let this function judge the custom caveats of this name, once all others allow the request.

        It takes the caveat's JSON value and the facts of the request, and returns the reason to refuse it, or
        None. It runs in a thread unless `blocks` is False for every judge. Raises SettingsError for an
        unusable name or judge.
        """
        self._judges.add(name, judge, blocks=blocks)

    def require(self, scope: str = "") -> Callable[[Application], Application]:
        """Return a function that guards an application: each request needs each of these scopes.

        `scope` is empty (any valid token), or one or more scopes with a space between two. Requests for the
        metadata document (RFC 9728) and for public paths need no token.
        """
        self._scopes.update(scope.split())

        def around(app: Application) -> Application:
            async def guarded(connection: Scope, receive: Receive, send: Send) -> None:
                if connection["type"] == "lifespan":
                    await app(connection, receive, send)
                elif is_for(self._path, connection):
                    await self.document(connection, receive, send)
                else:
                    await self._judge(app, scope, connection, receive, send)

            return guarded

        return around

    async def document(self, connection: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 # an ASGI application
        """Answer with the metadata document, wherever the deployer mounts this application."""
        await send_answer(metadata_answer(self._admission, self._scopes), connection, send)

    async def _judge(
        self, app: Application, scope: str, connection: Scope, receive: Receive, send: Send
    ) -> None:
        request = presented(connection, self._admission)
        if self._deny.is_open(request):
            await app({key: connection[key] for key in connection if key != PRINCIPAL}, receive, send)
            return
        try:
            principal = await admit(self._admission, request, scope)
        except (OAuthError, Unavailable) as error:
            await send_answer(answer_to(error, self._admission, request), connection, send)
        else:
            await app({**connection, PRINCIPAL: principal}, receive, uncached(send))


def presented(connection: Scope, admission: Admission, *, root: str | None = None) -> PresentedRequest:
    """Return the request of an `http` or `websocket` scope. Raises RuntimeError for any other type.

    `root` is the root_path with which the request came to the application, where routing below has added to
    the one in the scope.
    """
    if connection["type"] not in ("http", "websocket"):
        raise RuntimeError(f"the guard knows no ASGI scope of type {connection['type']!r}")
    headers = tuple(connection["headers"])
    names = [name.lower() for name, _ in headers]
    authorizations = tuple(
        headers[index][1].decode("latin-1") for index, name in enumerate(names) if name == b"authorization"
    )
    credentials = credentials_in_headers(names, headers)
    client = connection.get("client")
    path, why = _path(connection, root, admission.root_path)
    return PresentedRequest(
        now=admission.now(),
        authorization=authorizations,
        connection=AsgiConnection(connection, running_server),
        method=connection.get("method", "GET"),
        path=path,
        address=(client[0] or None) if client else None,
        why_no_path=why,
        overrides=overrides_in_headers(names, headers),
        credentials=credentials,
        proof=proof_in(connection, credentials) if credentials else None,
    )


def is_for(path: DecodedPath, connection: Scope) -> bool:
    """Return True for a GET or HEAD of this path, below the application's root."""
    if connection["type"] != "http" or connection["method"] not in ("GET", "HEAD"):
        return False
    root: str = connection.get("root_path", "").rstrip("/")
    return bool(connection["path"].removeprefix(root) == path)


async def send_answer(answer: Answer, connection: Scope, send: Send) -> None:
    """Send the answer, or close a WebSocket where the server cannot answer its handshake."""
    kind = "http.response"
    if connection["type"] == "websocket":
        kind = "websocket.http.response"
        if kind not in (connection.get("extensions") or {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
            return
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in answer.headers]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": f"{kind}.start", "status": answer.status, "headers": headers})
    body = b"" if connection.get("method") == "HEAD" else answer.body
    await send({"type": f"{kind}.body", "body": body})


def uncached(send: Send) -> Send:
    """Keep the answer out of shared caches, for it depends on the certificate. An own header stays."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            if not any(name.lower() == b"cache-control" for name, _ in headers):
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await send(message)

    return sending


def _path(connection: Scope, root: str | None, root_path: str) -> tuple[str | None, str | None]:
    """Return the whole path as clients see it, or None and why it is unknown.

    Servers and frameworks that follow ASGI put `root_path` before the path; hypercorn and daphne do not.
    """
    path: str = connection["path"]
    if _UNDECODABLE.search(path):
        return None, NOT_UTF_8
    inner: str = connection.get("root_path", "").rstrip("/")
    outer = inner if root is None else root.rstrip("/")
    if path == inner or path.startswith(inner + "/"):
        path = path.removeprefix(outer)
    elif inner != outer:
        return None, "the path is unknown: it is not below the root_path that routing has made"
    return whole_path("root_path", outer, path, root_path)
