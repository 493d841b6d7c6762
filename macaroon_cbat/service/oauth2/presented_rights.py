"""The rights that a presented macaroon leaves, as the token endpoint finds them before it mints another one.

Caveats about the request at hand are judged here: exp, nbf, cnf and ip. Scope and aud caveats
narrow the new token. The new token carries every caveat, so those about an access (htm, htu, path), those
that only a resource server knows, and those of third parties are left to the verifier.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from msgspec import Struct

from macaroon_cbat.errors import InvalidScope, InvalidToken, OAuthError
from macaroon_cbat.macaroon.audiences import is_among
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Caveat,
    Confirmation,
    Expiry,
    Method,
    PathPrefix,
    Scope,
    TargetUri,
    known_and_others,
    remembered_caveats,
)
from macaroon_cbat.macaroon.claims import EpochSeconds, scope_tokens, several
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.signature import CarriedCaveats
from macaroon_cbat.macaroon.unmet import not_met
from macaroon_cbat.stores import Client

_LEFT_TO_OTHERS = (Scope, Audience, Method, TargetUri, PathPrefix)
"""The kinds that refuse no request here. Every other kind is judged, one that is yet to come as well."""


class PresentedRights(Struct, frozen=True, kw_only=True):
    """The most that a token may allow that carries these caveats."""

    grant: Grant
    carried: CarriedCaveats
    scope: frozenset[str]
    """Scopes that the grant and every scope caveat leave; it may be empty."""
    caveats_end: EpochSeconds
    """The earliest second that an exp caveat or the grant names."""
    is_bound: bool
    """True if a cnf caveat names the certificate of the connection."""
    audiences: tuple[tuple[str, ...], ...]
    """The lists of the aud caveats: an audience must be in each."""

    def narrowed_scope(self, requested: str | None, client: Client) -> str:
        """Return the requested scope, or all that is left, as far as the client is registered for it.

        Raises InvalidScope for a scope that is not left, and if none is.
        """
        left = self.scope & client.metadata.scopes
        wanted = left if requested is None else frozenset(requested.split(" "))
        if beyond := sorted(wanted - left):
            raise InvalidScope(
                f"the scope {beyond[0][:60]!r} is not among those of the presented token: leave it out"
            )
        if not wanted:
            raise InvalidScope(
                "the caveats of the presented token leave no scope: use one with fewer caveats"
            )
        return " ".join(sorted(wanted))

    def allows_audience(self, audience: str | tuple[str, ...] | None) -> bool:
        """Return True if the aud caveats together leave an audience of a token for this one or these.

        A token without an audience is for any that the caveats allow.
        """
        if audience is None:
            return True
        return any(all(is_among(one, listed) for listed in self.audiences) for one in several(audience))


def presented_rights(grant: Grant, carried: CarriedCaveats, access: Access) -> PresentedRights:
    """Return the rights of an authentic macaroon, or raise CaveatsNotMet with each reason."""
    caveats = list(readable_caveats(carried))
    about_this = (one for one in caveats if not isinstance(one, _LEFT_TO_OTHERS))
    judged: Sequence[Caveat] = [Expiry(grant.exp), *about_this]
    unmet = [reason for one in judged if (reason := one.prohibits(access))]
    if unmet:
        raise not_met(unmet, judged, access)
    scope = scope_tokens(grant.scope)
    for one in caveats:
        if isinstance(one, Scope):
            scope &= scope_tokens(one.scope)
    return PresentedRights(
        grant=grant,
        carried=carried,
        scope=scope,
        caveats_end=EpochSeconds(min(one.exp for one in judged if isinstance(one, Expiry))),
        is_bound=any(isinstance(one, Confirmation) for one in judged),
        audiences=tuple(several(one.aud) for one in caveats if isinstance(one, Audience)),
    )


def readable_caveats(carried: CarriedCaveats) -> Iterable[Caveat]:
    """Yield the caveats that are known here, also beside custom ones; the new token carries every text."""
    for text in carried:
        if isinstance(text, bytes):
            try:
                yield from remembered_caveats(text)
            except ValueError:
                yield from _beside_custom(text)


def _beside_custom(text: bytes) -> Iterable[Caveat]:
    try:
        known, _ = known_and_others(text)
    except ValueError:
        return ()
    return known


@contextmanager
def refused_as(kind: type[OAuthError], what: str) -> Iterator[None]:
    """Turn InvalidToken into an error of this kind: the macaroon is a parameter here, not a credential.

    The log gets the whole reason, and the client what it may learn.
    """
    try:
        yield
    except InvalidToken as error:
        refused = kind(f"{what}: {error}")
        refused.told = f"{what}: {error.description}"
        raise refused from error
