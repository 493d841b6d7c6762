"""Open registration: what any client may register where the operator switches it on, and no more.

Public clients of authorization code and refresh alone, with https or loopback redirects, for scopes and
audiences that the operator named. Their tokens are bound to a certificate or DPoP key, and PKCE is demanded
of every client.
"""

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.registration.bounds import Bounds
from macaroon_cbat.service.registration_settings import RegistrationSettings
from macaroon_cbat.service.reserved_scopes import RESERVED_SCOPES


def open_bounds(settings: RegistrationSettings) -> Bounds | None:
    """Return the bounds of open registration, or None where it is off.

    Raises SettingsError for a scope of the service itself.
    """
    if not settings.scopes:
        return None
    if reserved := sorted(set(settings.scopes) & set(RESERVED_SCOPES)):
        raise SettingsError(
            f"MACAROON_CBAT_OPEN_REGISTRATION names the scope {reserved[0]}, which is for the service "
            "itself: leave it out"
        )
    return Bounds(
        scopes=settings.scopes,
        audiences=settings.audiences,
        grant_types=("authorization_code", "refresh_token"),
        token_endpoint_auth_methods=("none",),
        hosts=None,
    )
