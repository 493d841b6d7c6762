"""JSON that another process wrote -> a value of the expected shape, or one kind of error."""

from typing import TypeVar

import msgspec

_Shape = TypeVar("_Shape")


class UnusableJson(ValueError):
    """The text is no JSON, JSON of another shape, or nested deeper than a parser follows."""


def read_json_text(text: bytes | msgspec.Raw, shape: type[_Shape]) -> _Shape:
    """Return the value that the text spells, or raise UnusableJson that says where it differs.

    Members that the shape does not name are skipped. A parser follows these as well, so an attacker can
    nest them until it gives up with RecursionError.
    """
    try:
        return msgspec.json.decode(text, type=shape)
    except RecursionError:
        raise UnusableJson("the JSON is nested too deeply") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnusableJson(str(error)) from error
