"""One request that is being received: header, then body, each within its limit, all in memory."""

from io import BytesIO

from macaroon_cbat.tls.request_body import ChunkedBody, SizedBody
from macaroon_cbat.tls.request_head import RequestHead, UnusableRequest, has_bare_line_feed, read_head

MAX_BLANK_BYTES = 32
"""Line ends before a request (RFC 9112 2.2): a careless client sends one or two."""

_END = b"\r\n\r\n"
_COPIES = 2
_FIELD_BYTES = 128
"""Measured: the target is kept as a whole and in parts, and each field is two strings in a dictionary."""


class Request:
    """A request that takes bytes until it is `completed`.

    Nothing here goes to a file, and `held_bytes` is what it takes up.
    """

    def __init__(self, header_bytes: int, body_bytes: int) -> None:
        """Receive a header and a body of so many bytes at most."""
        self.completed = False
        self.owes_continue = False
        self._header_bytes, self._body_bytes = header_bytes, body_bytes
        self._head = bytearray()
        self._read_head_bytes = 0
        self._blank_bytes = 0
        self._body: SizedBody | ChunkedBody | None = None
        self._content = b""
        self.headers: dict[str, str] = {}

    def received(self, data: bytes) -> int:
        """Take the bytes of this request and return how many they were, or raise UnusableRequest."""
        at = 0 if self._body is not None else self._receive_head(data)
        if self._body is not None:
            at = self._body.received(data, at)
            if self._body.is_complete:
                self._complete(bytes(self._body.content))
        return at

    def held_bytes(self) -> int:
        """Return how many bytes of the client are kept for this request."""
        body_bytes = len(self._content) if self._body is None else self._body.held_bytes()
        return len(self._head) + self._read_head_bytes + body_bytes

    def _receive_head(self, data: bytes) -> int:
        head, before = self._head, len(self._head)
        head += data
        blank = self._skip_blank_lines()
        found = head.find(_END, max(0, before - blank - len(_END) + 1))
        if (found if found >= 0 else len(head)) > self._header_bytes:
            raise UnusableRequest(431)
        if found < 0:
            if has_bare_line_feed(head, max(0, before - blank)):
                raise UnusableRequest(400)
            return len(data)
        self._begin(read_head(bytes(head[:found])))
        self._read_head_bytes = _COPIES * found + _FIELD_BYTES * len(self.headers)
        head.clear()
        return blank + found + len(_END) - before

    def _skip_blank_lines(self) -> int:
        """Remove line ends before the request line; return how many bytes they were."""
        head, blank = self._head, 0
        while head.startswith(b"\r\n", blank):
            blank += 2
        self._blank_bytes += blank
        if self._blank_bytes > MAX_BLANK_BYTES:
            raise UnusableRequest(400)
        del head[:blank]
        return blank

    def _begin(self, head: RequestHead) -> None:
        length = head.length
        self._body = ChunkedBody(self._body_bytes) if length is None else SizedBody(length, self._body_bytes)
        self.version, self.command = head.version, head.method
        self.path, self.query, self.request_uri = head.path, head.query, head.target
        self.headers = head.fields
        expects = self.headers.get("EXPECT", "").lower() == "100-continue"
        self.owes_continue = expects and self.version == "1.1" and not self._body.is_complete

    def _complete(self, content: bytes) -> None:
        self._content = content
        self._body = None
        self.completed = True
        if self.headers.pop("TRANSFER_ENCODING", None) is not None:
            # The application gets the content, whose length is known by now.
            self.headers["CONTENT_LENGTH"] = str(len(content))

    def keeps_alive(self) -> bool:
        """Return True if the client may use its connection again (RFC 9112 9.3)."""
        options = {option.strip(" \t").lower() for option in self.headers.get("CONNECTION", "").split(",")}
        return "close" not in options and (self.version == "1.1" or "keep-alive" in options)

    def get_body_stream(self) -> BytesIO:
        """Return the body as a file."""
        return BytesIO(self._content)

    def close(self) -> None:
        """Release what the client sent."""
        self._content = b""
        self._body = None
        self._head.clear()
        self._read_head_bytes = 0
        self.headers = {}
        self.path = self.query = self.request_uri = ""
