"""Attenuation: caveats appended to a macaroon's own bytes, and the signature carried on over them.

pymacaroons writes the same bytes, after it has read, copied and written the whole macaroon. What is written
here is what a verifier reads: the parent is read by `wire` first, and comes unchanged in its child.
"""

from collections.abc import Iterable

from msgspec import Struct

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.custom import AnyCaveat, any_text
from macaroon_cbat.macaroon.signature import extended
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import (
    MAX_CAVEATS,
    MAX_CHARACTERS,
    SIGNATURE_BYTES,
    SIGNATURE_HEAD,
    Macaroon,
    read_macaroon,
)
from macaroon_cbat.text.base64url import decode, encode

_IDENTIFIER, _END = b"\2", b"\0"


class Attenuable(Struct, frozen=True, gc=False):
    """A macaroon made ready for many children: its serialized beginning, and the signature to carry on.

    It holds what the macaroon itself holds: keep it no longer than that.
    """

    head: str
    """The text up to the last whole group of 4 characters before the end of its caveats."""
    rest: bytes
    """The bytes from there to the end of the caveats: 2 at most."""
    signature: bytes
    number: int
    """The caveats that are there."""

    def __repr__(self) -> str:
        """Show no signature and no text: either mints children."""
        return f"<Attenuable with {self.number} caveats>"

    def child(self, texts: Iterable[bytes]) -> str:
        """Return the child with these further caveats.

        Raises InvalidRequest if it would exceed 100 caveats or 8,000 characters.
        """
        texts = tuple(texts)
        if self.number + len(texts) > MAX_CAVEATS:
            raise InvalidRequest(f"a macaroon has at most {MAX_CAVEATS} caveats")
        packets = b"".join(map(_packet, texts))
        signature = extended(self.signature, texts)
        child = self.head + encode(self.rest + packets + SIGNATURE_HEAD + signature)
        if len(child) > MAX_CHARACTERS:
            raise InvalidRequest(f"a macaroon has at most {MAX_CHARACTERS} characters, this has {len(child)}")
        return child


def attenuable(text: str) -> tuple[Attenuable, Macaroon]:
    """Return the macaroon ready for children, and its content. Padding is mended.

    No key is needed, and the signature is not verified. Raises MalformedMacaroon.
    """
    text = mended(text)
    macaroon = read_macaroon(text)
    size = len(text) * 3 // 4 - len(SIGNATURE_HEAD) - SIGNATURE_BYTES
    head = size // 3 * 4
    rest = decode(text[head:])[: size % 3]
    return Attenuable(text[:head], rest, macaroon.signature, len(macaroon.caveats)), macaroon


def attenuate(text: str, caveats: Iterable[AnyCaveat]) -> str:
    """Return a child of the macaroon with further caveats; no key is needed. Padding is mended.

    The signature is not verified: that takes the audience key. Raises MalformedMacaroon for a malformed
    macaroon, ValueError for a caveat that no verifier could read, and InvalidRequest if the child would
    exceed 100 caveats or 8,000 characters.
    """
    parent, _ = attenuable(text)
    return parent.child(map(any_text, caveats))


def _packet(text: bytes) -> bytes:
    """Return a first-party caveat in the binary format; its length is a varint."""
    length, more = len(text), b""
    while length >= 0x80:
        more += bytes((length & 0x7F | 0x80,))
        length >>= 7
    return _IDENTIFIER + more + bytes((length,)) + text + _END
