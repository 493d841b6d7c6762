"""One request that waits for a revocation, and the rights with which it does."""

import threading
from collections.abc import Mapping

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.server.parking import ParkedResponse
from macaroon_cbat.stores import Client


class Rights(Struct, frozen=True):
    """The facts by which a follower was admitted: once one changes, it must be admitted anew."""

    client: Client
    grant: Grant
    certificate: Thumbprint | None
    expires_at: EpochSeconds

    def may_be_lost(
        self, clients: Mapping[str, Client | None], revoked: Revocations | None, now: EpochSeconds
    ) -> bool:
        """Return True if the token has expired or is among these revocations, or the client was changed.

        `clients` has those that were read anew; the others are as they were.
        """
        client = self.client
        return (
            self.expires_at <= now
            or clients.get(client.client_id, client) != client
            or (revoked is not None and revoked.reason(self.grant, self.certificate) is not None)
        )


class Follower:
    """A request that waits: in a parked response, which may be a stream, or else in a thread."""

    __slots__ = (
        "_body", "_done", "arrived", "beats_at", "beats_every", "is_suspect", "parked",
        "position", "rights", "served", "streams", "view",
    )  # fmt: skip

    def __init__(
        self, rights: Rights, view: str, served: frozenset[str], position: int, arrived: float
    ) -> None:
        """Wait for a revocation of the `served` audiences after `position`; `arrived` is monotonic."""
        self.rights, self.view, self.served = rights, view, served
        self.position, self.arrived = position, arrived
        self.parked: ParkedResponse | None = None
        self.streams = False
        """True if it hears of revocations in the lines of a stream."""
        self.beats_every = self.beats_at = 0.0
        """The seconds between two lines that confirm what was told, and the monotonic time of the next."""
        self.is_suspect = False
        """True if the wait was ended because its rights may be lost."""
        self._body = b""
        self._done: threading.Event | None = None

    def goes_on(self) -> bool:
        """Return True if it waits on after it was told something."""
        return self.streams and not self.is_suspect

    def holds_a_thread(self) -> None:
        """Let `wait` block a thread: nothing parks the response."""
        self._done = threading.Event()

    def end(self, body: bytes) -> None:
        """Let the thread that waits go on with this body."""
        assert self._done is not None
        self._body = body
        self._done.set()

    def wait(self, seconds: float) -> None:
        """Block this thread until the wait is ended, or for so many seconds."""
        assert self._done is not None
        self._done.wait(seconds)

    def ended(self) -> bytes:
        """Return the body that ends the wait, which another thread is about to give."""
        assert self._done is not None
        self._done.wait()
        return self._body
