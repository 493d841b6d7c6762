"""Distinct children of one token, as holders make them just in time: the same request never comes twice."""

import time
from collections.abc import Callable
from itertools import cycle

from macaroon_cbat.client import attenuate
from macaroon_cbat.macaroon.caveats import Expiry

COUNT = 2_000


def children(parent: str) -> list[str]:
    """Return so many children, each with an expiry of its own."""
    now = int(time.time())
    return [attenuate(parent, [Expiry(now + 600 + number)]) for number in range(COUNT)]


def in_turn(requests: list[bytes]) -> Callable[[int], bytes]:
    """Return a function that gives each of the requests in turn, whichever connection asks."""
    turns = cycle(requests)
    return lambda _: next(turns)
