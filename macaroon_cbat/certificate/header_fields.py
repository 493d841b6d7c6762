"""The raw header fields of a request: no two merged, none dropped, no name in two spellings."""

from collections.abc import Iterable
from functools import lru_cache

from macaroon_cbat.errors import AmbiguousHeader

_FOLDED = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-.", b"abcdefghijklmnopqrstuvwxyz__")
"""The characters that some servers behind proxies take for one another in a name."""

_TWICE = (b"", b"")


class HeaderFields:
    """The fields of one request, in which a name has one spelling and one value, or none at all."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the fields as they came: name and value, in any letter case, repeated ones repeated."""
        folded: dict[bytes, tuple[bytes, bytes]] = {}
        for field in fields:
            name = field[0].translate(_FOLDED)
            folded[name] = _TWICE if name in folded else field
        self._fields = folded

    def one(self, name: str) -> str | None:
        """Return the value of a header, or None. Raises AmbiguousHeader for two, or a misspelled name."""
        wanted, folded = _spellings(name)
        field = self._fields.get(folded)
        if field is None:
            return None
        if field is _TWICE:
            raise AmbiguousHeader(f"{name}, or a header that looks like it, came more than once")
        if field[0].lower() != wanted:
            raise AmbiguousHeader(f"a header that looks like {name} came as {field[0].decode('latin-1')!r}")
        return field[1].decode("latin-1").strip(" \t")


@lru_cache
def _spellings(name: str) -> tuple[bytes, bytes]:
    """Return a name in small letters, and folded. Remembered: this package reads few names."""
    wanted = name.lower().encode("ascii")
    return wanted, wanted.translate(_FOLDED)
