"""The values of numbers and UUIDs in a path, of which frameworks and databases read many spellings.

`int` of Python, with which Flask and FastAPI convert a segment, takes signs, leading zeros, `_`, blanks and
the digits of every script; `Number` of JavaScript `0x7` and `7e0`; `to_i` of Ruby, `parseInt`, PHP and MySQL
any text that begins with the number. All of that is equated here.
"""

import re
from math import isfinite
from unicodedata import decimal, normalize


def value_of(segment: str) -> str | None:
    """Return the one name of a whole segment that is a whole number or a UUID; None for any other."""
    text = _in_ascii(segment)
    found = _BEGINNING.match(text)
    if found is not None and found.end() == len(text):
        return _name(found[1], found[2])
    return _uuid(_NOISE.sub("", text))


def values_in(segment: str) -> list[str]:
    """Return the names of all values that some server reads a segment as, in time linear in its length."""
    text = _in_ascii(segment)
    uuid = _uuid(_ENDING.split(_NOISE.sub("", text), maxsplit=1)[0])
    values = [one for one in (uuid, *_decimals(text), _rounded(text), _radix(text)) if one is not None]
    return list(dict.fromkeys(values))


def _in_ascii(segment: str) -> str:
    """Return a segment in small ASCII letters and digits, character by character, which takes linear time."""
    if not segment.isascii():
        segment = _NOT_ASCII.sub(lambda found: _digit(found[0]), segment)
    return segment.strip().lower()


def _digit(character: str) -> str:
    digit = decimal(character, None)
    return normalize("NFKC", character) if digit is None else str(digit)


def _decimals(text: str) -> list[str]:
    """Return the number with which a text begins, with `_` between its digits and ended by one."""
    found = _BEGINNING.match(text)
    if found is None:
        return []
    return [_name(found[1], found[2]), _name(found[1], found[2].partition("_")[0])]


def _rounded(text: str) -> str | None:
    """Return the whole part of a floating point number: `7.0`, `7e0`, `0.7e1`."""
    try:
        number = float(text)
    except ValueError:
        return None
    return str(int(number)) if isfinite(number) else None


def _radix(text: str) -> str | None:
    """Return a number to the base 16, 8 or 2, as its prefix says: `0x7`, `0o7`, `0b111`, `010`."""
    found = _RADIX.match(text)
    if found is None:
        return None
    digits = found[3].replace("_", "").lstrip("0") or "0"
    if len(digits) > _LONGEST:
        return None
    try:
        return _name(found[1], str(int(digits, _BASES[found[2]])))
    except ValueError:
        return None


def _uuid(digits: str) -> str | None:
    """Return the name of a UUID without hyphens, braces and `urn:uuid:`."""
    return f"\0{digits}" if _UUID.match(digits) else None


def _name(sign: str, digits: str) -> str:
    number = digits.replace("_", "").lstrip("0")
    return sign + number if number else "0"


_LONGEST = 1000
"""Digits of a number that may be converted: Python does not write longer ones than 4,300."""
_BASES = {"x": 16, "o": 8, "": 8, "b": 2}
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_BEGINNING = re.compile(r"[+\s]*(-?)[0_]*([0-9][0-9_]*)")
_RADIX = re.compile(r"[+\s]*(-?)0([xob]?)([0-9a-f_]+)\Z")
_NOISE = re.compile(r"urn:|uuid:|[{}()_\s+-]")
_UUID = re.compile(r"[0-9a-f]{32}\Z")
_ENDING = re.compile(r"[.:]")
