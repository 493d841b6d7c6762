"""One TLS connection under `http.client`, which keeps the deadline of each exchange."""

import io
import ssl
from http.client import HTTPException, HTTPSConnection
from typing import Any

from macaroon_cbat.client.sockets import Deadline


class _Reader(io.RawIOBase):
    """The bytes that a line's peer sends."""

    def __init__(self, line: "Line") -> None:
        self.line = line
        self.received = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.received

    def readinto(self, buffer: Any) -> int:
        self.line.tls.settimeout(self.line.deadline.left())
        size = self.line.tls.recv_into(buffer)
        self.received += size
        if self.received > self.line.most:
            # http.client reads a chunk of negative size, and trailers, without end.
            raise HTTPException(f"more than {self.line.most} bytes with its framing")
        return size


class _AnswerReader(io.BufferedReader):
    """The bytes of one answer. What its peer sent beyond the answer ends with this buffer, unseen."""

    raw: _Reader

    def close(self) -> None:
        if not self.closed and self.tell() != self.raw.received:
            self.raw.line.has_surplus = True
        super().close()


class Secured(ssl.SSLSocket):
    """A TLS socket that closes itself: `ssl` drops one that its peer reset before the handshake."""

    def __del__(self) -> None:
        """Close it."""
        self.close()


class Line:
    """One TLS connection, in the place of a socket under `http.client`: it keeps the exchange's deadline."""

    def __init__(self, place: str, tls: ssl.SSLSocket, http: HTTPSConnection, deadline: Deadline) -> None:
        self.place, self.tls, self.http, self.deadline = place, tls, http, deadline
        self.most = 0
        """The bytes of an answer at most, its header and framing included."""
        self.has_surplus = False
        """True if more than the answer was read: the rest of it may still be on its way."""
        http.sock = self  # http.client calls sendall, makefile and close, nothing else

    def sendall(self, data: bytes) -> None:
        """Send a request, or a part of it. Raises OSError."""
        self.tls.settimeout(self.deadline.left())
        self.tls.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the bytes of the answer; `http.client` closes them where the answer ends."""
        return _AnswerReader(_Reader(self))

    def close(self) -> None:
        """Leave the connection open: `http.client` calls this before the answer is read."""

    def end(self) -> None:
        """Close the connection."""
        self.tls.close()

    def is_quiet(self) -> bool:
        """Return True if the peer has neither closed the connection nor sent anything unasked."""
        self.tls.settimeout(0)
        try:
            self.tls.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False
