"""Revocations as a value: of tokens, clients, subjects, families, keys, certificates, or all tokens."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds, Seconds
from macaroon_cbat.macaroon.identifier import Grant, NonEmpty

RevocationKind = Literal["token", "client", "subject", "family", "key", "certificate", "all"]
"""The kind of name that is revoked: `jti`, `client_id`, `sub`, `fam`, `kid`, `x5t#S256`, or EVERY_TOKEN."""

EVERY_TOKEN = "tokens"
"""The one value of the kind `all`: every token so far of the service, also of unknown clients and keys."""

KEPT_LONGER_SECONDS = LONGEST_CLOCK_SKEW + 60
"""Seconds after `expires_at` for which a decision is kept.

`expires_at` allows for a resource server that accepts tokens LONGEST_CLOCK_SKEW seconds after they expire.
Its clock may also be that much behind the clock of the service, be set back by that much, or advance while
the resource server judges a request.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindOfRevocation:
    """The meaning of one kind of revocation."""

    claim: str | None
    """The member of Grant that has the name; None for a certificate's thumbprint, and for EVERY_TOKEN."""
    audited_as: str
    """The member of an audit event that has the name."""
    is_up_to: bool = False
    """True if later tokens of the same name are valid: only those issued up to `revoked_at` are revoked."""
    outlives_tokens: bool = False
    """True if new tokens can have the name for ever, so that a revocation must not expire."""
    is_listed: bool = True
    """True if the service can tell whether the name exists."""


KINDS: Mapping[RevocationKind, KindOfRevocation] = MappingProxyType(
    {
        "token": KindOfRevocation(claim="jti", audited_as="token_id", is_listed=False),
        "client": KindOfRevocation(claim="client_id", audited_as="client_id", is_up_to=True),
        "subject": KindOfRevocation(claim="sub", audited_as="subject", is_up_to=True),
        "family": KindOfRevocation(claim="fam", audited_as="family", is_listed=False),
        "key": KindOfRevocation(claim="kid", audited_as="kid"),
        "certificate": KindOfRevocation(claim=None, audited_as="certificate", outlives_tokens=True),
        "all": KindOfRevocation(claim=None, audited_as="every", is_up_to=True),
    }
)
"""Every kind of revocation."""

UP_TO = tuple(kind for kind, meaning in KINDS.items() if meaning.is_up_to)
"""The kinds that revoke the tokens so far."""


class Revocation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One decision to revoke.

    A client or subject loses the tokens issued up to `revoked_at`, or all of them do; later ones are valid.
    The other kinds are revoked for good. After `expires_at`, by the clock of the verifier, no token is left
    that the decision could concern.
    """

    kind: RevocationKind
    value: NonEmpty
    revoked_at: Seconds
    expires_at: Seconds


class RevocationRow(Revocation, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True):
    """A revocation as feed and snapshot spell it: `["token","<jti>",1767222000,1767308400]`."""


def row_of(decision: Revocation) -> RevocationRow:
    """Return the decision as a row."""
    return RevocationRow(
        kind=decision.kind,
        value=decision.value,
        revoked_at=decision.revoked_at,
        expires_at=decision.expires_at,
    )


def names_of(grant: Grant, certificate: Thumbprint | None) -> Iterator[tuple[RevocationKind, str]]:
    """Yield each kind and name by which this grant on a connection with this certificate can be revoked."""
    yield "all", EVERY_TOKEN
    if certificate is not None:
        yield "certificate", certificate
    for kind, meaning in KINDS.items():
        name = None if meaning.claim is None else getattr(grant, meaning.claim)
        if isinstance(name, str):
            yield kind, name


class RevocationSource(Protocol):
    """A source of revocations: the feed of a resource server, or the store of the service."""

    def reason(self, grant: Grant, certificate: Thumbprint | None, /) -> str | None:
        """Return why this grant is refused on a connection with this certificate, or None.

        Raises Unavailable if that cannot be told.
        """


class Revocations:
    """Every live revocation. One thread may `apply` and `forget` while others call `reason`.

    The cost of `reason` does not depend on the number of revocations.
    """

    __slots__ = ("_lasting", "_up_to")

    def __init__(self, decisions: Iterable[Revocation] = ()) -> None:
        """Hold these decisions."""
        # Name to expires_at, or to (revoked_at, expires_at): a million tokens must not take much room.
        self._lasting: dict[RevocationKind, dict[str, int]] = {
            kind: {} for kind in KINDS if kind not in UP_TO
        }
        self._up_to: dict[RevocationKind, dict[str, tuple[int, int]]] = {kind: {} for kind in UP_TO}
        for decision in decisions:
            self.apply(decision)

    def __len__(self) -> int:
        """Return the number of decisions."""
        return sum(map(len, self._lasting.values())) + sum(map(len, self._up_to.values()))

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Revocations: {len(self)}>"

    def apply(self, decision: Revocation) -> None:
        """Add one decision; of two about the same name, the later `revoked_at` and `expires_at` apply."""
        value = decision.value
        lasting = self._lasting.get(decision.kind)
        if lasting is not None:
            lasting[value] = max(lasting.get(value, 0), decision.expires_at)
            return
        up_to = self._up_to[decision.kind]
        revoked_at, expires_at = up_to.get(value, (0, 0))
        up_to[value] = max(revoked_at, decision.revoked_at), max(expires_at, decision.expires_at)

    def copy(self) -> "Revocations":
        """Return the decisions as they are now; the copy does not change with the original."""
        copied = Revocations()
        copied._lasting = {kind: names.copy() for kind, names in self._lasting.items()}
        copied._up_to = {kind: names.copy() for kind, names in self._up_to.items()}
        return copied

    def __iter__(self) -> Iterator[Revocation]:
        """Yield the decisions; `revoked_at` is kept for clients and subjects only, and 0 for other kinds."""
        for kind, names in self._lasting.items():
            for name, expires_at in names.items():
                yield Revocation(kind=kind, value=name, revoked_at=0, expires_at=expires_at)
        for kind, pairs in self._up_to.items():
            for name, (revoked_at, expires_at) in pairs.items():
                yield Revocation(kind=kind, value=name, revoked_at=revoked_at, expires_at=expires_at)

    def forget(self, now: EpochSeconds) -> None:
        """Drop the decisions that can concern no token any more, whichever clock is wrong."""
        ended = now - KEPT_LONGER_SECONDS
        for names in self._lasting.values():
            for name in [name for name, expires_at in names.items() if expires_at <= ended]:
                del names[name]
        for pairs in self._up_to.values():
            for name in [name for name, (_, expires_at) in pairs.items() if expires_at <= ended]:
                del pairs[name]

    def reason(self, grant: Grant, certificate: Thumbprint | None) -> str | None:
        """Return why a token of this grant is refused on a connection with this certificate, or None."""
        lasting, up_to = self._lasting, self._up_to
        if grant.jti in lasting["token"]:
            return f"token {grant.jti!r} is revoked"
        if certificate in lasting["certificate"]:
            return f"certificate {certificate!r} is revoked"
        if grant.kid in lasting["key"]:
            return f"key {grant.kid!r} is revoked"
        if grant.fam in lasting["family"]:
            return f"family {grant.fam!r} is revoked"
        if up_to["all"] and _covers(up_to["all"], EVERY_TOKEN, grant.iat):
            return "every token that was issued until then is revoked"
        if _covers(up_to["client"], grant.client_id, grant.iat):
            return f"the tokens of client {grant.client_id!r} are revoked"
        if _covers(up_to["subject"], grant.sub, grant.iat):
            return f"the tokens of subject {grant.sub!r} are revoked"
        return None


def _covers(names: dict[str, tuple[int, int]], name: str, issued_at: int) -> bool:
    found = names.get(name)
    return found is not None and issued_at <= found[0]
