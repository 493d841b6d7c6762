"""What is revoked, as a value."""

from msgspec import Struct

from macaroon_cbat.identifier import Grant


class Revocations(Struct, frozen=True):
    """Token identifiers (`jti`) that were taken back. Revoking a macaroon revokes all its children."""

    token_ids: frozenset[str] = frozenset()

    def reason(self, grant: Grant) -> str | None:
        """Return why the grant is revoked, or None."""
        return f"token {grant.jti} is revoked" if grant.jti in self.token_ids else None


NOTHING_REVOKED = Revocations()
