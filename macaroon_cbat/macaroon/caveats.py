"""The caveat vocabulary: the spelling of each caveat, and the accesses that it prohibits.

A caveat's text is a JSON object of known members, such as `{"exp":1767225600}`; each kind is a class with
that field. Caveats restrict, they never assert: `prohibits` says why, or None.
"""

from typing import Annotated, get_args

import msgspec
from msgspec import Meta, Struct

from macaroon_cbat.certificate.address import network_named, plain_address
from macaroon_cbat.macaroon.access import Access as Access  # noqa: PLC0414 # others import it from here
from macaroon_cbat.macaroon.audiences import is_among
from macaroon_cbat.macaroon.claims import AudienceText, ScopeText, Seconds, several
from macaroon_cbat.macaroon.confirmations import Confirmation as Confirmation  # noqa: PLC0414 # the same
from macaroon_cbat.macaroon.confirmations import KeyConfirmation as KeyConfirmation  # noqa: PLC0414
from macaroon_cbat.macaroon.confirmations import confirmation as confirmation  # noqa: PLC0414
from macaroon_cbat.macaroon.confirmations import key_confirmation as key_confirmation  # noqa: PLC0414
from macaroon_cbat.macaroon.confirmations import read_confirmations
from macaroon_cbat.macaroon.target import is_plain_path, parse_target
from macaroon_cbat.text.json_text import plain_reason, read_members
from macaroon_cbat.text.printable import quoted
from macaroon_cbat.text.short_memory import remembering

MethodText = Annotated[str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")]


class Scope(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Keeps only these scopes; the intersection is taken where the principal is made."""

    scope: ScopeText

    def prohibits(self, _access: Access, /) -> str | None:
        """Return None: a scope narrows the principal and refuses no access by itself."""
        return None


class Expiry(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Refuses from this second on (RFC 7519 4.1.4)."""

    exp: Seconds

    def prohibits(self, access: Access, /) -> str | None:
        """Return why an access at or after `exp` is refused."""
        if access.now < self.exp + access.clock_skew:
            return None
        return f"exp: expired at {self.exp}, {access.now - self.exp} s ago"


class NotBefore(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Refuses before this second (RFC 7519 4.1.5)."""

    nbf: Seconds

    def prohibits(self, access: Access, /) -> str | None:
        """Return why an access before `nbf` is refused."""
        if access.now >= self.nbf - access.clock_skew:
            return None
        return f"nbf: not valid for another {self.nbf - access.now} s"


class Audience(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Refuses resource servers that are not listed (RFC 7519 4.1.3)."""

    aud: AudienceText | Annotated[tuple[AudienceText, ...], Meta(min_length=1)]

    def prohibits(self, access: Access, /) -> str | None:
        """Return why a resource server of another audience refuses."""
        if access.audience is not None and is_among(access.audience, several(self.aud)):
            return None
        return f"aud: meant for audience {quoted(self.aud)}, not {access.audience!r}"


class Method(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Refuses other HTTP methods; case-sensitive (RFC 9110 9.1, RFC 9449 4.2)."""

    htm: MethodText | Annotated[tuple[MethodText, ...], Meta(min_length=1)]

    def prohibits(self, access: Access, /) -> str | None:
        """Return why a request with another method is refused."""
        if access.method is not None and access.method in several(self.htm):
            return None
        return f"htm: only for method {quoted(self.htm)}, not {access.method!r}"


class TargetUri(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Refuses other targets; query and fragment do not take part (RFC 9449 4.2, 4.3)."""

    htu: str

    def __post_init__(self) -> None:
        """Refuse what is not an absolute http(s) URI without query, fragment and user."""
        parse_target(self.htu)

    def prohibits(self, access: Access, /) -> str | None:
        """Return why a request to another target is refused."""
        if access.target is not None and access.target == parse_target(self.htu):
            return None
        return f"htu: only for {quoted(self.htu)}, not {quoted(access.target and str(access.target))}"


class PathPrefix(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
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
        return f"path: only for {quoted(self.path)}, not {quoted(requested)}"


class ClientAddress(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Refuses client addresses outside these networks (CIDR)."""

    ip: str | Annotated[tuple[str, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        """Refuse what is not a network, or has bits set right of its prefix."""
        for network in several(self.ip):
            if "." in network.partition("/")[2]:
                raise ValueError(
                    "ip takes a prefix length: 0.0.0.0/0.0.0.0 is one host to some, all to others"
                )
            network_named(network)

    def prohibits(self, access: Access, /) -> str | None:
        """Return why a client at another address is refused."""
        address = None if access.address is None else plain_address(access.address)
        if address is not None and any(address in network_named(network) for network in several(self.ip)):
            return None
        return f"ip: only from {quoted(self.ip)}, not {access.address!r}"


Caveat = (
    Scope
    | Expiry
    | NotBefore
    | Audience
    | Confirmation
    | KeyConfirmation
    | Method
    | TargetUri
    | PathPrefix
    | ClientAddress
)
"""One restriction, typed."""

_KINDS: dict[str, type[Caveat]] = {
    kind.__struct_fields__[0]: kind for kind in get_args(Caveat) if kind is not KeyConfirmation
}
"""The kinds by their member; `read_confirmations` tells the two of `cnf` apart."""
KNOWN_CAVEATS = frozenset(_KINDS)
_DECODERS = {name.encode(): msgspec.json.Decoder(kind) for name, kind in _KINDS.items()}
_encode = msgspec.json.Encoder().encode


def read_caveats(text: bytes) -> tuple[Caveat, ...]:
    """Return the caveats that the text says, one a member, or raise ValueError that says why it is none.

    A text is read by its value, a JSON object (RFC 8259): white space, escapes and the order of members
    mean nothing, and of several members each restricts. A member unknown here refuses the whole text, and
    so does text that two readers could read differently, such as a repeated key.
    """
    decoder = _DECODERS.get(text[2 : text.find(b'"', 2)])
    if decoder is not None:
        try:
            caveat = decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return _read_spelled(text)  # several members, 1e9 for a number, or no caveat
        if _encode(caveat) == text:  # the compact form that is written here
            return (caveat,)
    return _read_spelled(text)


def _read_spelled(text: bytes) -> tuple[Caveat, ...]:
    """Return the caveats in any spelling; dearer than the compact form, and linear in its length."""
    if others := (found := known_and_others(text))[1]:
        raise ValueError(f"unknown caveat {quoted(min(others))}")
    return found[0]


def known_and_others(text: bytes) -> tuple[tuple[Caveat, ...], dict[str, object]]:
    """Return the caveats that the text says, and its unknown members, or raise ValueError as above."""
    try:
        members = read_members(text)
        known = [(name, value) for name, value in members.items() if name in _KINDS]
        caveats = tuple(caveat for name, value in known for caveat in _typed(name, value))
    except (ValueError, msgspec.MsgspecError) as error:
        raise ValueError(f"malformed caveat {quoted(text)}: {plain_reason(error)}") from error
    if not members:
        raise ValueError("malformed caveat {}: it restricts nothing")
    return caveats, {name: value for name, value in members.items() if name not in _KINDS}


def _typed(name: str, value: object) -> tuple[Caveat, ...]:
    """Return the caveats that one member says, or raise ValueError or ValidationError."""
    if name == "cnf":
        return read_confirmations(value)
    if isinstance(value, float):  # 1.0 and 1e0 are the number 1 to every reader (RFC 8259 6)
        if not value.is_integer():
            raise ValueError(f"{name} {value!r} has a fraction: write whole seconds")
        value = int(value)
    return (msgspec.convert({name: value}, _KINDS[name]),)


remembered_caveats = remembering(4096)(read_caveats)
"""`read_caveats` for authentic texts, which repeat: what an attacker writes would fill the memory."""


def caveat_text(caveat: Caveat) -> bytes:
    """Return the caveat's compact text, UTF-8, or raise ValueError when no verifier could read it."""
    text = _encode(caveat)
    read_caveats(text)
    return text
