"""The HMAC chain, which turns a Macaroon into authentic caveats. Their meaning is not judged here.

Birgisson et al., "Macaroons: Cookies with Contextual Caveats" (2014), 2.2, in libmacaroons'
construction. Every discharge must be used exactly once and be bound to the root macaroon.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from hmac import compare_digest
from typing import NewType

from msgspec import Struct
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from macaroon_cbat.errors import NotDischarged, SignatureMismatch
from macaroon_cbat.macaroon.discharges import LEFT_OVER, OF_A_DISCHARGE, name_of, why_mismatched
from macaroon_cbat.macaroon.keys import INNER, INNER_REST, KEY_BYTES, OUTER, OUTER_REST, AudienceKey
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat
from macaroon_cbat.text.printable import quoted

AuthenticCaveats = NewType("AuthenticCaveats", tuple[bytes, ...])
"""Texts of first-party caveats that the HMAC chain covers, discharges included. Not yet judged."""


class OpenedCaveat(Struct, frozen=True):
    """A third-party caveat of an authentic macaroon with the key of its discharge, 32 bytes."""

    location: bytes | None
    identifier: bytes
    key: bytes

    def __repr__(self) -> str:
        """Show no key: it mints discharges."""
        return f"<OpenedCaveat at {quoted(self.location or b'')}>"


CarriedCaveats = NewType("CarriedCaveats", tuple[bytes | OpenedCaveat, ...])
"""Every caveat of an authentic macaroon, in order, for a new macaroon to carry on. None is judged yet."""


class DischargeText(bytes):
    """The text of a first-party caveat of a discharge, maybe in the words of the macaroon bakery."""

    __slots__ = ()


_BINDING_KEY = bytes(32)


def verify_signature(
    macaroon: Macaroon, key: AudienceKey, discharges: Sequence[Macaroon] = ()
) -> AuthenticCaveats:
    """Return the caveats that the chain covers. No caveat has been judged.

    The identifier is authentic then, too; `location` never is. Raises SignatureMismatch if the chain does not
    hold, and NotDischarged if it holds and a third-party caveat lacks its discharge, or a discharge its
    caveat.
    """
    start = key.macaroon_key
    # The same as _mac(start, identifier), and as _mac(signature, caveat), without the calls: these lines are
    # half of a verification.
    signature = sha256(start.outer + sha256(start.inner + macaroon.identifier).digest()).digest()
    for caveat in macaroon.caveats:
        if type(caveat) is not bytes:
            return _verify_with_discharges(macaroon, key, discharges)
        inner = sha256(signature.translate(INNER) + INNER_REST + caveat).digest()
        signature = sha256(signature.translate(OUTER) + OUTER_REST + inner).digest()
    if not compare_digest(signature, macaroon.signature):
        raise SignatureMismatch(f"the signature does not follow from key {key.kid!r}")
    if discharges:
        raise _not_discharged(LEFT_OVER)
    return macaroon.caveats  # type: ignore[return-value] # the loop has seen that all are bytes


def verify_identifier(macaroon: Macaroon, key: AudienceKey) -> None:
    """Raise SignatureMismatch unless the chain of this macaroon alone follows from the key.

    Its identifier is authentic then. Discharges are not looked at, so no resource server may accept it.
    """
    _own_chain(macaroon, key)


def open_caveats(macaroon: Macaroon, key: AudienceKey) -> CarriedCaveats:
    """Return all caveats of a macaroon whose own chain holds, each third-party one with its discharge key.

    A macaroon minted with them restricts by each of them once more, so its holder needs every discharge
    there: none is asked for here. Raises SignatureMismatch if the chain does not hold, or if a third-party
    caveat holds no key: a caveat that cannot be carried on must not be left out.
    """
    return CarriedCaveats(
        tuple(
            caveat
            if isinstance(caveat, bytes)
            else OpenedCaveat(caveat.location, caveat.identifier, _open(caveat.vid, before))
            for before, caveat in _own_chain(macaroon, key)
        )
    )


def _own_chain(macaroon: Macaroon, key: AudienceKey) -> list[tuple[bytes, bytes | ThirdPartyCaveat]]:
    """Return each caveat behind the signature before it, or raise SignatureMismatch if the chain fails."""
    reached: list[tuple[bytes, bytes | ThirdPartyCaveat]] = []
    signature = _mac(key.macaroon_key, macaroon.identifier)
    for caveat in macaroon.caveats:
        reached.append((signature, caveat))
        if isinstance(caveat, bytes):
            signature = _mac(signature, caveat)
        else:
            signature = _hash_two(signature, caveat.vid, caveat.identifier)
    if not compare_digest(signature, macaroon.signature):
        raise SignatureMismatch(f"the signature does not follow from key {key.kid!r}")
    return reached


def extended(signature: bytes, texts: Iterable[bytes]) -> bytes:
    """Return the signature of a macaroon after these further first-party caveats."""
    for text in texts:
        signature = _mac(signature, text)
    return signature


def sealed(key: bytes, signature: bytes) -> bytes:
    """Return the key of a discharge, encrypted under the signature of the macaroon so far: a `vid`."""
    return bytes(SecretBox(signature).encrypt(key))


def unverified_texts(root: Macaroon, discharges: Sequence[Macaroon]) -> tuple[bytes, ...]:
    """Return the caveats that `verify_signature` would return. Nothing is verified.

    It is for callers that leave the signatures to the service. Raises NotDischarged, which names it, if a
    third-party caveat lacks a discharge or a discharge its caveat.
    """
    if (mismatch := why_mismatched(root, discharges)) is not None:
        raise _not_discharged(mismatch)
    own = [caveat for caveat in root.caveats if isinstance(caveat, bytes)]
    theirs = [caveat for each in discharges for caveat in each.caveats if isinstance(caveat, bytes)]
    return (*own, *map(DischargeText, theirs))


def _verify_with_discharges(
    root: Macaroon, key: AudienceKey, discharges: Sequence[Macaroon]
) -> AuthenticCaveats:
    """Verify the root macaroon, then each discharge under the key that its caveat carries.

    No key is decrypted before each caveat has its discharge by name, and each discharge its caveat: so the
    work is bounded by the number of discharges.
    """
    mismatch = why_mismatched(root, discharges)
    signature, texts, asked = _chain(root, key.macaroon_key)
    if not compare_digest(signature, root.signature):
        raise SignatureMismatch(f"the signature does not follow from key {key.kid!r}")
    if mismatch is not None:
        raise _not_discharged(mismatch)
    unused = {discharge.identifier: discharge for discharge in discharges}
    while asked:
        name, caveat, before = asked.pop()
        discharge = unused.pop(caveat.identifier)
        signature, more_texts, more_asked = _chain(discharge, _open(caveat.vid, before), OF_A_DISCHARGE)
        if not compare_digest(_bound(root.signature, signature), discharge.signature):
            raise _not_discharged(f"the discharge of {name} is {_why_unfit(discharge, signature)}")
        texts += map(DischargeText, more_texts)
        asked += more_asked
    return AuthenticCaveats(tuple(texts))


def _why_unfit(discharge: Macaroon, signature: bytes) -> str:
    """Return why a discharge with this signature at the end of its own chain does not fit."""
    if compare_digest(signature, discharge.signature):
        return "not bound: bind it to the macaroon that it is sent with"
    return "forged or bound to another macaroon: bind it to the one that it is sent with"


def _not_discharged(reason: str) -> NotDischarged:
    """Return the error, which tells the caller the reason: a holder can read all of it in the macaroon."""
    error = NotDischarged(reason)
    error.told = reason
    return error


def _chain(
    macaroon: Macaroon, key: bytes, of: str = ""
) -> tuple[bytes, list[bytes], list[tuple[str, ThirdPartyCaveat, bytes]]]:
    """Return the signature that the chain ends in, the first-party texts, and the third-party caveats.

    Each of these comes with a name for the log, and with the signature before it, which encrypts its key.
    `of` names a macaroon other than the root.
    """
    texts: list[bytes] = []
    asked: list[tuple[str, ThirdPartyCaveat, bytes]] = []
    signature = _mac(key, macaroon.identifier)
    for number, caveat in enumerate(macaroon.caveats, 1):
        if isinstance(caveat, bytes):
            texts.append(caveat)
            signature = _mac(signature, caveat)
        else:
            asked.append((name_of(number, caveat, of), caveat, signature))
            signature = _hash_two(signature, caveat.vid, caveat.identifier)
    return signature, texts, asked


def _open(vid: bytes, signature: bytes) -> bytes:
    """Return the key of the discharge, which the signature up to this caveat decrypts."""
    try:
        key: bytes = SecretBox(signature).decrypt(vid)
    except (CryptoError, ValueError) as error:
        raise SignatureMismatch("a third-party caveat whose key does not decrypt") from error
    if len(key) != KEY_BYTES:  # a holder can write any length, and `_mac` is an HMAC for this one alone
        raise SignatureMismatch(f"a third-party caveat whose key does not have {KEY_BYTES} bytes")
    return key


def _bound(root_signature: bytes, discharge_signature: bytes) -> bytes:
    """Return the signature of a discharge that is bound to its root macaroon."""
    return _hash_two(_BINDING_KEY, root_signature, discharge_signature)


def _hash_two(key: bytes, first: bytes, second: bytes) -> bytes:
    return _mac(key, _mac(key, first) + _mac(key, second))


def _mac(key: bytes, message: bytes) -> bytes:
    """Return HMAC-SHA256 under a key of 32 bytes (RFC 2104), at about half the cost of `hmac.digest`."""
    inner = sha256(key.translate(INNER) + INNER_REST + message).digest()
    return sha256(key.translate(OUTER) + OUTER_REST + inner).digest()
