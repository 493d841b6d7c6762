"""The caveat vocabulary: how each caveat is spelled and which accesses it prohibits.

A caveat's text is one compact JSON object with one member, such as `{"exp":1767225600}`; each kind is
a class with that field. Caveats restrict, they never assert: `prohibits` says why, or None.
"""

import json
import re
from functools import lru_cache
from ipaddress import ip_network
from typing import Annotated, get_args

import msgspec
from msgspec import Meta, Struct, field

from macaroon_cbat.audiences import is_among
from macaroon_cbat.claims import AudienceText, EpochSeconds, ScopeText, Seconds
from macaroon_cbat.request_target import Target, is_plain_path, parse_target, plain_address
from macaroon_cbat.thumbprint import THUMBPRINT_PATTERN, Thumbprint

MethodText = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")]
ThumbprintText = Annotated[str, Meta(pattern=THUMBPRINT_PATTERN)]


class Access(Struct, frozen=True, kw_only=True):
    """The facts of one request. A fact that is None is unknown, and a caveat about it refuses.

    `now` may be wrong by `clock_skew` seconds either way.
    """

    now: EpochSeconds
    clock_skew: int = 0
    audience: str | None = None
    certificate: Thumbprint | None = None
    method: str | None = None
    target: Target | None = None
    address: str | None = None


class Scope(Struct, frozen=True, forbid_unknown_fields=True):
    """Keeps only these scopes; the intersection is taken where the principal is made."""

    scope: ScopeText

    def prohibits(self, _access: Access, /) -> str | None:
        """Return None: a scope narrows the principal and refuses no access by itself."""
        return None


class Expiry(Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses from this second on (RFC 7519 4.1.4)."""

    exp: Seconds

    def prohibits(self, access: Access, /) -> str | None:
        """Return why an access at or after `exp` is refused."""
        if access.now < self.exp + access.clock_skew:
            return None
        return f"expired at {self.exp}, {access.now - self.exp} s ago"


class NotBefore(Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses before this second (RFC 7519 4.1.5)."""

    nbf: Seconds

    def prohibits(self, access: Access, /) -> str | None:
        """Return why an access before `nbf` is refused."""
        if access.now >= self.nbf - access.clock_skew:
            return None
        return f"not valid for another {self.nbf - access.now} s"


class Audience(Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses resource servers that are not listed (RFC 7519 4.1.3)."""

    aud: AudienceText | Annotated[tuple[AudienceText, ...], Meta(min_length=1)]

    def prohibits(self, access: Access, /) -> str | None:
        """Return why a resource server of another audience refuses."""
        audience, named = access.audience, _several(self.aud)
        if audience is not None and (audience in named or is_among(audience, named)):
            return None
        return f"meant for audience {self.aud!r}, not {access.audience!r}"


class ConfirmationMethods(Struct, frozen=True, forbid_unknown_fields=True):
    """The members of `cnf`: the certificate thumbprint and nothing else (RFC 8705 3.1)."""

    thumbprint: ThumbprintText = field(name="x5t#S256")


class Confirmation(Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses every connection but those made with this certificate (RFC 8705 3.1)."""

    cnf: ConfirmationMethods

    def prohibits(self, access: Access, /) -> str | None:
        """Return why the certificate of this connection does not confirm the token."""
        if access.certificate == self.cnf.thumbprint:
            return None
        if access.certificate is None:
            return f"bound to certificate {self.cnf.thumbprint}, but the connection presented none"
        return f"bound to certificate {self.cnf.thumbprint}, not to {access.certificate}"


class Method(Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses other HTTP methods; case-sensitive (RFC 9110 9.1, RFC 9449 4.2)."""

    htm: MethodText | Annotated[tuple[MethodText, ...], Meta(min_length=1)]

    def prohibits(self, access: Access, /) -> str | None:
        """Return why a request with another method is refused."""
        if access.method is not None and access.method in _several(self.htm):
            return None
        return f"only for method {self.htm!r}, not {access.method!r}"


class TargetUri(Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses other targets; query and fragment do not take part (RFC 9449 4.2, 4.3)."""

    htu: str

    def __post_init__(self) -> None:
        """Refuse what is not an absolute http(s) URI without query, fragment and user."""
        parse_target(self.htu)

    def prohibits(self, access: Access, /) -> str | None:
        """Return why a request to another target is refused."""
        if access.target is not None and access.target == parse_target(self.htu):
            return None
        return f"only for {self.htu!r}, not {access.target!r}"


class PathPrefix(Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses paths that are neither this one nor below it."""

    path: str

    def __post_init__(self) -> None:
        """Refuse a prefix that no request path could honestly have."""
        if not is_plain_path(self.path):
            raise ValueError("path must start with / and have no empty, . or .. segments")

    def prohibits(self, access: Access, /) -> str | None:
        """Return why a request outside the path is refused; a path with dot segments always is."""
        requested = None if access.target is None else access.target.path
        if requested is not None and is_plain_path(requested):
            prefix = self.path.rstrip("/")
            if requested.startswith(prefix + "/") or (requested == prefix and prefix == self.path):
                return None
        return f"only for path {self.path!r}, not {requested!r}"


class ClientAddress(Struct, frozen=True, forbid_unknown_fields=True):
    """Refuses client addresses outside these networks (CIDR)."""

    ip: str | Annotated[tuple[str, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse what is not a network, or has bits set right of its prefix."""
        for network in _several(self.ip):
            if "." in network.partition("/")[2]:
                raise ValueError(
                    "ip takes a prefix length: 0.0.0.0/0.0.0.0 is one host to some, all to others"
                )
            ip_network(network)

    def prohibits(self, access: Access, /) -> str | None:
        """Return why a client at another address is refused."""
        address = None if access.address is None else plain_address(access.address)
        if address is not None and any(address in ip_network(network) for network in _several(self.ip)):
            return None
        return f"only from {self.ip!r}, not {access.address!r}"


Caveat = (
    Scope | Expiry | NotBefore | Audience | Confirmation | Method | TargetUri | PathPrefix | ClientAddress
)
"""One restriction, typed."""

_DECODERS: dict[bytes, msgspec.json.Decoder[Caveat]] = {
    kind.__struct_fields__[0].encode(): msgspec.json.Decoder(kind) for kind in get_args(Caveat)
}
_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=4096)  # only authenticated texts come here on the hot path, and they repeat
def read_caveat(text: bytes) -> Caveat:
    """Return the caveat that the text spells, or raise ValueError that says why it is none.

    Only the one canonical spelling is read: what does not encode back to the same bytes, such as
    a repeated key, white space or an escape, is refused, and so is a caveat nobody here knows.
    """
    decoder = _DECODERS.get(text[2 : text.find(b'"', 2)])
    if decoder is None:
        raise ValueError(f"unknown caveat {text[:80]!r}")
    try:
        caveat = decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"malformed caveat {text[:80]!r}: {_plain(error)}") from error
    if _encode(caveat) != text:
        raise ValueError(f"caveat {text[:80]!r} is not compact JSON with exactly one member")
    return caveat


def parse_caveat(json_text: str | bytes) -> Caveat:
    """Return the caveat that a person wrote as JSON, however spaced, or raise ValueError.

    The one place where a spelling is mended: before a caveat is appended, never after.
    """
    try:
        members = json.loads(json_text, object_pairs_hook=_members)
        return read_caveat(_encode(members))
    except RecursionError:
        raise ValueError("this caveat is nested too deeply") from None


def make_caveat(name: str, value: object) -> Caveat:
    """Return the caveat with this one member, such as `make_caveat("scope", "read")`, or raise ValueError."""
    return read_caveat(_encode({name: value}))


def caveat_text(caveat: Caveat) -> bytes:
    """Return the caveat's canonical text, UTF-8, or raise ValueError when nobody could read it."""
    text = _encode(caveat)
    read_caveat(text)
    return text


def confirmation(thumbprint: Thumbprint) -> Confirmation:
    """Return the caveat that binds a macaroon to a client certificate."""
    return Confirmation(ConfirmationMethods(thumbprint))


def _plain(error: Exception) -> str:
    """Return the error without the regular expression that only a programmer wants to read."""
    return re.sub(r" matching regex '.*'", " of the right form", str(error))


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a caveat repeats a key")
    return members


def _several(one_or_more: str | tuple[str, ...]) -> tuple[str, ...]:
    return (one_or_more,) if isinstance(one_or_more, str) else one_or_more
