"""The readiness of the service: database, root keys, wrapping key and server certificate."""

from collections.abc import Callable
from datetime import UTC, datetime

from macaroon_cbat.errors import Unavailable
from macaroon_cbat.server.readiness import Check, Problem
from macaroon_cbat.stores import Stores

_BEHIND = "not known while the database cannot be used"


def service_checks(
    stores: Stores, expires: Callable[[], int | None], clock: Callable[[], float]
) -> dict[str, Check]:
    """Return the checks of a service; `expires` tells when its server certificate does, None without one."""
    return {
        "database": lambda: _database(stores),
        "keys": lambda: _keys(stores),
        "wrapping_key": lambda: _wrapping_key(stores),
        "certificate": lambda: _certificate(expires(), clock()),
    }


def _database(stores: Stores) -> Problem:
    stores.root_keys.records()
    return None


def _keys(stores: Stores) -> Problem:
    try:
        states = {one.state for one in stores.root_keys.records()}
    except Unavailable:
        return _BEHIND
    if "current" in states:
        return None
    return "there is no current root key: restart macaroon-cbat serve, which makes one"


def _wrapping_key(stores: Stores) -> Problem:
    """Return why the wrapping key does not open the root keys. SettingsError says that by itself."""
    try:
        stores.root_keys.check()
    except Unavailable:
        return _BEHIND
    return None


def _certificate(expires: int | None, now: float) -> Problem:
    if expires is None or now < expires:
        return None
    moment = datetime.fromtimestamp(expires, UTC)
    return f"the server certificate expired on {moment:%Y-%m-%d %H:%M} UTC: replace its file"
