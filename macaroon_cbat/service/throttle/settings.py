"""Settings of the limits on attempts. Successful requests of a client are not limited unless it is set."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.secret_files import secret_in
from macaroon_cbat.service.variables import PREFIX, Setting, refuse_out_of_range

_SCHEMES = ("redis://", "rediss://", "redis+unix://")


def _attempts(meaning: str) -> Setting:
    return Setting(meaning=meaning, shape="a number, or 0 for no limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleSettings:
    """The limits of one service. Raises SettingsError for a number out of range, and for another storage."""

    limits_storage: Annotated[
        str | None,
        Setting(
            meaning="Redis that counts attempts for all processes and machines",
            shape="redis://HOST[:PORT][/DATABASE], or rediss:// or redis+unix://",
            default="the memory of each process",
        ),
    ] = field(default=None, repr=False)
    """It may hold a password."""
    limits_storage_file: Annotated[
        Path | None, Setting(meaning="file with that URL", shape="a private file")
    ] = None
    lockout_failures: Annotated[
        int, _attempts("wrong secrets of a client from an address, after which this pair is locked")
    ] = 10
    lockout_seconds: Annotated[
        int,
        Setting(
            meaning="time in which wrong secrets are counted, and for which the pair is locked",
            shape="a number of seconds from 1 to 86400",
            least=1,
            most=86_400,
        ),
    ] = 300
    address_failures: Annotated[
        int, _attempts("failed authentications of an address in a minute, whatever clients it names")
    ] = 300
    client_requests: Annotated[
        int,
        _attempts("requests of an authenticated client in a minute, to endpoints of tokens"),
    ] = 0
    public_requests: Annotated[
        int, _attempts("requests of an address in a minute in the names of public clients")
    ] = 1200
    registrations: Annotated[
        int, _attempts("registrations without an invitation from an address in an hour")
    ] = 60
    logins: Annotated[int, _attempts("pages and logins of people from an address in a minute")] = 600

    def __post_init__(self) -> None:
        """Refuse what could only fail later."""
        refuse_out_of_range(self)
        storage = self.storage()
        if storage is not None and not storage.startswith(_SCHEMES):
            raise SettingsError(
                f"{PREFIX}LIMITS_STORAGE must be redis://HOST[:PORT][/DATABASE], or rediss:// or "
                "redis+unix://, or unset"
            )

    def storage(self) -> str | None:
        """Return the URL of the storage, from its file if that is named. Raises SettingsError."""
        if self.limits_storage_file is None:
            return self.limits_storage
        return secret_in(self.limits_storage_file, "LIMITS_STORAGE_FILE", "URL of Redis")


USUAL_THROTTLE = ThrottleSettings()
