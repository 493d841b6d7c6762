"""The question of whether an operator has seen where a client sends people."""

import msgspec

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.registration.bounds import Bounds
from macaroon_cbat.stores.registrations import RegistrationStore


def is_vetted(registrations: RegistrationStore, client_id: str, now: EpochSeconds) -> bool:
    """Return True if an operator registered the client, or named the hosts that it may send people to.

    Any other client may be an attacker's: it has registered itself, with a name and a host of its choice.
    """
    bounds = registrations.bounds(client_id, now)
    return bounds is None or msgspec.json.decode(bounds, type=Bounds).hosts is not None
