"""Minting, third-party caveats and the binding of discharges: the wall around pymacaroons.

pymacaroons writes and `wire` reads: text reaches pymacaroons only after `wire` has found it canonical and
within the limits, and always as version 2.
"""

from binascii import unhexlify
from collections.abc import Iterable

import pymacaroons
from pymacaroons.macaroon import MACAROON_V2
from pymacaroons.utils import sign_first_party_caveat, sign_third_party_caveat

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.attenuation import attenuate as attenuate  # noqa: PLC0414 # found here by others
from macaroon_cbat.macaroon.custom import AnyCaveat, any_text
from macaroon_cbat.macaroon.identifier import Grant, identifier_text
from macaroon_cbat.macaroon.keys import KEY_BYTES, AudienceKey
from macaroon_cbat.macaroon.sealed_caveats import LEAST_KEY, MOST_KEY
from macaroon_cbat.macaroon.signature import OpenedCaveat, sealed
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import MAX_CAVEATS, MAX_CHARACTERS, read_macaroon


def mint(
    key: AudienceKey,
    location: str,
    grant: Grant,
    caveats: Iterable[AnyCaveat] = (),
    *,
    carried: Iterable[bytes | OpenedCaveat] = (),
) -> str:
    """Return a new macaroon for the grant: unpadded base64url of the version 2 binary.

    `key` must be that of the grant's audience: this is not checked. `location` is the issuer, a hint that the
    MAC does not cover. `carried` are the caveats of another macaroon, as `open_caveats` returns them: they
    come before `caveats`, each text byte by byte. Raises ValueError for a key that has not 32 bytes and for a
    caveat that no verifier could read, and InvalidRequest if the macaroon would exceed 100 caveats or 8,000
    characters.
    """
    _refuse_weak(key.secret)
    macaroon = pymacaroons.Macaroon(
        location=location, identifier=identifier_text(grant), key=key.secret, version=MACAROON_V2
    )
    for each in carried:
        _carry(macaroon, each)
    return _append(macaroon, caveats)


def add_third_party_caveat(text: str, location: str, caveat_key: bytes, caveat_identifier: bytes) -> str:
    """Return a child that verifies only with a discharge from `location`, minted with `caveat_key`.

    Raises ValueError for a key that has not 32 bytes, MalformedMacaroon, and InvalidRequest beyond the
    limits.
    """
    _refuse_weak(caveat_key)
    macaroon = _readable(text)
    macaroon.add_third_party_caveat(location, caveat_key, caveat_identifier)
    return _within_limits(macaroon)


def mint_discharge(
    location: str,
    caveat_key: bytes,
    caveat_identifier: bytes,
    caveats: Iterable[AnyCaveat] = (),
    conditions: Iterable[str] = (),
) -> str:
    """Return the discharge of a third-party caveat, which the holder must bind before sending it.

    `conditions` are caveats in the words of the macaroon bakery. Raises ValueError for a key that has not 16
    to 64 bytes, and InvalidRequest beyond the limits.
    """
    if not LEAST_KEY <= len(caveat_key) <= MOST_KEY:
        raise ValueError(f"a caveat key has {LEAST_KEY} to {MOST_KEY} bytes")
    macaroon = pymacaroons.Macaroon(
        location=location, identifier=caveat_identifier, key=caveat_key, version=MACAROON_V2
    )
    for condition in conditions:
        macaroon.add_first_party_caveat(condition)
    return _append(macaroon, caveats)


def bind_discharge(text: str, discharge_text: str) -> str:
    """Return the discharge, bound to this macaroon: it discharges no other one and no child made later.

    Raises MalformedMacaroon if one of the two is malformed, and InvalidRequest beyond the limits.
    """
    return _within_limits(_readable(text).prepare_for_request(_readable(discharge_text)))


def _readable(text: str) -> pymacaroons.Macaroon:
    """Return the macaroon of a holder, or raise MalformedMacaroon; padding and standard base64 are mended."""
    text = mended(text)
    read_macaroon(text)
    return pymacaroons.Macaroon.deserialize(text)


def _refuse_weak(key: bytes) -> None:
    if len(key) != KEY_BYTES:  # pymacaroons would leave a macaroon with an empty key unsigned
        raise ValueError(f"a key has {KEY_BYTES} bytes")


def _carry(macaroon: pymacaroons.Macaroon, carried: bytes | OpenedCaveat) -> None:
    """Append a caveat of another macaroon; its own methods refuse texts that are not UTF-8, and keys."""
    signature = unhexlify(macaroon.signature_bytes)
    if isinstance(carried, bytes):
        caveat = pymacaroons.Caveat(caveat_id=carried, version=MACAROON_V2)
        macaroon.signature = sign_first_party_caveat(signature, carried)
    else:
        vid = sealed(carried.key, signature)
        caveat = pymacaroons.Caveat(carried.identifier, vid, carried.location, MACAROON_V2)
        macaroon.signature = sign_third_party_caveat(signature, vid, carried.identifier)
    macaroon.caveats.append(caveat)


def _append(macaroon: pymacaroons.Macaroon, caveats: Iterable[AnyCaveat]) -> str:
    for caveat in caveats:
        macaroon.add_first_party_caveat(any_text(caveat))
    return _within_limits(macaroon)


def _within_limits(macaroon: pymacaroons.Macaroon) -> str:
    if len(macaroon.caveats) > MAX_CAVEATS:
        raise InvalidRequest(f"a macaroon has at most {MAX_CAVEATS} caveats")
    text: str = macaroon.serialize()
    if len(text) > MAX_CHARACTERS:
        raise InvalidRequest(f"a macaroon has at most {MAX_CHARACTERS} characters, this has {len(text)}")
    return text
