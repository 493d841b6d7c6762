"""Settings of refresh tokens: their lifetimes, and the grace for a request that is repeated."""

from dataclasses import dataclass
from typing import Annotated

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.variables import PREFIX, Setting, refuse_out_of_range

_DAY = 86_400
LONGEST_SECONDS = 400 * _DAY
"""The longest time of a refresh family, for any client."""


def _seconds(meaning: str, *, least: int = 1, most: int = LONGEST_SECONDS) -> Setting:
    return Setting(
        meaning=meaning, shape=f"a number of seconds from {least} to {most}", least=least, most=most
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshSettings:
    """The lifetimes of refresh tokens, for clients that are registered without their own.

    A client whose connection breaks has used its refresh token and has no new one. The grace lets it send the
    old token once more: a client notices after its own time-out, so less than 30 s would log users out. Who
    steals a token needs the client's secret or key as well. Raises SettingsError for a number out of range.
    """

    refresh_idle: Annotated[int, _seconds("time after which an unused refresh token expires")] = 14 * _DAY
    refresh_max: Annotated[
        int, _seconds("time after which a refresh family ends, however often it was used")
    ] = 90 * _DAY
    refresh_grace: Annotated[
        int,
        _seconds(
            "time in which a refresh token that was just used may be sent again; 0 for never",
            least=0,
            most=300,
        ),
    ] = 30

    def __post_init__(self) -> None:
        """Refuse what is out of range, and a family that would end before its first token."""
        refuse_out_of_range(self)
        if self.refresh_idle > self.refresh_max:
            raise SettingsError(
                f"{PREFIX}REFRESH_IDLE is {self.refresh_idle}, more than {PREFIX}REFRESH_MAX, "
                f"{self.refresh_max}: set it to less, or the other to more"
            )


USUAL_REFRESH = RefreshSettings()
