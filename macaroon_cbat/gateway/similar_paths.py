"""Paths that a server may take for a ruled path although they are others: `/Admin`, `/admin.json`, `/admin/`.

Servers equate different things: letter case (Express, ASP.NET, Windows), dots and blanks at the end of a
segment and `::$DATA` (Windows), a format after a dot (Rails, Django REST framework), a slash at the end of
the path, Unicode normal forms (macOS), invisible characters, and the spellings of a number or a UUID
(`segment_values`). All of that is equated here, in each segment, for every server.
"""

import re
from collections.abc import Iterable
from unicodedata import normalize

from macaroon_cbat.gateway.segment_values import value_of, values_in


class _Node:
    """A folded segment of ruled paths, and the paths that end with it."""

    __slots__ = ("below", "exact", "has_values", "longest", "prefix")

    def __init__(self) -> None:
        self.below: dict[str, _Node] = {}
        self.has_values = False
        self.longest = 0
        self.prefix: str | None = None
        self.exact: str | None = None


class SimilarPaths:
    """The ruled paths of one gateway, folded once, so that a request costs next to nothing."""

    __slots__ = ("_is_itself", "_root")

    def __init__(self, prefixes: Iterable[str], exact: Iterable[str]) -> None:
        """Take the percent-decoded paths of the rules."""
        prefixes, exact = list(prefixes), list(exact)
        self._root = _Node()
        self._is_itself = _pattern([*prefixes, *exact]).match
        for path in prefixes:
            self._node_of(path).prefix = path
        for path in exact:
            self._node_of(path).exact = path

    def to(self, path: str, ruled: str) -> str | None:
        """Return a ruled path that `path` could be taken for, or None.

        `ruled` is the longest ruled path that `path` is below, letter by letter. Only a path that says more
        counts: one of more segments, or of as many and exact.
        """
        if self._is_itself(path):
            return None
        least, segments = len(_segments(ruled)), _segments(path)
        nodes, depth = [self._root], 0
        while nodes:
            for node in nodes:
                if node.prefix is not None and depth > least:
                    return node.prefix
                if node.exact is not None and depth == len(segments):
                    return node.exact
            if depth == len(segments):
                break
            nodes = [below for node in nodes if node.below for below in _taken_for(segments[depth], node)]
            depth += 1
        return None

    def _node_of(self, path: str) -> _Node:
        node = self._root
        for segment in _segments(path):
            node = _below(node, segment)
        return node


def _below(node: _Node, segment: str) -> _Node:
    """Return the node of a ruled segment, under its folded name and under that of its value."""
    folded, value = _folded(segment, len(segment)), value_of(segment)
    name = folded if value is None else value
    node.longest = max(node.longest, len(folded))
    node.has_values |= value is not None
    found = node.below.setdefault(name, _Node())
    node.below[folded] = found
    return found


def _pattern(ruled: list[str]) -> re.Pattern[str]:
    """Return what matches paths that folding would not change, as far down as rules reach.

    It matches nothing where folding changes a rule, and where a rule has a number, no number in other
    spellings than plain digits.
    """
    if any(path != "/" + "/".join(_folded_segments(path)) for path in ruled):
        return _NEVER
    values = {one: value for path in ruled for one in _segments(path) if (value := value_of(one)) is not None}
    if any(one != value for one, value in values.items()):
        return _NEVER  # a UUID, or a number that has a plainer spelling
    plain = _PLAIN_VALUES if values else rf"[{_PLAIN}]+"
    depth = max(map(len, map(_segments, ruled)), default=0)
    below = rf"(?:/{plain}){{{depth}}}/[A-Z{_PLAIN}]"  # what begins like this is not all blanks
    return re.compile(rf"{below}|(?:/{plain}){{1,{max(1, depth)}}}\Z")


def _segments(path: str) -> list[str]:
    """Return the segments of which something is left: not the empty one at the end, and none of blanks."""
    return [one for one in path[1:].split("/") if _BEGINS_VISIBLY.match(one) or not _NOTHING.match(one)]


def _folded_segments(path: str) -> list[str]:
    return [_folded(segment, len(segment)) for segment in _segments(path)]


def _taken_for(segment: str, node: _Node) -> list[_Node]:
    """Return what a segment could be taken for: it is folded, and each of its endings may be ignored."""
    if _PLAIN_SEGMENT.match(segment):
        names = [segment]
    else:
        folded = _folded(segment, node.longest)
        names = [folded]
        for ending in _ENDING.finditer(folded):
            names.append(folded[: ending.start()].rstrip(_IGNORED_AT_THE_END))
    if node.has_values:
        names += values_in(_INVISIBLE.sub("", segment))
    found = [node.below[name] for name in dict.fromkeys(names) if name in node.below]
    return found if len(found) < 2 else list(dict.fromkeys(found))  # one node, two names


def _folded(segment: str, longest: int) -> str:
    """Return what all spellings of a segment have in common, as far as it matters for so many characters.

    What is ignored wherever it stands goes first, however much of it there is. A character has four at most
    in its decomposed form: the rest is cut off before the Unicode normalization, which takes quadratic time
    for text that an attacker chose.
    """
    if segment.isascii():
        return segment.strip()[: 4 * longest + 2].lower().rstrip(_IGNORED_AT_THE_END)
    text = _INVISIBLE.sub("", segment).strip()[: 4 * longest + 2]
    text = normalize("NFKC", text).upper().casefold()  # upper first: a dotless i becomes an i
    return normalize("NFKC", text).replace("i\u0307", "i").strip().rstrip(_IGNORED_AT_THE_END)


_SIGNS = "_~!$&'()*+,=@-"
_PLAIN = f"a-z0-9{_SIGNS}"
_PLAIN_VALUES = rf"(?:[a-z][{_PLAIN}]*|[{_SIGNS}][a-z{_SIGNS}]*|[1-9][0-9]*|0)"
_BEGINS_VISIBLY = re.compile(rf"[A-Z{_PLAIN}]")
_PLAIN_SEGMENT = re.compile(rf"[{_PLAIN}]+\Z")
_NEVER = re.compile(r"(?!)")
_ENDING = re.compile(r"(?<=.)(?:\.|::?\$)")
_IGNORED_AT_THE_END = ". \u1680\u2028\u2029"
_NOT_VISIBLE = (
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""Default_Ignorable_Code_Point of Unicode."""
_DOTS = ".\u2024-\u2026\ufe19\ufe30\ufe52\uff0e"
"""The characters that are one or more dots in a Unicode normal form."""
_INVISIBLE = re.compile(f"[{_NOT_VISIBLE}]+")
_NOTHING = re.compile(rf"[\s{_DOTS}{_NOT_VISIBLE}]*\Z")
