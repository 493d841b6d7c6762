"""The scopes of registered clients, as the metadata list them (RFC 8414 2)."""

import time
from collections.abc import Callable
from contextlib import suppress

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.service.reserved_scopes import RESERVED_SCOPES
from macaroon_cbat.stores import ClientStore

MEMORY_SECONDS = 60.0
"""Seconds between two queries of the database, at least: an attacker may request the metadata without end."""


class RegisteredScopes:
    """The scopes for resource servers, without those of the service itself."""

    def __init__(self, clients: ClientStore, monotonic: Callable[[], float] = time.monotonic) -> None:
        """List the scopes of these clients."""
        self._clients = clients
        self._monotonic = monotonic
        self._names: frozenset[str] = frozenset()
        self._look_again_at = 0.0

    def current(self) -> frozenset[str]:
        """Return the scopes, at most MEMORY_SECONDS old, or older while the database is out of reach."""
        if self._monotonic() >= self._look_again_at:
            self._look_again_at = self._monotonic() + MEMORY_SECONDS
            with suppress(Unavailable):
                scopes = [client.metadata.scopes for client in self._clients.all()]
                self._names = frozenset().union(*scopes) - set(RESERVED_SCOPES)
        return self._names
