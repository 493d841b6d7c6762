"""SPIFFE IDs, and the patterns of them that a client can register for tls_client_auth."""

import re

from msgspec import Struct

LONGEST_ID = 2048
"""Characters of a SPIFFE ID at most (SPIFFE-ID 2.3)."""

_TRUST_DOMAIN = re.compile(r"[a-z0-9._-]{1,255}\Z")
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+\Z")
_SCHEME = "spiffe://"


class SpiffeId(Struct, frozen=True):
    """The name of a workload: its trust domain, and its path, which begins with / unless it is empty."""

    trust_domain: str
    path: str

    def __str__(self) -> str:
        """Return the URI."""
        return f"{_SCHEME}{self.trust_domain}{self.path}"


class SpiffePattern(Struct, frozen=True):
    """The SPIFFE IDs of one client: the ID itself, or every ID below `path` if it ends with /."""

    trust_domain: str
    path: str

    def matches(self, found: SpiffeId) -> bool:
        """Return True if this ID is one of the pattern's, whose trust domain is compared as a whole."""
        if found.trust_domain != self.trust_domain:
            return False
        if self.path.endswith("/"):
            return found.path.startswith(self.path) and found.path != self.path
        return found.path == self.path


def is_trust_domain(name: str) -> bool:
    """Return True for the name of a trust domain (SPIFFE-ID 2.1): lower case alone, and no port."""
    return _TRUST_DOMAIN.match(name) is not None


def parse_spiffe_id(text: str) -> SpiffeId:
    """Return the SPIFFE ID in this text (SPIFFE-ID 2), or raise ValueError.

    One ID has one spelling: no upper case in the trust domain, no dot segments, no encoded characters, no
    empty segment, no query and no fragment. The path may be empty, which names the trust domain itself.
    """
    if len(text) > LONGEST_ID or not text.startswith(_SCHEME):
        raise ValueError(f"a SPIFFE ID begins with {_SCHEME} and has {LONGEST_ID:,} characters at most")
    trust_domain, slash, path = text.removeprefix(_SCHEME).partition("/")
    if not is_trust_domain(trust_domain):
        raise ValueError("the trust domain of a SPIFFE ID has lower-case letters, digits and . _ - alone")
    if slash and not all(_is_segment(segment) for segment in path.split("/")):
        raise ValueError(
            "the path of a SPIFFE ID has segments of letters, digits and . _ - alone, none empty, . or .."
        )
    return SpiffeId(trust_domain, slash + path)


def parse_spiffe_pattern(text: str) -> SpiffePattern:
    """Return the pattern in this text: the ID of a workload, or one whose last segment is `*`.

    `*` stands for one or more segments. Raises ValueError for anything else, such as a trust domain without
    a path, which is the name of no workload.
    """
    below = text.removesuffix("/*")
    try:
        named = parse_spiffe_id(below)
    except ValueError as error:
        raise ValueError(
            f"{error}: write spiffe://prod.example/billing, or spiffe://prod.example/ns/billing/* for every "
            "workload below"
        ) from error
    if below != text:
        return SpiffePattern(named.trust_domain, named.path + "/")
    if not named.path:
        raise ValueError(
            "a SPIFFE ID without a path names no workload: write its path, or /* for every workload of the "
            "trust domain"
        )
    return SpiffePattern(named.trust_domain, named.path)


def _is_segment(segment: str) -> bool:
    return segment not in (".", "..") and _SEGMENT.match(segment) is not None
