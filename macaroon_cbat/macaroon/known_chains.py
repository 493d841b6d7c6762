"""The chains that a verifier has verified before: their meaning, and no verdict about a request.

A token that comes again is looked up, and its request is judged as any other: by the keys of now, by
revocations, time, audience, certificate and caveats. No token is kept, and no signature: a SHA-256 over the
audience key and the text stands for both, so a chain of a retired or replaced key is not found.
"""

from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.errors import UnknownKey
from macaroon_cbat.macaroon.identifier import Grant, read_identifier
from macaroon_cbat.macaroon.keys import AudienceKey, KeySource
from macaroon_cbat.macaroon.narrowing import Narrowed
from macaroon_cbat.macaroon.signature import AuthenticCaveats
from macaroon_cbat.text.generations import Generations

LONGEST_KNOWN = 2_048
"""Characters of the longest token whose chain is kept: it bounds the memory that one entry takes."""

MOST_KNOWN = 2_048
"""Chains of a generation, of which there are two: 7 MB in all, or 30 with the longest."""

_NAME = 22
"""The characters at the end of a token that its entry is found by: 132 bits of its signature."""


class Chain(Struct, frozen=True, gc=False):
    """A token whose signature held: its grant and its caveats, none of which was judged."""

    identifier: bytes
    grant: Grant
    caveats: AuthenticCaveats
    narrowed: Narrowed | None
    fingerprint: bytes = b""
    """SHA-256 over key and text; empty while the chain is not kept."""


class KnownChains:
    """The chains of tokens that come again, for one verifier. Threads share it, and a fork copies it.

    A chain enters when a request with its token is admitted for the second time. So neither forged tokens nor
    the children of single requests displace others; a holder that floods it pays two requests for each place,
    and a chain that is asked for meanwhile stays.
    """

    __slots__ = ("_chains", "_grants", "_seen")

    def __init__(self, most: int = MOST_KNOWN) -> None:
        """Keep twice so many chains at most."""
        self._chains: Generations[int, Chain] = Generations(most)
        self._seen: Generations[int, bool] = Generations(4 * most)
        self._grants: Generations[bytes, Grant] = Generations(most)

    def __len__(self) -> int:
        """Return the number of chains."""
        return len(self._chains)

    def __repr__(self) -> str:
        """Show how many chains there are."""
        return f"<KnownChains: {len(self)}>"

    def find(self, text: str, keys: KeySource) -> Chain | None:
        """Return the chain of this very text, if it follows from the key that its grant names now."""
        name = hash(text[-_NAME:])
        chain = self._chains.get(name)
        if chain is None or len(text) > LONGEST_KNOWN or not text.isascii():
            return None
        try:
            key = keys.key_for(chain.grant)
        except UnknownKey:
            self._chains.forget(name)
            return None
        return chain if chain.fingerprint == _fingerprint(text, key) else None

    def grant_in(self, identifier: bytes) -> Grant:
        """Return the unverified grant of an identifier, as `read_identifier` does."""
        return self._grants.get(identifier) or read_identifier(identifier)

    def add(self, text: str, key: AudienceKey, chain: Chain) -> None:
        """Keep the chain if the token comes again; its signature follows from this key."""
        name = hash(text[-_NAME:])
        if self._seen.get(name) is None:
            self._seen.put(name, True)
            self._grants.put(chain.identifier, chain.grant)
        elif len(text) <= LONGEST_KNOWN:
            self._chains.put(name, replace(chain, fingerprint=_fingerprint(text, key)))

    def forget(self, text: str) -> None:
        """Drop the chain of a token that is revoked."""
        self._chains.forget(hash(text[-_NAME:]))


def _fingerprint(text: str, key: AudienceKey) -> bytes:
    return sha256(key.macaroon_key + text.encode()).digest()
