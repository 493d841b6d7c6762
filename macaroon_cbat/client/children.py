"""The restrictions that a holder appends to a token: the certificate in use, and for each request a child.

Pure: no clock, no files. No key is needed and no signature is checked here: only the service and
the resource server can do that.
"""

from functools import lru_cache
from typing import TypedDict

from msgspec import Struct

from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.certificate.thumbprint import Thumbprint, parse_thumbprint, thumbprint_of
from macaroon_cbat.errors import MalformedMacaroon, SettingsError
from macaroon_cbat.macaroon.attenuation import Attenuable, attenuable
from macaroon_cbat.macaroon.caveats import (
    Audience,
    Caveat,
    Expiry,
    Method,
    TargetUri,
    caveat_text,
    confirmation,
    key_confirmation,
)
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.inspection import confirmations, key_confirmations
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.wire import Macaroon


class Parent(Struct, frozen=True):
    """A token, read once for many children. It holds what the token holds: keep it no longer."""

    token: str
    attenuable: Attenuable
    certificates: frozenset[Thumbprint]
    """The certificates that the token is bound to."""
    keys: frozenset[KeyThumbprint]
    """The DPoP keys that the token is bound to."""
    audience: str | None
    """The one audience that the identifier names; None for several, none, or another issuer's identifier."""

    def __repr__(self) -> str:
        """Show no token."""
        return f"<Parent for {self.audience}>"


def parent_of(token: str) -> Parent:
    """Return the token, ready for many children. Raises MalformedMacaroon."""
    ready, macaroon = attenuable(token)
    return Parent(token, ready, confirmations(macaroon), key_confirmations(macaroon), _own_audience(macaroon))


class LastParent:
    """The parent of the children that a holder makes of one token, until there is another token."""

    __slots__ = ("_parent",)

    def __init__(self) -> None:
        self._parent: Parent | None = None

    def of(self, token: str) -> Parent:
        """Return the token as a parent. Raises MalformedMacaroon."""
        parent = self._parent
        if parent is None or parent.token != token:
            parent = self._parent = parent_of(token)
        return parent


class ChildSettings(TypedDict, total=False):
    """The members of ChildTerms as keyword arguments, each optional."""

    lifetime: int
    audience: str | None
    bind_request: bool


class ChildTerms(Struct, frozen=True):
    """The restrictions of one request's child besides its certificate."""

    lifetime: int = 60
    """Seconds until the child expires."""
    audience: str | None = None
    """The resource server; None takes the token's own audience, which is needed if it has none or several."""
    bind_request: bool = False
    """Whether the child is valid for the method and target of its request only."""

    def __post_init__(self) -> None:
        """Raise SettingsError for a lifetime in which no request could arrive."""
        if self.lifetime < 1:
            raise SettingsError("a child lives for 1 s at least: give a greater lifetime")


def bind_to_certificate(token: str, certificate: Thumbprint | bytes) -> str:
    """Return a child that only a connection made with this certificate can use (RFC 8705 3.1).

    `certificate` is a thumbprint, or the content of a DER or PEM file, chain and key included.
    A token that is bound to this certificate is returned unchanged. Raises SettingsError for a token that is
    bound to another one, ValueError if there is no certificate in the content, and what `attenuate` raises.
    """
    if isinstance(certificate, str):
        thumbprint = parse_thumbprint(certificate)
    else:
        thumbprint = thumbprint_of(der_of(certificate))
    parent = parent_of(token)
    return parent.attenuable.child(map(caveat_text, _confirming(parent, thumbprint)))


def request_child(
    token: str | Parent,
    thumbprint: Thumbprint,
    terms: ChildTerms,
    method: str,
    uri: str,
    *,
    now: EpochSeconds,
) -> str:
    """Return the child of one request; raises as `bind_to_certificate` does.

    `uri` is where the request goes; its query and fragment do not take part (RFC 9449 4.2). A holder that
    makes many children of one token gives it as `parent_of` returns it.
    """
    parent = token if isinstance(token, Parent) else parent_of(token)
    caveats = [*_confirming(parent, thumbprint), *_terms(parent, terms, method, uri, now)]
    return parent.attenuable.child(map(_text, caveats))


def proved_child(
    token: str | Parent, key: KeyThumbprint, terms: ChildTerms, method: str, uri: str, *, now: EpochSeconds
) -> str:
    """Return the child of one request that only the holder of this DPoP key can use (RFC 9449 6.1).

    Raises SettingsError for a token that is bound to another key, or to a certificate, and what `attenuate`
    raises.
    """
    parent = token if isinstance(token, Parent) else parent_of(token)
    if parent.certificates:
        raise SettingsError(
            f"this token is bound to certificate {', '.join(sorted(parent.certificates))}, which no DPoP key "
            "replaces: use that certificate, or get a token that is not bound to one"
        )
    if parent.keys - {key}:
        raise SettingsError(
            f"this token is bound to key {', '.join(sorted(parent.keys))}, but {key} is in use: use that "
            "key, or get a token that is not bound yet"
        )
    confirming: list[Caveat] = [] if parent.keys else [key_confirmation(key)]
    caveats = [*confirming, *_terms(parent, terms, method, uri, now)]
    return parent.attenuable.child(map(_text, caveats))


def _terms(parent: Parent, terms: ChildTerms, method: str, uri: str, now: EpochSeconds) -> list[Caveat]:
    """Return the restrictions of one request's child besides its confirmation."""
    caveats: list[Caveat] = [Expiry(now + terms.lifetime)]
    audience = terms.audience or parent.audience
    if audience is not None:
        caveats.append(Audience(audience))
    if terms.bind_request:
        caveats += [Method(method), TargetUri(uri.partition("#")[0].partition("?")[0])]
    return caveats


_text = lru_cache(64)(caveat_text)
"""`caveat_text`, which a holder needs again for its certificate, its audience and the present second."""


def _confirming(parent: Parent, thumbprint: Thumbprint) -> list[Caveat]:
    """Return the caveat that binds the token to the certificate, if it is missing."""
    if parent.certificates - {thumbprint}:
        raise SettingsError(
            f"this token is bound to certificate {', '.join(sorted(parent.certificates))}, but {thumbprint} "
            "is in use: use that certificate, or get a token that is not bound yet"
        )
    return [] if parent.certificates else [confirmation(thumbprint)]


def _own_audience(macaroon: Macaroon) -> str | None:
    """Return the one audience that the identifier names; None for another issuer's kind of identifier."""
    try:
        audience = read_identifier(macaroon.identifier).aud
    except MalformedMacaroon:
        return None
    if isinstance(audience, tuple) and len(audience) == 1:
        return audience[0]
    return audience if isinstance(audience, str) else None
