"""A response that leaves an ASGI application only if the guard judged the request for its endpoint.

This is the second line: `starlette_middleware.Gate` refuses a forgotten endpoint before it runs. A middleware
behind the guard, or within a mounted application, can still answer a request by itself.
"""

from collections.abc import Awaitable, Callable, Collection

from macaroon_cbat.resource.asgi import Message, Scope, Send, send_answer
from macaroon_cbat.resource.responses import Answer

_HARMLESS = frozenset({"websocket.close", "http.response.debug"})
"""Messages that carry nothing of an endpoint's to the client; the second is for test clients."""


def withholding(
    send: Send, connection: Scope, judged: Collection[Answer], refusal: Callable[[], Answer]
) -> Callable[[Message], Awaitable[None]]:
    """Return what sends the messages of a response, or `refusal()` in their place if nothing is `judged`."""
    is_withheld = False

    async def sending(message: Message) -> None:
        nonlocal is_withheld
        if is_withheld:
            return
        if judged or message["type"] in _HARMLESS:
            await send(message)
            return
        is_withheld = True
        await send_answer(refusal(), connection, send)

    return sending
