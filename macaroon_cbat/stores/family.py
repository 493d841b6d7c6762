"""The values of a refresh family: its grant, its state, and the outcome of a rotation."""

from typing import Literal, NamedTuple

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.macaroon.identifier import Actor
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint


class Granted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most that the access tokens of a family allow, as it was granted when the family began."""

    scope: str
    audience: str | tuple[str, ...] | None = None
    certificate: Thumbprint | None = None
    """The certificate to which a public client's refresh tokens are bound (RFC 8705 4)."""
    proof_key: KeyThumbprint | None = None
    """The key of the DPoP proofs to which a public client's refresh tokens are bound (RFC 9449 5)."""
    actor: Actor | None = None
    label: str | None = None
    """The name that client or subject gave the family, for lists."""


class Family(Struct, frozen=True, kw_only=True):
    """A live family. `token_id` names its current refresh token, and `previous_id` the one before it."""

    family: str
    client_id: str
    subject: str
    granted: Granted
    token_id: str
    previous_id: str | None
    created_at: EpochSeconds
    rotated_at: EpochSeconds
    expires_at: EpochSeconds

    def was_just_replaced(self, token_id: str, now: EpochSeconds, grace: int) -> bool:
        """Return True for the token before the current one within the grace, in seconds.

        The clock that rotated it may be ahead of this one a little. After a clock was set back by more, no
        one can tell how long ago that was, so the token counts as one of long ago.
        """
        age = now - self.rotated_at
        return token_id == self.previous_id and grace > 0 and -LONGEST_CLOCK_SKEW <= age < grace


class Rotation(NamedTuple):
    """The outcome of a rotation, and the family after it.

    `repeated`: the token was replaced just now, and the family stays as it was. `replayed`: the token was
    replaced before, and the family has ended by that. `gone`: there is no such family.
    """

    outcome: Literal["rotated", "repeated", "replayed", "gone"]
    family: Family | None


Place = tuple[int, str]
"""The place of a family in lists: the second in which it began, and its name."""
