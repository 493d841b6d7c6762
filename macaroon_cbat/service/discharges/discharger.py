"""The discharger: reads what a third-party caveat asks, has it checked, and mints the discharge."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from msgspec import Struct

from macaroon_cbat.errors.discharges import ConditionNotMet, InteractionRequired
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.json_form import json_of
from macaroon_cbat.macaroon.minting import mint_discharge
from macaroon_cbat.macaroon.sealed_caveats import CaveatRequest
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service.audit import write_done
from macaroon_cbat.service.discharges.approvals import Approvals, Decision
from macaroon_cbat.service.discharges.conditions import Approval, Condition, Membership, read_condition
from macaroon_cbat.service.discharges.keys import DischargeKeys
from macaroon_cbat.service.discharges.links import Links
from macaroon_cbat.service.discharges.shapes import APPROVE_PATH, WAIT_PATH, Wanted
from macaroon_cbat.service.metrics import count_discharged
from macaroon_cbat.service.oauth2.owner_rights import reason_of_end
from macaroon_cbat.stores import Client, RevocationStore

LIFETIME = 120
"""Seconds for which a discharge is valid: it is bound and sent at once."""


class _Confirmed(Struct, frozen=True):
    """A confirmed condition, by the attributes that its discharge may declare."""

    subject: str = ""
    client: str = ""

    def declared(self, names: Iterable[str]) -> list[str]:
        """Return a condition for each attribute that is wanted; it is empty if it is not known here."""
        known = {"subject": self.subject, "client": self.client}
        return [f"declared {name} {known.get(name, '')}" for name in names]


@dataclass(frozen=True, slots=True)
class Discharger:
    """The rules of one service. `approvals` is None where no person can sign in."""

    issuer: str
    keys: DischargeKeys
    approvals: Approvals | None
    revocations: RevocationStore

    def discharge(self, wanted: Wanted, caller: Callable[[], Client], now: EpochSeconds) -> dict[str, object]:
        """Return the discharge of a caveat, as the bakery's clients read it; `caller` is the known client.

        Raises UnreadableCaveat, UnknownCondition, InteractionRequired, ConditionNotMet, what `caller`
        raises, and Unavailable if the discharge cannot be written to the audit log.
        """
        request = self.keys.opened(wanted.caveat)
        condition = read_condition(request.condition)
        if isinstance(condition.check, Membership):
            confirmed = self._member(condition.check, request, caller())
        else:
            confirmed = self._approved(condition.check, request, wanted, now)
        count_discharged("is-member-of" if isinstance(condition.check, Membership) else "user-approves")
        return self._minted(request, condition, wanted, confirmed, now)

    def _member(self, check: Membership, request: CaveatRequest, client: Client) -> _Confirmed:
        if check.groups.isdisjoint(client.metadata.groups):
            raise ConditionNotMet(f"{client.client_id} is in none of {' '.join(sorted(check.groups))}")
        write_done("discharge.minted", client_id=client.client_id, reason=request.condition)
        return _Confirmed(client=client.client_id)

    def _approved(
        self, check: Approval, request: CaveatRequest, wanted: Wanted, now: EpochSeconds
    ) -> _Confirmed:
        """Return the confirmation by a person, for the secret of an approval.

        Raises InteractionRequired without a secret.
        """
        if self.approvals is None:
            raise ConditionNotMet("no person can sign in at this service: set an upstream provider")
        digest = sha256(wanted.caveat).hexdigest()
        if wanted.secret is None:
            link, secret = Links(self.keys).ask(digest, check.subject, check.text, now)
            raise InteractionRequired(
                f"{self.issuer}{APPROVE_PATH}?asked={link}", f"{self.issuer}{WAIT_PATH}?secret={secret}"
            )

        def audit(decision: Decision) -> None:
            write_done("discharge.minted", subject=decision.subject, reason=request.condition)

        self._refuse_ended(self.approvals.find(wanted.secret, now))
        self.approvals.redeem(wanted.secret, digest, now, audit)
        return _Confirmed(subject=check.subject)

    def _refuse_ended(self, decision: Decision | None) -> None:
        """Raise ConditionNotMet if the tokens of the person were revoked since: so are all approvals."""
        if decision is not None and (
            reason := reason_of_end(self.revocations, decision.subject, decision.subject, decision.decided_at)
        ):
            raise ConditionNotMet(f"the approval of {decision.subject} has ended: {reason}")

    def _minted(
        self,
        request: CaveatRequest,
        condition: Condition,
        wanted: Wanted,
        confirmed: _Confirmed,
        now: EpochSeconds,
    ) -> dict[str, object]:
        ends_at = datetime.fromtimestamp(now + LIFETIME, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        words = [f"time-before {ends_at}", *confirmed.declared(condition.declares)]
        text = mint_discharge(
            self.issuer,
            request.caveat_key,
            wanted.identifier,
            conditions=[request.prefix + word for word in words],
        )
        macaroon = json_of(read_macaroon(text))
        if request.version < 3:
            return {"Macaroon": macaroon}
        return {"Macaroon": {"m": macaroon, "v": 3, "ns": f"std:{request.prefix.rstrip(':')}"}}
