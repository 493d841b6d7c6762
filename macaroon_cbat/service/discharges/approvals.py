"""The decisions of people about transactions: each is made once, and redeemed once, by all processes."""

import threading
from collections.abc import Callable
from typing import Literal

import msgspec
from flask import Response
from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.errors import Conflict
from macaroon_cbat.errors.discharges import ConditionNotMet
from macaroon_cbat.files.process_values import PerProcess
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.server.parking import Park
from macaroon_cbat.service.discharges.links import Asked
from macaroon_cbat.service.discharges.waits import Wait, Waits
from macaroon_cbat.service.http.responses import finish
from macaroon_cbat.stores import ExpiringStore

_KIND: Literal["discharge"] = "discharge"
LONGEST_PARKED = 30.0
LONGEST_HELD = 8.0
"""Seconds for which one request waits, parked or in a thread; its client is then sent to wait on."""

PARKED_PLACES = 1000
"""The parked responses of a process that wait for a decision: others that wait need places, too."""


_HOLDER = "people"
"""The holder of these places: half of all at most, however many clients there are."""


class Decision(Struct, frozen=True):
    """The decision of a person about the caveat with this digest."""

    state: Literal["approved", "refused", "redeemed"]
    digest: str
    subject: str
    decided_at: EpochSeconds = EpochSeconds(0)


class Approvals:
    """The decisions in the store, by the secret of the client that waits for one.

    A request that waits for one takes no thread where the server parks its response. Elsewhere at most
    `threads` of a process are blocked at a time, so that others remain.
    """

    def __init__(self, store: ExpiringStore, clock: Callable[[], float], threads: int) -> None:
        """Keep them in this store; `clock` judges whether they have expired."""
        self._store, self._clock, self._threads = store, clock, threads
        self._waits = PerProcess(lambda: Waits(self._decided))

    def decide(
        self,
        secret: str,
        asked: Asked,
        now: EpochSeconds,
        audit: Callable[[], None],
        *,
        is_approved: bool,
    ) -> None:
        """Record the decision of the person. Raises Conflict if there is one already.

        An error of `audit` leaves it undecided, and no client sees a decision before it is audited.
        """
        decision = Decision("approved" if is_approved else "refused", asked.digest, asked.subject, now)
        content = msgspec.json.encode(decision)
        ends_at = asked.expires_at
        if not self._store.add(_KIND, secret, content, expires_at=ends_at, now=now, before_commit=audit):
            raise Conflict("this transaction is decided already: begin anew where you came from")
        self._waits.current().end({secret})

    def find(self, secret: str, now: EpochSeconds) -> Decision | None:
        """Return the decision, or None if the person has not decided yet."""
        content = self._store.find(_KIND, secret, now)
        return None if content is None else msgspec.json.decode(content, type=Decision)

    def redeem(self, secret: str, digest: str, now: EpochSeconds, audit: Callable[[Decision], None]) -> None:
        """Use up the approval of the caveat with this digest, which `audit` is given.

        Raises ConditionNotMet if there is none, or none any more. An error of `audit` uses up nothing.
        """

        def redeemed(content: bytes) -> bytes:
            decision = msgspec.json.decode(content, type=Decision)
            if decision.state != "approved" or decision.digest != digest:
                raise ConditionNotMet(f"the decision is {decision.state}, or is about another caveat")
            audit(decision)
            return msgspec.json.encode(replace(decision, state="redeemed"))

        if self._store.change(_KIND, secret, redeemed, now) is None:
            raise ConditionNotMet("nothing is approved under this secret")

    def park(self, secret: str, address: str | None, response: Response, park: Park) -> bool:
        """Park the response until there is a decision; return False if the server has no place for it.

        `address` is that of the client: no address keeps the places of others.
        """
        waits = self._waits.current()
        wait = Wait(secret, address, lambda: finish(parked, response))

        def on_end() -> None:
            if waits.leave(wait):
                wait.end()

        found = park(LONGEST_PARKED, on_end, _HOLDER)
        if found is None:
            return False
        parked = found
        waits.begin(wait, PARKED_PLACES)
        if parked.is_over:  # the client went before it was noted
            on_end()
        return True

    def await_decision(self, secret: str, address: str | None) -> None:
        """Block this thread until there is a decision; return at once if no thread may be blocked."""
        if self._threads <= 0:
            return
        waits, over = self._waits.current(), threading.Event()
        wait = Wait(secret, address, over.set)
        waits.begin(wait, self._threads)
        try:
            over.wait(LONGEST_HELD)
        finally:
            waits.leave(wait)

    def _decided(self, secrets: set[str]) -> set[str]:
        return self._store.found(_KIND, secrets, EpochSeconds(int(self._clock())))
