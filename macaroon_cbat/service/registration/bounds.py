"""The bounds of a registration: what a client may register, as the caveats of its invitation state them.

The caveat `registration` has one value with several members, each of which restricts. A holder of an
invitation narrows it offline by one more such caveat, or by any caveat of an access token: `scope` keeps only
these scopes. For every other verifier the caveat is unknown, so an invitation opens nothing else.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from macaroon_cbat.errors import InvalidClientMetadata, InvalidRedirectUri
from macaroon_cbat.macaroon.audiences import canonical_audience, is_among
from macaroon_cbat.macaroon.claims import AudienceText
from macaroon_cbat.macaroon.custom import REGISTRATION
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.clients import ClientAuthMethod
from macaroon_cbat.stores.grant_types import GrantType
from macaroon_cbat.stores.registrations import Counter
from macaroon_cbat.text.json_text import UnusableJson, read_members
from macaroon_cbat.text.printable import quoted

_Value = TypeVar("_Value", bound=str)
_IS_ADDRESS = re.compile(r"\[|[0-9.]+\Z")
LOOPBACK = ("127.0.0.1", "[::1]", "localhost")

HostText = Annotated[str, Meta(pattern=r"^(?:\[[0-9a-f:]+\]|[a-z0-9.-]+:?)\Z", max_length=255)]
"""A host in lower case, or the scheme of an application's own redirect URIs, with its colon."""


class RegistrationCaveat(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The value of a caveat `registration`. A member that is absent restricts nothing."""

    audiences: tuple[AudienceText, ...] | UnsetType = UNSET
    """The audiences that the client may request tokens for."""
    grant_types: tuple[GrantType, ...] | UnsetType = UNSET
    hosts: tuple[HostText, ...] | UnsetType = UNSET
    """The hosts that redirect URIs and `jwks_uri` may name."""
    registrations: Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType = UNSET
    """The number of clients that may be registered with this macaroon and all its children."""
    token_endpoint_auth_methods: tuple[ClientAuthMethod, ...] | UnsetType = UNSET


class Bounds(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The most that a client may register, now or in a later change."""

    scopes: tuple[str, ...]
    audiences: tuple[str, ...]
    grant_types: tuple[GrantType, ...]
    token_endpoint_auth_methods: tuple[ClientAuthMethod, ...]
    hosts: tuple[str, ...] | None
    """None: every https host, and loopback, for redirect URIs alone."""


def caveat_text(caveat: RegistrationCaveat) -> bytes:
    """Return the text of a caveat, compact."""
    return msgspec.json.encode({REGISTRATION: caveat})


def read_registration(text: bytes) -> RegistrationCaveat | None:
    """Return the caveat `registration` that is the whole of this text, or None for a text of another kind.

    Raises ValueError for a malformed one, and for one with an unknown member. A text with other members
    beside it is of another kind, which every judge refuses.
    """
    try:
        members = read_members(text)
    except UnusableJson:
        return None
    if members.keys() != {REGISTRATION}:
        return None
    try:
        return msgspec.convert(members[REGISTRATION], RegistrationCaveat)
    except msgspec.ValidationError as error:
        raise ValueError(f"malformed caveat {quoted(text)}: {error}") from error


def bounds_of(scopes: Iterable[str], caveats: Sequence[RegistrationCaveat]) -> Bounds:
    """Return what all these caveats allow together: the intersection of each member.

    Nothing is allowed of a member that no caveat states: an invitation states every one.
    """
    return Bounds(
        scopes=tuple(sorted(scopes)),
        audiences=_common([_canonical(one.audiences) for one in caveats]),
        grant_types=_common([one.grant_types for one in caveats]),
        token_endpoint_auth_methods=_common([one.token_endpoint_auth_methods for one in caveats]),
        hosts=_common([one.hosts for one in caveats]),
    )


def counters_of(token_id: str, texts: Sequence[bytes]) -> tuple[Counter, ...]:
    """Return a counter for each caveat that bounds the number of registrations.

    A counter is named by the token and all caveats up to that one: it counts what this macaroon and all its
    children register, and nothing of its parent's other children.
    """
    counters, digest = [], hashlib.sha256(token_id.encode())
    for text in texts:
        digest.update(len(text).to_bytes(4) + text)
        caveat = read_registration(text)
        if caveat is not None and caveat.registrations is not UNSET:
            counters.append(Counter(digest.hexdigest(), caveat.registrations))
    return tuple(counters)


def refuse_beyond(metadata: ClientMetadata, bounds: Bounds) -> None:
    """Raise InvalidClientMetadata or InvalidRedirectUri for metadata beyond the bounds, which it names."""
    for what, wanted, allowed in (
        ("scope", metadata.scopes, bounds.scopes),
        ("grant_types", metadata.allowed_grants, bounds.grant_types),
        (
            "token_endpoint_auth_method",
            (metadata.token_endpoint_auth_method,),
            bounds.token_endpoint_auth_methods,
        ),
    ):
        if beyond := sorted(set(wanted) - set(allowed)):
            raise InvalidClientMetadata(f"{what}: {beyond[0]} {_beyond(allowed)}")
    if not metadata.audiences:  # such a client gets tokens for every audience, not for none
        raise InvalidClientMetadata(f"audiences: an empty list {_beyond(bounds.audiences)}: name one of them")
    if beyond := [one for one in metadata.audiences if not is_among(one, bounds.audiences)]:
        raise InvalidClientMetadata(f"audiences: {beyond[0]} {_beyond(bounds.audiences)}")
    for uri in metadata.redirect_uris:
        if not _allows_redirect(uri, bounds.hosts):
            raise InvalidRedirectUri(f"redirect URI {uri[:100]!r} {_beyond(bounds.hosts or ('https',))}")
    if metadata.jwks_uri is not None and not _allows_fetching(place_of(metadata.jwks_uri), bounds.hosts):
        raise InvalidClientMetadata(f"jwks_uri {_beyond(bounds.hosts or ())}, by name")


def place_of(uri: str) -> str:
    """Return the host of an http or https URI in lower case, or the scheme of any other, with its colon."""
    scheme, _, rest = uri.partition(":")
    if scheme not in ("http", "https"):
        return f"{scheme}:"
    host = urlsplit(f"//{rest.removeprefix('//')}").hostname or ""
    return f"[{host}]" if ":" in host else host


def in_bounds(scope: str | None, bounds: Bounds) -> str:
    """Return the scope that is registered for a requested one, in the order of the request; all without one.

    Clients request what the metadata of the service name, so a scope beyond the bounds is left out (RFC 7591
    3.2.1). Raises InvalidClientMetadata if nothing is left.
    """
    wanted = bounds.scopes if scope is None else [one for one in scope.split(" ") if one]
    kept = [one for one in dict.fromkeys(wanted) if one in bounds.scopes]
    if not kept:
        raise InvalidClientMetadata(f"scope: nothing requested is open here: {_beyond(bounds.scopes)}")
    return " ".join(kept)


def _allows_redirect(uri: str, hosts: Sequence[str] | None) -> bool:
    if hosts is not None:
        return place_of(uri) in hosts
    return uri.startswith("https://") or place_of(uri) in LOOPBACK


def _allows_fetching(host: str, hosts: Sequence[str] | None) -> bool:
    """Return True for a host that the service may connect to for a client: one with a name, never an address.

    An invitation names addresses for redirects, to which the client's own browser connects.
    """
    return host in (hosts or ()) and host not in LOOPBACK and not _IS_ADDRESS.match(host)


def _beyond(allowed: Sequence[str]) -> str:
    return f"is beyond the invitation, which allows {', '.join(allowed)[:300] or 'none'}"


def _common(stated: Sequence[tuple[_Value, ...] | UnsetType]) -> tuple[_Value, ...]:
    """Return the values that every list has, in the order of the first one; none if there is no list."""
    lists = [one for one in stated if not isinstance(one, UnsetType)]
    return tuple(value for value in (lists[0] if lists else ()) if all(value in one for one in lists))


def _canonical(audiences: tuple[str, ...] | UnsetType) -> tuple[str, ...] | UnsetType:
    return audiences if isinstance(audiences, UnsetType) else tuple(map(canonical_audience, audiences))
