"""The key pair that third-party caveats for this service are encrypted to, derived from each root key."""

from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from macaroon_cbat.errors.discharges import UnreadableCaveat
from macaroon_cbat.macaroon.keys import RootKey, audience_key
from macaroon_cbat.macaroon.sealed_caveats import CaveatRequest, is_sealed_for, opened_caveat, public_key_of
from macaroon_cbat.stores import RootKeyStore


class KeyPair(Struct, frozen=True):
    """A Curve25519 key pair of the service, and a key for its links to pages; 32 bytes each."""

    public: bytes
    private: bytes
    for_links: bytes

    def __repr__(self) -> str:
        """Show no key."""
        return "<KeyPair>"


class DischargeKeys:
    """The key pairs of the live root keys. A caveat is discharged until the root key of its pair retires."""

    def __init__(self, root_keys: RootKeyStore) -> None:
        """Derive them from these root keys."""
        self._root_keys = root_keys

    def current(self) -> KeyPair:
        """Return the pair that new caveats are encrypted to."""
        return _pair(self._root_keys.current())

    def all(self) -> Iterator[KeyPair]:
        """Yield the pair of every root key that is not retired."""
        return map(_pair, self._root_keys.all())

    def opened(self, caveat: bytes) -> CaveatRequest:
        """Return what the caveat asks for.

        Raises UnreadableCaveat, whose answer is the same for every reason.
        """
        reason = "the caveat is for another public key than those of this service"
        for pair in self.all():
            if is_sealed_for(caveat, pair.public):
                try:
                    return opened_caveat(caveat, pair.private)
                except ValueError as error:
                    reason = str(error)
        raise UnreadableCaveat(reason)


@lru_cache(maxsize=16)
def _pair(root: RootKey) -> KeyPair:
    private = audience_key(root, "caveats", "discharge").secret
    return KeyPair(public_key_of(private), private, audience_key(root, "links", "discharge").secret)
