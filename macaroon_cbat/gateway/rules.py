"""Which scope a request needs at a gateway, by path and method. What no rule opens stays closed.

The most specific path decides alone: of the rules for the longest matching path, an exact one before a
prefix, one that names the method counts, then one for every method. A shorter path never helps out, or
a forgotten method would fall through to a laxer rule. Nor does a path that a server may take for a ruled one
fall through (`similar_paths.py`).

The method is that of the request line. A server that takes another one from the body (`_method`) or from a
header (`X-HTTP-Method-Override`) runs a method that no rule was asked about: turn that off there. Nor is a
second target judged, which some methods name in a header (`Destination` of WebDAV's COPY and MOVE) or in the
body: only a rule that names such a method opens it.
"""

import re
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import unquote_to_bytes

from msgspec import Meta, Struct

from macaroon_cbat.errors import InvalidRequest, NoRule
from macaroon_cbat.gateway.similar_paths import SimilarPaths
from macaroon_cbat.macaroon.claims import SCOPE_PATTERN
from macaroon_cbat.macaroon.target import is_plain_path

LONGEST_METHOD = 32
MethodName = Annotated[str, Meta(pattern=r"^[A-Z][A-Z-]*\Z", max_length=LONGEST_METHOD)]
Need = Annotated[str, Meta(pattern=rf"^(?:{SCOPE_PATTERN[1:-2]})?\Z")]
RulePath = Annotated[str, Meta(pattern="^/")]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one path needs: each of these scopes, or nothing at all (`public`).

    `path` is percent-decoded and stands for itself and everything below it, on a segment boundary, or
    with `exact` for itself alone. No `methods` means every method but CONNECT, TRACE, TRACK and those with
    a second target (COPY, MOVE, ...), which a rule must name; `scope = ""` means any valid token.
    """

    path: RulePath
    exact: bool = False
    methods: Annotated[tuple[MethodName, ...], Meta(min_length=1)] | None = None
    scope: Need | None = None
    public: bool = False

    def mistake(self) -> str | None:
        """Return what is wrong with this rule, or None."""
        if not is_plain_path(self.path) or not _is_unambiguous(self.path):
            return (
                f"{self.path!r} can be read in more than one way: write the path percent-decoded, without ;"
            )
        if self.public == (self.scope is not None):
            return f'{self.path!r} needs either a scope ("" for any token) or public = true'
        return None

    def __str__(self) -> str:
        """Return the rule as one line for people."""
        methods = "any method" if self.methods is None else " ".join(self.methods)
        need = "public" if self.public else f"scope {self.scope}" if self.scope else "any token"
        return f"{self.path}{'' if self.exact else '[/...]'}  {methods}  {need}"


_ByMethod = dict[str | None, Rule]


class Rules:
    """The rules of one gateway, ready for looking up."""

    __slots__ = ("_exact", "_lengths", "_prefixes", "_similar")

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Take rules without mistakes; raise ValueError when two are about the same requests."""
        self._exact: dict[str, _ByMethod] = {}
        self._prefixes: dict[str, _ByMethod] = {}
        for rule in rules:
            by_method = (self._exact if rule.exact else self._prefixes).setdefault(rule.path, {})
            for method in rule.methods or (None,):
                if method in by_method:
                    raise ValueError(f"two rules are about {method or 'any method'} of {rule.path!r}")
                by_method[method] = rule
        self._lengths = sorted({len(path) for path in self._prefixes}, reverse=True)
        self._similar = SimilarPaths(self._prefixes, self._exact)

    def scopes(self) -> set[str]:
        """Return every scope that some rule wants."""
        every = (*self._exact.values(), *self._prefixes.values())
        needs = [rule.scope for by_method in every for rule in by_method.values()]
        return {scope for need in needs if need for scope in need.split(" ")}

    def rule_for(self, method: str, path: str) -> Rule:
        """Return the rule for this method and plain path, or raise NoRule."""
        by_method = self._exact.get(path) or self._longest_prefix(path)
        rule = by_method.get(method)
        if rule is None and method not in _NAMED_ONLY:
            rule = by_method.get(None)
        if rule is None:
            raise NoRule(f"no rule opens {method!r} of {path!r}")
        return rule

    def _longest_prefix(self, path: str) -> _ByMethod:
        for length in self._lengths:
            if length > len(path) or (by_method := self._prefixes.get(path[:length])) is None:
                continue
            if length == len(path):
                return by_method
            if path[length] == "/" or path[length - 1] == "/":
                self._refuse_similar(path, path[:length])
                return by_method
        raise NoRule(f"no rule is about {path!r}")

    def _refuse_similar(self, path: str, ruled: str) -> None:
        similar = self._similar.to(path, ruled)
        if similar is not None:
            raise NoRule(
                f"{path!r} could be taken for {similar!r}, which has a rule of its own: give it one as well"
            )


def method_of(text: str) -> str:
    """Return the method of a request, or raise InvalidRequest.

    Methods are case-sensitive (RFC 9110 9.1), and some servers run `delete` as DELETE.
    """
    if len(text) <= LONGEST_METHOD and _METHOD.match(text):
        return text
    raise InvalidRequest(
        f"{text[:LONGEST_METHOD]!r} is no method: send capital letters and hyphens, 32 at most"
    )


def path_of(uri: str) -> str:
    """Return the percent-decoded path of a request target, or raise InvalidRequest.

    Nothing is normalized. What a server behind the gateway could normalize, decode twice or take for a
    parameter is refused: dot segments, empty segments, encoded slashes, backslashes, semicolons, controls,
    what a Unicode normal form makes one of these, and whatever RFC 3986 does not let a path contain. Behind
    the path, which ends at `?`, stands visible ASCII alone.
    """
    raw = uri.partition("?")[0]
    if _RAW_PATH.match(raw) and _VISIBLE.match(uri):
        try:
            path = unquote_to_bytes(raw).decode() if "%" in raw else raw
        except UnicodeDecodeError:
            pass
        else:
            if is_plain_path(path) and _is_unambiguous(path):
                return path
    raise InvalidRequest(f"the path {raw!r} could be read in more than one way, or is none")


def _is_unambiguous(path: str) -> bool:
    return _AMBIGUOUS.search(path) is None and (path.isascii() or _AMBIGUOUS_IN_UNICODE.search(path) is None)


_METHOD = re.compile(r"[A-Z][A-Z-]*\Z")
_TUNNELS_AND_ECHOES = ("CONNECT", "TRACE", "TRACK")
_SECOND_TARGET = (
    "COPY", "MOVE",  # RFC 4918
    "BIND", "REBIND", "UNBIND",  # RFC 5842
    "BASELINE-CONTROL", "CHECKIN", "CHECKOUT", "LABEL", "MERGE", "MKACTIVITY", "MKWORKSPACE", "REPORT",
    "UNCHECKOUT", "UPDATE", "VERSION-CONTROL",  # RFC 3253
    "ORDERPATCH",  # RFC 3648
    "MKREDIRECTREF", "UPDATEREDIRECTREF",  # RFC 4437
    "SEARCH",  # RFC 5323
    "LINK", "UNLINK",  # RFC 2068
    "BCOPY", "BDELETE", "BMOVE", "BPROPFIND", "BPROPPATCH",  # Microsoft's batches
)  # fmt: skip
"""Methods that act on another resource too, or on it alone, which a header or the body names."""

_NAMED_ONLY = frozenset((*_TUNNELS_AND_ECHOES, *_SECOND_TARGET))
"""They make a tunnel, send headers back, or act elsewhere: no rule means them that does not say so."""

_VISIBLE = re.compile(r"[!-~]+\Z")

_RAW_PATH = re.compile(
    r"/ (?: [!$&'()*+,\-./0-9:=@A-Z_a-z~] | % (?! 2f | 5c ) [0-9a-f]{2} )* \Z", re.VERBOSE | re.IGNORECASE
)
_AMBIGUOUS = re.compile(r"[;?#\x00-\x1f\x7f-\x9f]")
_AMBIGUOUS_IN_UNICODE = re.compile(
    r"""[\u037e\u2100\u2101\u2105\u2106\ufe68\uff0f\uff3c]  # ; / \ in another normal form
        | / (?: [.\u2024\ufe52\uff0e]{1,2} | \u2025 ) (?: / | \Z )  # a dot segment""",
    re.VERBOSE,
)
