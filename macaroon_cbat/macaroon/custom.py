"""Custom caveats: restrictions that a resource server names itself, and judges with code of its own.

The name stands where a known caveat has its member, such as `{"payment":{"currency":"EUR","most":100}}`. A
verifier without a judge of this name refuses the caveat. The caveat `authorization_details` (RFC 9396 2) has
one or more details, and each goes to the judge that has the name of its type: one of them must allow the
access.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from macaroon_cbat.macaroon.caveats import KNOWN_CAVEATS, Access, Caveat, caveat_text, known_and_others
from macaroon_cbat.text.json_text import UnusableJson, read_members
from macaroon_cbat.text.printable import quoted

Judge = Callable[[Any, Access], str | None]
"""A function of a caveat's JSON value and the facts of the request: the reason to refuse it, or None."""

NO_JUDGES: Mapping[str, Judge] = MappingProxyType({})
"""The judges of a verifier that knows no custom caveat."""

AUTHORIZATION_DETAILS = "authorization_details"
REGISTRATION = "registration"
"""The caveat that bounds registrations, which the service judges at its own endpoint (RFC 7591)."""
MAX_QUESTIONS = 100
"""Judges that are asked for one request, each of which may ask a database; a detail is a question, too."""

RESERVED_NAMES = frozenset({AUTHORIZATION_DETAILS, "act", "declared", "may_act", "time-before"})
_NAME = re.compile(r"[!#-<>-\[\]-~]{1,100}\Z")
"""Visible ASCII without quotes, backslash and `=`: types of RFC 9396 may be URIs."""


class CustomCaveat(Struct, frozen=True):
    """A caveat that only a resource server with a judge of this name accepts."""

    name: str
    value: Any
    """The JSON value that the judge is given."""


AnyCaveat = Caveat | CustomCaveat


def check_custom_name(name: str) -> None:
    """Raise ValueError for a name that no custom caveat can have: known, reserved, or nearly a known one."""
    if name in KNOWN_CAVEATS or name in RESERVED_NAMES:
        raise ValueError(f"{quoted(name)} is a name with a meaning of its own: choose another")
    if not _NAME.match(name):
        raise ValueError(f"{quoted(name)} is no name of a caveat: write visible ASCII without quotes and =")
    if near := get_close_matches(name.lower(), KNOWN_CAVEATS, n=1, cutoff=0.8):
        raise ValueError(f"unknown caveat {quoted(name)}: did you mean {near[0]}?")


def custom_caveat(name: str, json_value: bytes) -> CustomCaveat:
    """Return the caveat of this name and JSON value, or raise ValueError that says why it is none."""
    check_custom_name(name)
    try:
        members = read_members(b'{"value":%b}' % json_value)
    except UnusableJson as error:
        raise ValueError(f"the value of {quoted(name)} is not usable: {error}") from error
    if members.keys() != {"value"}:
        raise ValueError(f"the value of {quoted(name)} is not usable: write one JSON value")
    return CustomCaveat(name, members["value"])


def any_text(caveat: AnyCaveat) -> bytes:
    """Return the compact text of a caveat of either kind, or raise ValueError where no verifier could."""
    if not isinstance(caveat, CustomCaveat):
        return caveat_text(caveat)
    text = msgspec.json.encode({caveat.name: caveat.value})
    read_any_caveats(text)
    return text


def read_any_caveats(text: bytes) -> tuple[AnyCaveat, ...]:
    """Return the caveats that the text says: those that are known here, then the custom ones.

    Raises ValueError for a text that is none, and for a name that no custom caveat can have.
    """
    known, others = known_and_others(text)
    for name, value in others.items():
        if name != AUTHORIZATION_DETAILS:
            check_custom_name(name)
        elif not _are_details(value):
            raise ValueError(f"malformed caveat {quoted(text)}: write a list of objects, each with its type")
    return (*known, *(CustomCaveat(name, value) for name, value in others.items()))


def judged_caveats(text: bytes, judges: Mapping[str, Judge]) -> tuple[AnyCaveat, ...]:
    """Return the caveats that the text says. Raises ValueError if there is no judge for one of them."""
    found = read_any_caveats(text)
    for caveat in found:
        if isinstance(caveat, CustomCaveat) and caveat.name not in judges:
            if caveat.name == AUTHORIZATION_DETAILS and judges:
                continue  # the types of the details have the judges
            raise ValueError(f"unknown caveat {quoted(caveat.name)}")
    return found


def why_too_many(caveats: Iterable[CustomCaveat]) -> str | None:
    """Return why these caveats are not judged: a holder can write thousands into a token's discharges."""
    questions = sum(len(one.value) if one.name == AUTHORIZATION_DETAILS else 1 for one in caveats)
    if questions <= MAX_QUESTIONS:
        return None
    return f"{questions} custom caveats and details, more than {MAX_QUESTIONS}: restrict by fewer"


def refusals(
    caveats: Iterable[CustomCaveat], access: Access, judges: Mapping[str, Judge]
) -> list[tuple[str, str]]:
    """Return the name and the reason of each caveat whose judge refuses the access.

    An error that a judge raises passes: the caller decides whether it is a refusal.
    """
    found = [(caveat.name, _reason(caveat, access, judges)) for caveat in caveats]
    return [(name, f"{name}: {reason}") for name, reason in found if reason is not None]


def _reason(caveat: CustomCaveat, access: Access, judges: Mapping[str, Judge]) -> str | None:
    if caveat.name != AUTHORIZATION_DETAILS:
        return judges[caveat.name](caveat.value, access)
    reasons: list[str] = []
    for detail in caveat.value:
        reason = _reason_of_detail(detail, access, judges)
        if reason is None:
            return None
        reasons.append(reason)
    return "; ".join(reasons)


def _reason_of_detail(detail: dict[str, Any], access: Access, judges: Mapping[str, Judge]) -> str | None:
    kind = detail["type"]
    return judges[kind](detail, access) if kind in judges else f"unknown type {quoted(kind)}"


def split(caveats: Sequence[AnyCaveat]) -> tuple[list[Caveat], list[CustomCaveat]]:
    """Return the known caveats and the custom ones, each in their order."""
    custom = [caveat for caveat in caveats if isinstance(caveat, CustomCaveat)]
    return [caveat for caveat in caveats if not isinstance(caveat, CustomCaveat)], custom


def _are_details(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(one, dict) and isinstance(one.get("type"), str) for one in value)
    )
