"""The verb of administration that gives a client another secret."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass

from macaroon_cbat.audit import utc
from macaroon_cbat.errors import NotFound
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.admin.audited import audit_gained
from macaroon_cbat.service.admin.shapes import RotatedSecret, SecretRotation
from macaroon_cbat.service.admin.versions import ANY, is_one_of, shown
from macaroon_cbat.service.registration.rules import SECRET_BYTES, Audit
from macaroon_cbat.service.settings import LASTING
from macaroon_cbat.stores import Client, Stores
from macaroon_cbat.stores.client_secrets import NewSecret, secret_hash


@dataclass(frozen=True, slots=True)
class SecretAdministration:
    """Replaces secrets of clients. Raises Unavailable as Administration's verbs do."""

    stores: Stores
    clock: Callable[[], float]
    audit: Audit

    def rotate(
        self, client_id: str, wanted: SecretRotation, versions: Collection[str] = ANY
    ) -> RotatedSecret:
        """Give a client a new secret, or the one whose hash is named, once that is audited.

        The present one stays valid for `keep_old_seconds`; without them it ends at once, and with it every
        token of the client. Raises NotFound, Conflict for a client without a secret, and PreconditionFailed.
        """
        drawn = secrets.token_urlsafe(SECRET_BYTES) if wanted.client_secret_sha256 is None else None
        hashed = secret_hash(drawn) if drawn is not None else bytes.fromhex(wanted.client_secret_sha256 or "")
        new, is_as_seen = NewSecret(hashed, wanted.keep_old_seconds), is_one_of(versions, self._now())

        def expects(before: Client) -> None:
            is_as_seen(before)
            if before.secret_hash not in (None, hashed):
                until = utc(self.clock() + new.keep_old) if new.keep_old else None
                audit_gained(self.audit, "client.secret_rotated", client_id=client_id, until=until)

        store = self.stores.clients
        found = store.rotate_secret(client_id, new, self._now, lasting=LASTING, expects=expects)
        if found is None:
            raise NotFound(f"no client {client_id[:64]!r}: see client list")
        before, after = found
        return RotatedSecret(
            client_id=client_id,
            client_secret=drawn,
            client_secret_expires_at=0,
            old_secret_until=shown(after, self._now()).old_secret_until,
            tokens_revoked=after.tokens_since > before.tokens_since,
        )

    def _now(self) -> EpochSeconds:
        return EpochSeconds(int(self.clock()))
