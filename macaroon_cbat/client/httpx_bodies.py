"""Bodies of httpx: responses that end a lease, or stay unread, and requests that can be sent again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

from macaroon_cbat.errors.extras import extra

with extra("httpx"):
    import httpx


class LeasedBody(httpx.SyncByteStream):
    """A response body, which ends the lease of its pool."""

    def __init__(self, body: httpx.SyncByteStream, ended: Callable[[], None]) -> None:
        self._body = body
        self._ended = ended

    def __iter__(self) -> Iterator[bytes]:
        """Read the body."""
        return iter(self._body)

    def close(self) -> None:
        """End the body, then the lease."""
        try:
            self._body.close()
        finally:
            self._ended()


class AsyncLeasedBody(httpx.AsyncByteStream):
    """A response body, which ends the lease of its pool."""

    def __init__(self, body: httpx.AsyncByteStream, ended: Callable[[], Awaitable[None]]) -> None:
        self._body = body
        self._ended = ended

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Read the body."""
        return aiter(self._body)

    async def aclose(self) -> None:
        """End the body, then the lease."""
        try:
            await self._body.aclose()
        finally:
            await self._ended()


class UnreadBody(httpx.SyncByteStream):
    """A response body that is closed and not read, for the reader an empty one."""

    def __init__(self, body: httpx.SyncByteStream) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        """Read nothing."""
        return iter(())

    def close(self) -> None:
        """End the body, and with it the connection that it is left on."""
        self._body.close()


class AsyncUnreadBody(httpx.AsyncByteStream):
    """A response body that is closed and not read, for the reader an empty one."""

    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Read nothing."""
        for piece in list[bytes]():
            yield piece

    async def aclose(self) -> None:
        """End the body, and with it the connection that it is left on."""
        await self._body.aclose()


def left_unread(response: httpx.Response) -> httpx.Response:
    """Return the response with its body unread: httpx reads all of it before the next request of an auth.

    The body of a hostile server may have no end.
    """
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = AsyncUnreadBody(response.stream)
    elif isinstance(response.stream, httpx.SyncByteStream):
        response.stream = UnreadBody(response.stream)
    return response


def is_replayable(request: httpx.Request) -> bool:
    """Return True if the body of the request can be sent again."""
    return isinstance(request.stream, httpx.ByteStream)
