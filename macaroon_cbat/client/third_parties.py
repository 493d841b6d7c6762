"""Third-party caveats as a holder adds them: the token is then of use only with a discharge of that party."""

import os
from pathlib import Path

from macaroon_cbat.client.dischargers import Discharger, checked_location
from macaroon_cbat.client.own_connections import OwnConnections
from macaroon_cbat.client.proxies import connected_through_proxy
from macaroon_cbat.client.trust import ServerTrust
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.keys import KEY_BYTES
from macaroon_cbat.macaroon.minting import add_third_party_caveat
from macaroon_cbat.macaroon.sealed_caveats import NONCE_BYTES, sealed_caveat
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.text.base64url import NotBase64url, decode


def discharger_key(location: str, *, ca: Path | str | None = None, timeout: float = 10) -> bytes:
    """Return the public key that the discharger at this https URL shows.

    Raises SettingsError for another URL, Refused and Unavailable.
    """
    own = OwnConnections(None, ServerTrust(ca), connected_through_proxy)
    return Discharger(checked_location(location), own, timeout=timeout).public_key()


def read_discharger_key(text: str) -> bytes:
    """Return the public key in base64, as `discharge/info` shows it. Raises SettingsError."""
    try:
        key = decode(mended(text.strip()))
    except NotBase64url:
        key = b""
    if len(key) != KEY_BYTES:
        raise SettingsError(
            "the public key of the discharger is not 32 bytes in base64: copy PublicKey of its discharge/info"
        )
    return key


def require_discharge(token: str, location: str, condition: str, public_key: bytes) -> str:
    """Return a child that is of use only with a discharge of this discharger.

    `condition` is what the discharger checks, such as `is-member-of accountants`; it alone can read it.
    Raises SettingsError for an unusable location, ValueError for an unusable condition or key,
    MalformedMacaroon, and InvalidRequest beyond the limits of a macaroon.
    """
    caveat_key = os.urandom(KEY_BYTES)
    identifier = sealed_caveat(
        condition,
        caveat_key,
        public_key,
        private_key=os.urandom(KEY_BYTES),
        nonce=os.urandom(NONCE_BYTES),
    )
    return add_third_party_caveat(token, checked_location(location), caveat_key, identifier)
