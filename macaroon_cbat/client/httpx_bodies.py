"""Bodies of httpx: responses that end the lease of a connection pool, and requests that can be sent again."""

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


def is_replayable(request: httpx.Request) -> bool:
    """Return True if the body of the request can be sent again."""
    return isinstance(request.stream, httpx.ByteStream)
