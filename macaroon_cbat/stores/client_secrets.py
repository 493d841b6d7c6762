"""Secrets of clients: their hashes, the one that a request proves, and the one that a rotation replaced.

A secret is random, with at least 128 bits, so it is stored as a plain SHA-256.
"""

import hashlib
import hmac
from typing import Literal

from msgspec import Struct
from sqlalchemy import Connection, update

from macaroon_cbat.errors import Conflict
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.stores.client_rows import found_client
from macaroon_cbat.stores.clients import Client
from macaroon_cbat.stores.schema import clients
from macaroon_cbat.stores.self_registered import end_registration
from macaroon_cbat.stores.token_starts import revoke_tokens_so_far
from macaroon_cbat.text.base64url import encode

LONGEST_OVERLAP = 90 * 86_400
"""Seconds for which an old secret stays valid at most."""

_NO_SECRET = hashlib.sha256(b"no client has this secret").digest()
_NAME_BYTES = 12


class NewSecret(Struct, frozen=True):
    """The hash of a client's next secret, and the seconds for which the present one stays valid."""

    hashed: bytes
    keep_old: int = 0

    def __repr__(self) -> str:
        """Show no hash."""
        return f"<NewSecret, the old one for {self.keep_old} s>"


def secret_hash(secret: str) -> bytes:
    """Return the SHA-256 that is stored of a random secret."""
    return hashlib.sha256(secret.encode()).digest()


def secret_name(hashed: bytes) -> str:
    """Return a name of the secret with this hash: it tells two secrets apart, and neither of them."""
    return encode(hashlib.sha256(b"macaroon_cbat secret\0" + hashed).digest()[:_NAME_BYTES])


def proven_secret(
    client: Client | None, secret: str, now: EpochSeconds
) -> Literal["current", "old", "ended"] | None:
    """Return which of the client's secrets this is, or None. An unknown client takes the same time.

    An old secret that has `ended` proves nothing any more; it is told apart for the audit log.
    """
    hashed = secret_hash(secret)
    is_current = _is_hash(hashed, None if client is None else client.secret_hash)
    is_old = _is_hash(hashed, None if client is None else client.old_secret_hash)
    if is_current:
        return "current"
    if not is_old or client is None:
        return None
    return "old" if now < (client.old_secret_until or 0) else "ended"


def has_secret(client: Client | None, secret: str, now: EpochSeconds) -> bool:
    """Return True if this secret proves the client now."""
    return proven_secret(client, secret, now) in ("current", "old")


def put_secret(
    connection: Connection, client: Client, wanted: NewSecret, now: EpochSeconds, lasting: int
) -> Client:
    """Give a client its next secret in a writer's transaction, and return it.

    A secret that ends at once may be known to a thief, as a certificate that is taken away may be: the
    client's tokens are revoked, too. One that stays for a while leaves them. An older one ends. The present
    secret again changes nothing. Raises Conflict for a client that has no secret.
    """
    if client.secret_hash is None:
        raise Conflict(
            f"client {client.client_id} has no secret: it authenticates by "
            f"{client.metadata.token_endpoint_auth_method}"
        )
    if _is_hash(wanted.hashed, client.secret_hash):
        return client
    # The hash of a secret that ends now stays, too: the audit log tells its user from a guesser.
    old = {"old_secret_hash": client.secret_hash, "old_secret_until": now + wanted.keep_old}
    row = {"secret_hash": wanted.hashed, **old}
    connection.execute(update(clients).where(clients.c.client_id == client.client_id).values(row))
    if not wanted.keep_old:
        revoke_tokens_so_far(connection, "client", client.client_id, now, lasting)
        end_registration(connection, client.client_id)
    after = found_client(connection, client.client_id)
    assert after is not None
    return after


def _is_hash(hashed: bytes, expected: bytes | None) -> bool:
    return hmac.compare_digest(hashed, expected or _NO_SECRET) and expected is not None
