"""A response that leaves an ASGI application only if the guard judged the request for its endpoint.

Starlette's endpoints ask the guard themselves, and FastAPI's through a dependency, so that none can be known
before it runs. An endpoint that did not ask has run when its response is withheld, for a valid token alone.
"""

from collections.abc import Awaitable, Callable, Sequence

from macaroon_cbat.resource.asgi import Message, Scope, Send, send_answer
from macaroon_cbat.resource.responses import Answer

_WITHOUT_ENDPOINT = frozenset({307, 404, 405})
"""Answers of the router itself, which knows no endpoint for the request."""

_HARMLESS = frozenset({"websocket.close", "http.response.debug"})
"""Messages that carry nothing of an endpoint's to the client; the second is for test clients."""


def withholding(
    send: Send, connection: Scope, judged: Sequence[Answer], refusal: Callable[[], Answer]
) -> Callable[[Message], Awaitable[None]]:
    """Return what sends the messages of a response, or `refusal()` in their place if nothing is `judged`."""
    is_withheld = False

    async def sending(message: Message) -> None:
        nonlocal is_withheld
        if is_withheld:
            return
        if judged or message["type"] in _HARMLESS or _is_the_router_s(message, connection):
            await send(message)
            return
        is_withheld = True
        await send_answer(refusal(), connection, send)

    return sending


def _is_the_router_s(message: Message, connection: Scope) -> bool:
    """Return True for an answer to a request that no route took, and for what follows its start."""
    if message["type"] == "http.response.start" and message["status"] in _WITHOUT_ENDPOINT:
        connection[_ROUTED] = "endpoint" not in connection
    return connection.get(_ROUTED, False) is True


_ROUTED = "macaroon_cbat.no_route"
