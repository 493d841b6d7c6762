"""The names of the raw header fields of a request: no two merged, none dropped, none in two spellings."""

from functools import lru_cache

from macaroon_cbat.errors import AmbiguousHeader

_FOLDED = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-.", b"abcdefghijklmnopqrstuvwxyz__")
"""The characters that some servers behind proxies take for one another in a name."""

Field = tuple[bytes, bytes]
"""Name and value of a field as it came."""

UNREAD = -2
"""The place of a name that was not asked for before."""

_TWICE = -1
_MOST_LAYOUTS = 256
_MOST_NAMES, _LONGEST_NAMES = 64, 1024
"""Names of a request, and their bytes, whose layout is remembered: a client may have written them."""
_MOST_PLACES = 64


class Layout:
    """The places of the fields of one request, in which a name has one spelling and one value, or none.

    It depends on the names alone, letter by letter and in their order, and holds no value.
    """

    __slots__ = ("_folded", "_names", "names", "places")

    def __init__(self, names: tuple[bytes, ...]) -> None:
        """Take the names as they came, in any letter case, repeated ones repeated."""
        self._names = names
        self.names = frozenset([name.lower() for name in names])
        self.places: dict[str, int | None] = {}
        """The place of each name that was asked for and is unambiguous; None if it did not come."""
        self._folded: dict[bytes, int] = {}
        for place, name in enumerate(names):
            folded = name.translate(_FOLDED)
            self._folded[folded] = _TWICE if folded in self._folded else place

    def place(self, name: str) -> int | None:
        """Return the place of a header, or None. Raises AmbiguousHeader for two, or a misspelled name."""
        wanted, folded = _spellings(name)
        place = self._folded.get(folded)
        if place is not None:
            if place == _TWICE:
                raise AmbiguousHeader(f"{name}, or a header that looks like it, came more than once")
            came = self._names[place]
            if came.lower() != wanted:
                raise AmbiguousHeader(f"a header that looks like {name} came as {came.decode('latin-1')!r}")
        if len(self.places) < _MOST_PLACES:  # this package reads few names, and settings name few
            self.places[name] = place
        return place


def layout_of(fields: tuple[Field, ...]) -> Layout:
    """Return the layout of these fields, which is remembered: requests by one proxy have the same."""
    names = tuple([field[0] for field in fields])
    if len(names) > _MOST_NAMES or len(b"".join(names)) > _LONGEST_NAMES:
        return Layout(names)
    return remembered_layout(names)


remembered_layout = lru_cache(maxsize=_MOST_LAYOUTS)(Layout)
"""`Layout` with a memory, for names that are neither many nor long."""


@lru_cache
def _spellings(name: str) -> tuple[bytes, bytes]:
    """Return a name in small letters, and folded. Remembered: this package reads few names."""
    wanted = name.lower().encode("ascii")
    return wanted, wanted.translate(_FOLDED)
