"""The rules of a gateway: the scope that a request needs, by path and method, or its refusal without one.

The most specific path decides alone, an exact one before a prefix. The rule that names the method applies,
else the one for every method. A shorter path never applies instead, or a forgotten method would fall through
to a laxer rule. Nor does a path fall through that a server may take for a ruled one (`similar_paths`).

The method is that of the request line. A server that takes another one from the body (`_method`) or from a
header (`X-HTTP-Method-Override`) runs a method that no rule has judged: turn that off there. Some methods
name a second target in a header (`Destination` of WebDAV's COPY and MOVE) or in the body, which is not
judged: a rule has to name such a method to open it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, NamedTuple
from urllib.parse import unquote_to_bytes

from msgspec import Meta, Struct

from macaroon_cbat.errors import InvalidRequest, NoRule
from macaroon_cbat.gateway.similar_paths import SimilarPaths
from macaroon_cbat.macaroon.claims import SCOPE_PATTERN
from macaroon_cbat.macaroon.target import is_plain_path

LONGEST_METHOD = 32
MethodText = Annotated[str, Meta(pattern=r"^[A-Z][A-Z-]*\Z", max_length=LONGEST_METHOD)]
Need = Annotated[str, Meta(pattern=rf"^(?:{SCOPE_PATTERN[1:-2]})?\Z")]
RulePath = Annotated[str, Meta(pattern="^/")]


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rule of one path: each of these scopes is needed, or nothing at all (`public`).

    `path` is percent-decoded and stands for itself and everything below it, on a segment boundary, or
    with `exact` for itself alone. No `methods` means every method but CONNECT, TRACE, TRACK and those with
    a second target (COPY, MOVE, ...), which a rule must name; `scope = ""` means any valid token.
    """

    path: RulePath
    """Path, percent-decoded, that the rule is about, with everything below it."""
    exact: bool = False
    """True for this path alone."""
    methods: Annotated[tuple[MethodText, ...], Meta(min_length=1)] | None = None
    """Methods that the rule is about; by default all but CONNECT, TRACE, TRACK and those with two targets."""
    scope: Need | None = None
    """Scopes that the token needs, with a space between two; empty for any valid token."""
    public: bool = False
    """True lets in every request, without a token."""

    def mistake(self) -> str | None:
        """Return the mistake in this rule, or None."""
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

_MOST_ROUTES = 4096
_LONGEST_ROUTE = 256
"""Characters of the longest method and path that are remembered: a client writes both."""


class Route(NamedTuple):
    """The rule of a method and a path, percent-decoded. It says what is needed, and admits no request."""

    rule: Rule
    path: str


class Rules:
    """The rules of one gateway, indexed by path."""

    __slots__ = ("_exact", "_lengths", "_prefixes", "_similar", "remembered")

    def __init__(self, rules: Sequence[Rule]) -> None:
        """Index rules without mistakes. Raises ValueError if two are about the same requests."""
        self._exact: dict[str, _ByMethod] = {}
        self._prefixes: dict[str, _ByMethod] = {}
        for rule in rules:
            by_method = (self._exact if rule.exact else self._prefixes).setdefault(rule.path, {})
            for method in rule.methods or (None,):
                if method in by_method:
                    raise ValueError(f"two rules cover {method or 'any method'} of {rule.path!r}")
                by_method[method] = rule
        self._lengths = sorted({len(path) for path in self._prefixes}, reverse=True)
        self._similar = SimilarPaths(self._prefixes, self._exact)
        self.remembered = lru_cache(maxsize=_MOST_ROUTES)(self._route)

    def scopes(self) -> set[str]:
        """Return every scope that a rule requires."""
        every = (*self._exact.values(), *self._prefixes.values())
        needs = [rule.scope for by_method in every for rule in by_method.values()]
        return {scope for need in needs if need for scope in need.split(" ")}

    def route(self, method: str, uri: str) -> Route:
        """Return the rule and the path of a request line. Raises InvalidRequest, or NoRule.

        What is found is remembered by method and path as long as these rules are in force; a refusal is not.
        The query is checked each time.
        """
        raw, _, query = uri.partition("?")
        if len(method) + len(raw) > _LONGEST_ROUTE or (query and not _VISIBLE.match(query)):
            return self._route(method, uri)
        return self.remembered(method, raw)

    def _route(self, method: str, uri: str) -> Route:
        method, path = method_of(method), path_of(uri)
        return Route(self.rule_for(method, path), path)

    def rule_for(self, method: str, path: str) -> Rule:
        """Return the rule for this method and plain path. Raises NoRule."""
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
    """Return the method of a request. Raises InvalidRequest.

    Methods are case-sensitive (RFC 9110 9.1), and some servers run `delete` as DELETE.
    """
    if len(text) <= LONGEST_METHOD and _METHOD.match(text):
        return text
    raise InvalidRequest(
        f"{text[:LONGEST_METHOD]!r} is no method: send capital letters and hyphens, 32 at most"
    )


def path_of(uri: str) -> str:
    """Return the percent-decoded path of a request target. Raises InvalidRequest for an ambiguous one.

    Nothing is normalized. A path is refused if the server behind the gateway could normalize it, decode it
    twice, or read a parameter in it: for dot segments, empty segments, encoded slashes, backslashes,
    semicolons, controls, characters that a Unicode normal form makes one of these, and all that RFC 3986
    does not allow in a path. The query, after `?`, is visible ASCII.
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
    raise InvalidRequest(
        f"the path {raw!r} can be read in more than one way, or is no path: send it normalized"
    )


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
"""Methods that act on another resource, named in a header or the body, as well or alone."""

_NAMED_ONLY = frozenset((*_TUNNELS_AND_ECHOES, *_SECOND_TARGET))
"""Methods that tunnel, echo headers, or act elsewhere: only a rule that names them opens them."""

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
