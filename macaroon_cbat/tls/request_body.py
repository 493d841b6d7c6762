"""The two framings of a request's body: so many bytes, or chunks (RFC 9112 6.2, 7.1). Pure, all bounded."""

import re

from macaroon_cbat.tls.request_head import UnusableRequest

_LINE_BYTES = 1024
_TRAILER_BYTES = 8192
_FREE_FRAMING_BYTES = 1 << 16
_FRAMING_SHARE = 4
"""The framing of chunks may come to a quarter of their content: one byte a chunk is work without use."""

_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[\t -~\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}:[\t -~\x80-\xff]*")


class SizedBody:
    """A body whose length was declared."""

    def __init__(self, length: int, limit: int) -> None:
        """Expect so many bytes, or raise UnusableRequest for more than the limit."""
        if length > limit:
            raise UnusableRequest(413)
        self.content = bytearray()
        self.is_complete = length == 0
        self._length = length

    def received(self, data: bytes, at: int) -> int:
        """Take what belongs to the body from there on, and return where it ends."""
        end = min(len(data), at + self._length - len(self.content))
        self.content += data[at:end]
        self.is_complete = len(self.content) == self._length
        return end

    def held_bytes(self) -> int:
        """Return how much of it is in memory."""
        return len(self.content)


class ChunkedBody:
    """A body in chunks. Extensions are skipped, and trailers too: they never become header fields."""

    def __init__(self, limit: int) -> None:
        """Accept a content of so many bytes at most."""
        self.content = bytearray()
        self.is_complete = False
        self._limit = limit
        self._line = bytearray()
        self._remaining = 0
        self._framing_bytes = 0
        self._trailer_bytes = 0
        # Not a bound method: a cycle would keep a refused body in memory until the garbage is collected.
        self._read_line = ChunkedBody._on_size

    def received(self, data: bytes, at: int) -> int:
        """Take what belongs to the body from there on, return where it ends, or raise UnusableRequest."""
        while at < len(data) and not self.is_complete:
            if self._remaining:
                end = min(len(data), at + self._remaining)
                self.content += data[at:end]
                self._remaining -= end - at
                at = end
            else:
                at = self._take_line(data, at)
        return at

    def held_bytes(self) -> int:
        """Return how much of it is in memory."""
        return len(self.content) + len(self._line)

    def _take_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at, at + _LINE_BYTES)
        piece = data[at : end + 1] if end >= 0 else data[at : at + _LINE_BYTES]
        self._line += piece
        self._framing_bytes += len(piece)
        if self._framing_bytes > _FREE_FRAMING_BYTES + len(self.content) // _FRAMING_SHARE:
            raise UnusableRequest(413)
        if len(self._line) > _LINE_BYTES or (end >= 0 and not self._line.endswith(b"\r\n")):
            raise UnusableRequest(400)
        if end >= 0:
            line = bytes(self._line[:-2])
            self._line.clear()
            self._read_line(self, line)
        return at + len(piece)

    def _on_size(self, line: bytes) -> None:
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise UnusableRequest(400)
        self._remaining = int(found[1], 16)
        if len(self.content) + self._remaining > self._limit:
            raise UnusableRequest(413)
        self._read_line = ChunkedBody._on_chunk_end if self._remaining else ChunkedBody._on_trailer

    def _on_chunk_end(self, line: bytes) -> None:
        if line:
            raise UnusableRequest(400)
        self._read_line = ChunkedBody._on_size

    def _on_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if not line:
            self.is_complete = True
        elif self._trailer_bytes > _TRAILER_BYTES or not _TRAILER.fullmatch(line):
            raise UnusableRequest(400)
