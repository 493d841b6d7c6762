"""The loop as its connections see it, and a connection as the loop sees it.

These Protocols let `connection` be written and read without the loop that owns it.
"""

from typing import Protocol

from macaroon_cbat.server.acceptor import Turns
from macaroon_cbat.server.link import Reactor
from macaroon_cbat.tls.exchange import Exchange
from macaroon_cbat.tls.held_requests import HoldingClient, Holdings
from macaroon_cbat.tls.request import Request
from macaroon_cbat.tls.server_certificate import ServerCertificate
from macaroon_cbat.tls.site import Site


class ServedConnection(HoldingClient, Protocol):
    """One connection, as the loop calls it."""

    def on_response(self) -> None:
        """Send what a thread has made so far."""

    def is_parked(self) -> bool:
        """Return True if no thread makes its response."""

    def on_stop(self) -> None:
        """End, unless a request is under way."""

    def drop(self) -> None:
        """End at once, to make room for another client."""


class Host(Reactor, Protocol):
    """The loop that serves a connection."""

    certificate: ServerCertificate
    site: Site
    holdings: Holdings
    turns: Turns

    def new_request(self) -> Request:
        """Return an empty request within the limits."""

    def submit(self, exchange: Exchange, /) -> None:
        """Have a thread serve this request."""

    def withdraw(self, exchange: Exchange, /) -> None:
        """Have no thread take this request."""

    def post(self, client: ServedConnection, /) -> None:
        """Have the loop look at the response of this client in its next turn; any thread may call it."""

    def forget(self, client: ServedConnection, /) -> None:
        """Leave out a client that is gone."""
