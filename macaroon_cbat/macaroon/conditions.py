"""The conditions of the macaroon bakery that a discharge may have as caveats: `time-before` and `declared`.

`time-before 2026-01-01T00:00:00Z` is an expiry (RFC 3339). `declared username alice` is an attribute that a
third party declares. A holder can add a third party of its own choice, so an attribute grants nothing: it
names, and two declarations that differ refuse. Outside of a discharge both are unknown, and prohibit.
"""

import re
from calendar import monthrange, timegm
from collections.abc import Iterable

from msgspec import Struct

from macaroon_cbat.macaroon.caveats import Expiry
from macaroon_cbat.text.printable import quoted

_MOMENT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))\Z"
)
"""A moment in text (RFC 3339 5.6)."""


class Declared(Struct, frozen=True):
    """An attribute that a third party declares in its discharge; the value may be empty."""

    name: str
    value: str


Attributes = tuple[tuple[str, str], ...]
"""Names and values, sorted by name; each name once."""


def read_condition(text: bytes) -> Expiry | Declared:
    """Return the meaning of a caveat of a discharge. Raises ValueError for text that is no such condition."""
    try:
        name, _, argument = text.decode().partition(" ")
    except UnicodeDecodeError as error:
        raise ValueError(f"unknown caveat {quoted(text)} of a discharge") from error
    if name == "time-before":
        return Expiry(_moment(argument))
    attribute, space, value = argument.partition(" ")
    if name == "declared" and attribute and space:
        return Declared(attribute, value)
    raise ValueError(f"unknown caveat {quoted(text)} of a discharge")


def conflicts(declared: Iterable[Declared]) -> list[str]:
    """Return a reason for each attribute that is declared with two values."""
    values: dict[str, set[str]] = {}
    for each in declared:
        values.setdefault(each.name, set()).add(each.value)
    return [
        f"declared: {quoted(name)} has {len(found)} values in the discharges"
        for name, found in sorted(values.items())
        if len(found) > 1
    ]


def attributes(declared: Iterable[Declared]) -> Attributes:
    """Return the attributes without repetition."""
    return tuple(sorted({(each.name, each.value) for each in declared}))


def _moment(text: str) -> int:
    """Return the whole seconds since the epoch; a fraction is cut off, so that it ends no later."""
    found = _MOMENT.match(text)
    if found is None:
        raise ValueError(f"malformed caveat time-before {quoted(text)}: write a moment of RFC 3339")
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    hours, minutes = int(found[8] or 0), int(found[9] or 0)
    is_date = year >= 1 and 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]
    if not is_date or max(hour, hours) > 23 or max(minute, second, minutes) > 59:
        raise ValueError(f"malformed caveat time-before {quoted(text)}: there is no such moment")
    ahead = (hours * 60 + minutes) * 60 * (-1 if found[7] == "-" else 1)
    return max(0, timegm((year, month, day, hour, minute, second)) - ahead)
