"""Settings of open registration: the rights for which any client may register itself, uninvited."""

import re
from dataclasses import dataclass
from typing import Annotated

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.audiences import audience_setting
from macaroon_cbat.macaroon.claims import SCOPE_PATTERN
from macaroon_cbat.service.variables import PREFIX, Setting


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationSettings:
    """The scopes and audiences of open registration, which is off without both. Raises SettingsError."""

    open_registration: Annotated[
        str | None,
        Setting(
            meaning="scopes for which any client may register itself",
            shape="scopes with spaces between",
            default="by invitation alone",
        ),
    ] = None
    open_registration_audiences: Annotated[
        str | None,
        Setting(
            meaning="resource servers that such a client may get tokens for",
            shape="URLs with commas between",
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse one setting without the other, and what is no audience."""
        if bool(self.scopes) != bool(self.audiences):
            raise SettingsError(
                f"{PREFIX}OPEN_REGISTRATION and {PREFIX}OPEN_REGISTRATION_AUDIENCES go together: name the "
                "scopes and the resource servers that any client may register for, or unset both"
            )
        if self.scopes and not re.match(SCOPE_PATTERN, " ".join(self.scopes)):
            raise SettingsError(
                f"{PREFIX}OPEN_REGISTRATION has a character that no scope has: write visible ASCII, no quotes"
            )

    @property
    def scopes(self) -> tuple[str, ...]:
        """The scopes; none where registration is not open."""
        return tuple(dict.fromkeys((self.open_registration or "").split()))

    @property
    def audiences(self) -> tuple[str, ...]:
        """The audiences in canonical spelling."""
        named = [one.strip() for one in (self.open_registration_audiences or "").split(",")]
        name = f"{PREFIX}OPEN_REGISTRATION_AUDIENCES"
        return tuple(dict.fromkeys(audience_setting(one, name) for one in named if one))


BY_INVITATION = RegistrationSettings()
