"""The decisions of people about transactions: each is made once, and redeemed once, by all processes."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.errors import Conflict
from macaroon_cbat.errors.discharges import ConditionNotMet
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.server.stopping import is_stopping
from macaroon_cbat.service.discharges.links import Asked
from macaroon_cbat.service.discharges.waiting_places import WaitingPlaces
from macaroon_cbat.stores import ExpiringStore

_KIND: Literal["discharge"] = "discharge"
_LOOK_SECONDS = 0.2
LONGEST_WAIT = 8.0
"""Seconds for which one request waits; its client is then sent to wait on."""


class Decision(Struct, frozen=True):
    """The decision of a person about the caveat with this digest."""

    state: Literal["approved", "refused", "redeemed"]
    digest: str
    subject: str
    decided_at: EpochSeconds = EpochSeconds(0)


class Approvals:
    """The decisions in the store, by the secret of the client that waits for one.

    At most `waiters` requests of a process wait at a time, so that threads remain for others.
    """

    def __init__(self, store: ExpiringStore, waiters: int) -> None:
        """Keep them in this store."""
        self._store = store
        self._places = WaitingPlaces(waiters)

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

    def await_decision(
        self, secret: str, clock: Callable[[], float], environ: Mapping[str, Any], address: str | None
    ) -> Decision | None:
        """Return the decision, after a wait for it; None if there is none yet.

        `address` is that of the client: no address keeps the places of others.
        """
        decision = self.find(secret, EpochSeconds(int(clock())))
        if decision is not None:
            return decision
        with self._places.one_for(address) as place:
            ends_at = time.monotonic() + LONGEST_WAIT
            while place and decision is None and time.monotonic() < ends_at and not is_stopping(environ):
                is_over = place.wait(_LOOK_SECONDS)
                decision = self.find(secret, EpochSeconds(int(clock())))
                if is_over:
                    break
        return decision
