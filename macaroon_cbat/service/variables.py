"""Environment variables of the service, each declared once: as an annotated field of a settings class.

A field `token_lifetime: Annotated[int, Setting(...)] = 600` is the variable MACAROON_CBAT_TOKEN_LIFETIME.
Text, whole numbers and paths are read. msgspec's lax conversion is not used: it takes `1e3` for 1000 and
`null` for a number that is not set.
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from macaroon_cbat.errors import SettingsError

PREFIX = "MACAROON_CBAT_"

_NUMBER = re.compile(r"[0-9]{1,9}\Z")
_QUOTED = 20  # characters of a wrong value that a message repeats


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The words about a variable, for messages and for tables of settings.

    `shape` completes "must be ..." and names the unit. `default` says what the field's own default does not.
    `least` and `most` bound a number; `words` are all values that a text may have, if it is one of a few.
    """

    meaning: str
    shape: str
    default: str | None = None
    least: int = 0
    most: int = 999_999_999
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Variable:
    """An environment variable: its name without MACAROON_CBAT_, the field that it sets, type and words."""

    name: str
    field: str
    kind: type
    default: str
    setting: Setting

    def read(self, text: str) -> Any:
        """Return the value that a text sets, or raise SettingsError."""
        if self.kind is int:
            if not _NUMBER.match(text):
                raise self.unusable(text)
            return int(text)
        if self.setting.words and text not in self.setting.words:
            raise self.unusable(text)
        return Path(text) if self.kind is Path else text

    def empty(self) -> SettingsError:
        """Return the error for a variable that is set to nothing."""
        words = f"{self.setting.shape} ({self.setting.meaning}), or unset it (default: {self.default})"
        return SettingsError(f"{PREFIX}{self.name} is empty: set it to {words}")

    def unusable(self, text: str) -> SettingsError:
        """Return the error for a value out of shape."""
        return SettingsError(f"{PREFIX}{self.name} must be {self.setting.shape}, not {text[:_QUOTED]!r}")


def variables_of(settings: type) -> tuple[Variable, ...]:
    """Return the variables of a settings class; fields without a Setting are made of other values."""
    hints = get_type_hints(settings, include_extras=True)
    found = []
    for field in fields(settings):
        kind, *words = get_args(hints[field.name]) or (hints[field.name],)
        for setting in (word for word in words if isinstance(word, Setting)):
            plain = next((one for one in get_args(kind) if one is not type(None)), kind)
            default = setting.default or ("none" if field.default in (None, MISSING) else str(field.default))
            found.append(Variable(field.name.upper(), field.name, plain, default, setting))
    return tuple(found)


def read_variables(settings: type, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields that these variables set (names without MACAROON_CBAT_), or raise SettingsError."""
    return {one.field: one.read(given[one.name]) for one in variables_of(settings) if one.name in given}


def refuse_out_of_range(settings: object) -> None:
    """Raise SettingsError for a number that is not whole or out of range, and for a word that is unknown."""
    for one in variables_of(type(settings)):
        value = getattr(settings, one.field)
        if one.setting.words and value not in one.setting.words:
            raise one.unusable(str(value))
        if one.kind is not int or value is None:
            continue
        if type(value) is not int or not one.setting.least <= value <= one.setting.most:
            raise one.unusable(str(value))
