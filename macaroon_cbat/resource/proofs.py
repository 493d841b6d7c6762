"""The rules of a guard for DPoP proofs (RFC 9449 4.3, 7), the same in every framework."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec import Struct, field

from macaroon_cbat.errors import InvalidDpopProof, Unavailable, UseDpopNonce
from macaroon_cbat.errors.dpop import NonceRequired, ProofRefused
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW
from macaroon_cbat.macaroon.custom import Judge
from macaroon_cbat.macaroon.dpop_nonces import DpopNonces
from macaroon_cbat.macaroon.dpop_proof import DpopProof, ProvedRequest, read_proof, verify_proof
from macaroon_cbat.resource.blocking import MustBlock, about_to_block, announces_blocking
from macaroon_cbat.resource.presented_proof import PresentedProof
from macaroon_cbat.resource.used_proofs import RememberedProofs, UsedProofs


class ProofRules(Struct, frozen=True):
    """The nonces that proofs must have, if any, and the memory of those that were used."""

    nonces: DpopNonces | None = None
    used: UsedProofs = field(default_factory=RememberedProofs)

    def prove(self, proof: DpopProof, presented: PresentedProof, access: Access, token: str) -> None:
        """Return if the proof holds for this request and is used for the first time.

        Call this once the token stands, so that no other client costs a signature or a place in memory.
        Raises ProofRefused, NonceRequired, or Unavailable if it cannot be told whether it was used.
        """
        request = ProvedRequest(
            now=access.now,
            clock_skew=access.clock_skew,
            method=access.method,
            targets=() if access.target is None else (access.target,),
            token=token,
        )
        try:
            verify_proof(proof, request, self.nonces)
        except UseDpopNonce as error:
            raise NonceRequired(error.nonce) from error
        except InvalidDpopProof as error:
            refused = ProofRefused(str(error))
            refused.told = error.told
            raise refused from error
        if presented.is_used:
            return
        if not self._is_new(proof, access):
            raise ProofRefused("the DPoP proof was used before: make one for each request")
        presented.is_used = True

    def _is_new(self, proof: DpopProof, access: Access) -> bool:
        """Return True, once, for a proof; every error of the memory is Unavailable."""
        if not announces_blocking(self.used):
            about_to_block()
        until = proof.usable_until(LONGEST_CLOCK_SKEW)  # a reload, or a guard that shares it, may allow more
        try:
            found: object = self.used.add(proof.use_name(), until, access.now)
        except (Unavailable, MustBlock):
            raise
        except Exception as error:
            raise Unavailable(f"the memory of used proofs failed: {type(error).__name__}: {error}") from error
        if isinstance(found, bool):
            return found
        raise Unavailable(  # a coroutine, for one, is true
            f"the memory of used proofs returned {type(found).__name__}: let add return True or False"
        )


def claimed_proof(presented: PresentedProof | None) -> DpopProof:
    """Return the proof of a request with the scheme DPoP, which nothing has verified yet.

    Raises ProofRefused.
    """
    if presented is None:
        raise ProofRefused("the DPoP header is missing beside the scheme DPoP: send a proof in it")
    try:
        return read_proof(presented.values)
    except InvalidDpopProof as error:
        raise ProofRefused(str(error)) from error


@dataclass(slots=True, repr=False)  # no token in a traceback
class Proving:
    """The proving of one request by its claimed proof: one signature, however often it is asked."""

    rules: ProofRules
    proof: DpopProof
    presented: PresentedProof
    access: Access
    token: str
    _is_proved: bool = False

    def prove(self) -> None:
        """Return if the proof holds; raises as `ProofRules.prove` does."""
        if not self._is_proved:
            self.rules.prove(self.proof, self.presented, self.access, self.token)
            self._is_proved = True

    def before(self, judges: Mapping[str, Judge]) -> Mapping[str, Judge]:
        """Return the judges of custom caveats, each asked once the proof is known to hold.

        A judge may count what it allows. A token that was stolen without its key is not to reach it, nor the
        request that comes once more with a nonce.
        """
        return {name: partial(self._judge, judge) for name, judge in judges.items()}

    def _judge(self, judge: Judge, value: Any, access: Access) -> str | None:
        self.prove()
        return judge(value, access)
