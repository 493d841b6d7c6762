"""The session of a connection over a Unix socket: the proxy at its other end has terminated TLS.

It shows no certificate. Which one the proxy's client presented, the proxy tells in a header, and whether it
may is the application's to judge (`Forwarded`).
"""

from macaroon_cbat.tls.session import Shown


class PlainSession:
    """A session in the shape of `Session` that changes no byte."""

    __slots__ = ()

    established, ended = True, False
    shown: Shown = None, ()

    def receive(self, data: bytes) -> bytes:
        """Return the bytes as they came."""
        return data

    def encrypt(self, plaintext: bytes) -> bytes:
        """Return the bytes as they go out."""
        return plaintext

    def take_output(self) -> bytes:
        """Return nothing: there is no handshake."""
        return b""

    def close(self) -> bytes:
        """Return nothing: there is no goodbye."""
        return b""

    def held_bytes(self) -> int:
        """Return nothing beyond an ordinary connection."""
        return 0
