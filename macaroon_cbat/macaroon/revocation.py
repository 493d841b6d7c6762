"""What is revoked, as a value: by token, client, subject, family, key and certificate."""

from collections.abc import Iterable, Iterator
from typing import Literal, Protocol

from msgspec import Struct

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds, Seconds
from macaroon_cbat.macaroon.identifier import Grant, NonEmpty

RevocationKind = Literal["token", "client", "subject", "family", "key", "certificate"]
"""Which name a revocation takes back: `jti`, `client_id`, `sub`, `fam`, `kid` or `x5t#S256`."""

KEPT_LONGER_SECONDS = LONGEST_CLOCK_SKEW + 60
"""How long after `expires_at` a decision is kept, by any clock.

`expires_at` allows for a resource server that takes tokens LONGEST_CLOCK_SKEW seconds after they expire.
Its clock may also be that much behind the one that counts here, be set back by that much, or move on while
it judges a request.
"""

_FOREVER: tuple[RevocationKind, ...] = ("token", "family", "key", "certificate")
_UP_TO: tuple[RevocationKind, ...] = ("client", "subject")


class Revocation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One decision to take something back.

    A client or subject loses the tokens issued up to `revoked_at`; later ones live. The others are
    taken back for good. After `expires_at`, by the clock of whoever verifies, no token is left that the
    decision could concern.
    """

    kind: RevocationKind
    value: NonEmpty
    revoked_at: Seconds
    expires_at: Seconds


class RevocationSource(Protocol):
    """Tells what is revoked."""

    def reason(self, grant: Grant, certificate: Thumbprint | None, /) -> str | None:
        """Return why this grant is refused on a connection with this certificate, or None.

        Raises Unavailable when nobody can tell.
        """


class Revocations:
    """Every live revocation. One writer may `apply` and `forget` while others ask.

    The cost of a question does not depend on how many there are.
    """

    __slots__ = ("_certificates", "_clients", "_families", "_keys", "_subjects", "_tokens")

    def __init__(self, decisions: Iterable[Revocation] = ()) -> None:
        """Hold these decisions."""
        # Name to expires_at, or to (revoked_at, expires_at): a million tokens must not take much room.
        self._tokens: dict[str, int] = {}
        self._families: dict[str, int] = {}
        self._keys: dict[str, int] = {}
        self._certificates: dict[str, int] = {}
        self._clients: dict[str, tuple[int, int]] = {}
        self._subjects: dict[str, tuple[int, int]] = {}
        for decision in decisions:
            self.apply(decision)

    def __len__(self) -> int:
        """Count the decisions."""
        return sum(len(names) for names in self._forever()) + sum(len(names) for names in self._up_to())

    def __repr__(self) -> str:
        """Show how many there are."""
        return f"<Revocations: {len(self)}>"

    def apply(self, decision: Revocation) -> None:
        """Add one decision; of two about the same name the later one counts, and the longer one."""
        match decision.kind:
            case "token":
                _extend(self._tokens, decision)
            case "family":
                _extend(self._families, decision)
            case "key":
                _extend(self._keys, decision)
            case "certificate":
                _extend(self._certificates, decision)
            case "client":
                _advance(self._clients, decision)
            case "subject":
                _advance(self._subjects, decision)

    def copy(self) -> "Revocations":
        """Return what is known now, which does not change with this one."""
        copied = Revocations()
        copied._tokens, copied._families = self._tokens.copy(), self._families.copy()
        copied._keys, copied._certificates = self._keys.copy(), self._certificates.copy()
        copied._clients, copied._subjects = self._clients.copy(), self._subjects.copy()
        return copied

    def __iter__(self) -> Iterator[Revocation]:
        """Return the decisions; when they were made is known of clients and subjects only, else 0."""
        for kind, names in zip(_FOREVER, self._forever(), strict=True):
            for name, expires_at in names.items():
                yield Revocation(kind=kind, value=name, revoked_at=0, expires_at=expires_at)
        for kind, pairs in zip(_UP_TO, self._up_to(), strict=True):
            for name, (revoked_at, expires_at) in pairs.items():
                yield Revocation(kind=kind, value=name, revoked_at=revoked_at, expires_at=expires_at)

    def forget(self, now: EpochSeconds) -> None:
        """Drop the decisions that can concern no token any more, whichever clock is wrong."""
        ended = now - KEPT_LONGER_SECONDS
        for names in self._forever():
            for name in [name for name, expires_at in names.items() if expires_at <= ended]:
                del names[name]
        for pairs in self._up_to():
            for name in [name for name, (_, expires_at) in pairs.items() if expires_at <= ended]:
                del pairs[name]

    def reason(self, grant: Grant, certificate: Thumbprint | None) -> str | None:
        """Return why a token of this grant is refused on a connection with this certificate, or None."""
        if grant.jti in self._tokens:
            return f"token {grant.jti!r} is revoked"
        if certificate in self._certificates:
            return f"certificate {certificate!r} is revoked"
        if grant.kid in self._keys:
            return f"key {grant.kid!r} is revoked"
        if grant.fam in self._families:
            return f"family {grant.fam!r} is revoked"
        if _covers(self._clients, grant.client_id, grant.iat):
            return f"the tokens of client {grant.client_id!r} are revoked"
        if _covers(self._subjects, grant.sub, grant.iat):
            return f"the tokens of subject {grant.sub!r} are revoked"
        return None

    def _forever(self) -> tuple[dict[str, int], ...]:
        return self._tokens, self._families, self._keys, self._certificates

    def _up_to(self) -> tuple[dict[str, tuple[int, int]], ...]:
        return self._clients, self._subjects


def _extend(names: dict[str, int], decision: Revocation) -> None:
    names[decision.value] = max(names.get(decision.value, 0), decision.expires_at)


def _advance(names: dict[str, tuple[int, int]], decision: Revocation) -> None:
    revoked_at, expires_at = names.get(decision.value, (0, 0))
    names[decision.value] = max(revoked_at, decision.revoked_at), max(expires_at, decision.expires_at)


def _covers(names: dict[str, tuple[int, int]], name: str, issued_at: int) -> bool:
    found = names.get(name)
    return found is not None and issued_at <= found[0]
