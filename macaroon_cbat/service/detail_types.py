"""The types of authorization details (RFC 9396 2), as the operator describes them in a TOML file.

[payment]
description = "Pay from an account"
audiences = ["https://api.example"]

[payment.members]
actions = ["initiate", "cancel"]
amount = {currency = "string", value = "string"}
"creditor?" = "string"

The name of a member that may be missing ends with a question mark. A member is "string", "strings" (a
list), "integer", "number", "boolean" or "object" (any members); one or more of the words of a list; or an
object with the members of a table. The file is followed.
"""

import logging
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.followed import Followed
from macaroon_cbat.macaroon.audiences import checked_audience
from macaroon_cbat.macaroon.custom import check_custom_name
from macaroon_cbat.text.json_text import plain_reason
from macaroon_cbat.text.printable import quoted

log = logging.getLogger("macaroon_cbat.service")

_KINDS: dict[str, Any] = {
    "string": lambda value: isinstance(value, str),
    "strings": lambda value: isinstance(value, list) and all(isinstance(one, str) for one in value),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
}


class DetailType(Struct, frozen=True, forbid_unknown_fields=True):
    """One type: a sentence for consent pages, the audiences that judge it, and the members of its details."""

    description: str
    audiences: tuple[str, ...] = ()
    """The resource servers that judge it; any if it names none."""
    members: dict[str, Any] = {}

    def mistake(self, detail: Mapping[str, Any]) -> str | None:
        """Return why a detail is not of this type, or None."""
        return _mistake({name: value for name, value in detail.items() if name != "type"}, self.members, "")


_SETTING = "MACAROON_CBAT_AUTHORIZATION_DETAILS"
Types = Mapping[str, DetailType]
_NONE: Types = MappingProxyType({})


class DetailTypes:
    """The types of the file as it is now; none without a file."""

    def __init__(self, file: Path | None = None) -> None:
        """Read the file, or raise SettingsError that says what is wrong in it."""
        self._followed = (
            None if file is None else Followed("authorization details", [file], lambda: _read(file), log)
        )

    def current(self) -> Types:
        """Return the types by name. A file that became unusable leaves those of before in force."""
        return _NONE if self._followed is None else self._followed.current()

    def metadata(self, _base: str) -> Mapping[str, object]:
        """Return the member of the service's metadata about the types (RFC 9396 10)."""
        types = sorted(self.current())
        return {"authorization_details_types_supported": types} if types else {}


NO_DETAIL_TYPES = DetailTypes()


def _read(file: Path) -> Types:
    try:
        tables = tomllib.loads(file.read_text())
    except OSError as error:
        raise SettingsError(
            f"{_SETTING}: {file} cannot be read ({error.strerror}): name the TOML file of the types"
        ) from error
    except (ValueError, RecursionError) as error:  # beside TOMLDecodeError, of a number of 5,000 digits
        raise SettingsError(f"{_SETTING}: {file} is no TOML ({error}): correct it") from error
    return {name: _type(name, table, file) for name, table in tables.items()}


def _type(name: str, table: object, file: Path) -> DetailType:
    try:
        check_custom_name(name)
        found = msgspec.convert(table, DetailType)
        _check_members(found.members)
        audiences = tuple(checked_audience(audience) for audience in found.audiences)
        return msgspec.structs.replace(found, audiences=audiences)
    except (ValueError, msgspec.ValidationError) as error:
        raise SettingsError(f"type {quoted(name)} in {file}: {plain_reason(error)}") from error


def _check_members(members: Mapping[str, Any]) -> None:
    """Raise ValueError for a kind that is none."""
    for name, kind in members.items():
        if name.removesuffix("?") == "type":
            raise ValueError("the member type is every detail's own: leave it out")
        if isinstance(kind, dict):
            _check_members(kind)
        elif not (isinstance(kind, str) and kind in _KINDS) and not _is_choice(kind):
            raise ValueError(
                f"member {quoted(name)} is {quoted(kind)}: write {', '.join(_KINDS)}, a list of words "
                "or a table of members"
            )


def _is_choice(kind: object) -> bool:
    return isinstance(kind, list) and bool(kind) and all(isinstance(word, str) for word in kind)


def _mistake(value: object, members: Mapping[str, Any], within: str) -> str | None:
    """Return why a value is no object with these members, or None; `within` names it."""
    if not isinstance(value, dict):
        return f"{within or 'it'} is no object"
    kinds = {name.removesuffix("?"): kind for name, kind in members.items()}
    if unknown := value.keys() - kinds.keys():
        return f"{within}{quoted(min(unknown))} is unknown"
    if missing := [name for name in members if not name.endswith("?") and name not in value]:
        return f"{within}{missing[0]} is missing"
    for name, one in value.items():
        if mistake := _member_mistake(one, kinds[name], f"{within}{name}"):
            return mistake
    return None


def _member_mistake(value: object, kind: Any, name: str) -> str | None:
    if isinstance(kind, dict):
        return _mistake(value, kind, f"{name}.")
    if isinstance(kind, str):
        return None if _KINDS[kind](value) else f"{name} is not of kind {kind}"
    words = value if isinstance(value, list) and value else [value]
    if all(isinstance(word, str) and word in kind for word in words):
        return None
    return f"{name} is none of {', '.join(kind)}"
