"""Strict reading of JSON that another process wrote."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

_Shape = TypeVar("_Shape")
_MOST_DIGITS = 100
DEEPEST = 32
"""Lists and objects within one another that `read_members` reads.

A parser's own limit depends on how deep its caller's stack is: what it reads, later code could fail on.
"""
_JSON_SPACE = " \t\r\n"


class UnusableJson(ValueError):
    """The text is not JSON, JSON of another shape, or nested deeper than a parser follows."""


def read_json_text(text: bytes | msgspec.Raw, shape: type[_Shape]) -> _Shape:
    """Return the value that the text spells. Raises UnusableJson, which says where it differs.

    Members that the shape does not name are skipped. The parser reads these as well, so an attacker can nest
    them until it gives up with RecursionError.
    """
    try:
        return msgspec.json.decode(text, type=shape)
    except RecursionError:
        raise UnusableJson("the JSON is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnusableJson(str(error)) from error


def read_members(text: bytes) -> dict[str, object]:
    """Return the members of the one JSON object (RFC 8259) that the text spells.

    Raises UnusableJson for text that two parsers could read as two values: a repeated key at any depth,
    escaped or not, NaN, a number beyond IEEE 754 or of too many digits, half a surrogate pair, a byte order
    mark. So is text that is nested deeper than DEEPEST.
    """
    try:
        spelled = text.decode()
        members = _DECODER.decode(spelled)
        _refuse_deep(spelled, members)
        msgspec.json.encode(members)
    except json.JSONDecodeError as error:
        raise UnusableJson(_syntax_error(spelled, error)) from None
    except UnicodeDecodeError:
        raise UnusableJson("it is not UTF-8") from None
    except UnicodeEncodeError:
        raise UnusableJson("it holds half a surrogate pair") from None
    except RecursionError:
        raise UnusableJson("it is nested too deeply") from None
    if not isinstance(members, dict):
        raise UnusableJson("it is no JSON object")
    return members


def _refuse_deep(spelled: str, value: object) -> None:
    """Raise UnusableJson if the value, which this text spells, is nested too deeply."""
    if spelled.count("[") + spelled.count("{") <= DEEPEST:
        return
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for outer in level for inner in _inner(outer)]
    if any(isinstance(one, dict | list) for one in level):
        raise UnusableJson("it is nested too deeply")


def _inner(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def plain_reason(error: Exception) -> str:
    """Return why a value does not fit, in plain words: the place, the problem, and what to write."""
    reason, _, place = str(error).partition(" - at `$")
    place = place.rstrip("`").removeprefix(".")
    for pattern, words in _PLAIN:
        if found := pattern.match(reason):
            return words(place, **found.groupdict())
    return f"{place} is not of the right form: {reason}" if place else reason


def _wrong_form(place: str) -> str:
    form = _FORMS.get(place.rpartition(".")[2].partition("[")[0], "text of the right form")
    return f"{place or 'it'} is malformed: write {form}"


def _wrong_type(place: str, wanted: str, got: str) -> str:
    kinds = " or ".join(_TYPES.get(one, one) for one in wanted.split(" | ") if one != "null")
    return f"{place or 'it'} is {_TYPES.get(got, got)}: write {kinds}"


def _out_of_range(place: str, than: str, limit: str) -> str:
    is_low = than == ">="
    bound = f"{limit} at {'least' if is_low else 'most'}"
    return f"{place or 'it'} is too {'small' if is_low else 'large'}: write a whole number, {bound}"


def _empty(place: str, kind: str) -> str:
    return f"{place or 'it'} is {_TYPES.get(kind, kind)} without anything in it: name one at least"


def _unknown(place: str, name: str) -> str:
    return f"{_within(place, name)} is unknown: correct its name, or leave it out"


def _unknown_word(place: str, word: str) -> str:
    return f"{place or 'it'} is {word[:60]}, which is unknown here: write one of those in the documentation"


def _missing(place: str, name: str) -> str:
    return f"{_within(place, name)} is missing: add it"


def _within(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


_PLAIN: tuple[tuple[re.Pattern[str], Callable[..., str]], ...] = (
    (re.compile(r"Expected `str` matching regex ['\"]", re.DOTALL), _wrong_form),
    (re.compile(r"Expected `(?P<wanted>[a-z |]+)`, got `(?P<got>[a-z]+)`\Z"), _wrong_type),
    (re.compile(r"Expected `int` (?P<than>[<>]=) (?P<limit>-?[0-9]+)\Z"), _out_of_range),
    (re.compile(r"Expected `(?P<kind>array|object|str)` of length >= 1\Z"), _empty),
    (re.compile(r"Invalid enum value (?P<word>.*)\Z", re.DOTALL), _unknown_word),
    (re.compile(r"Object contains unknown field `(?P<name>.*)`\Z", re.DOTALL), _unknown),
    (re.compile(r"Object missing required field `(?P<name>.*)`\Z"), _missing),
)
"""The reasons of msgspec, each with the plain words for it."""

_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number with a fraction",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
}
_FORMS = {
    "scope": "words of visible ASCII without quotes, with one space between two (RFC 6749 3.3)",
    "x5t#S256": "the 43 characters that macaroon-cbat thumbprint prints",
    "jkt": "the 43 characters of the key's thumbprint (RFC 7638)",
    "htm": "an HTTP method, such as GET",
    "hosts": "a host in lower case without a port, such as app.example, xn--bcher-kva.example or [::1], or a "
    "scheme with its colon",
}
"""The right form of a member, in plain words."""


def _syntax_error(text: str, error: json.JSONDecodeError) -> str:
    if text.startswith("\ufeff"):
        return "it begins with a byte order mark"
    before, after = text[: error.pos].rstrip(_JSON_SPACE), text[error.pos :].lstrip(_JSON_SPACE + ",")
    if after[:1] in ("}", "]") and (before.endswith(",") or text[error.pos] == ","):
        return "it has a trailing comma"
    return f"it is no JSON at character {error.pos + 1}"


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        repeated, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise UnusableJson(f"it repeats the key {repeated[:40]!r}")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise UnusableJson(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise UnusableJson(f"it holds the number {digits[:20]}, which is beyond IEEE 754")
    return number


def _no_constant(name: str) -> object:
    raise UnusableJson(f"it holds {name}, which is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_number, parse_constant=_no_constant
)
