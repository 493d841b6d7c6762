"""The comparison of a client's metadata before and after a change: which rights were taken away."""

import msgspec

from macaroon_cbat.stores.clients import ClientMetadata

_LIFETIMES = ("refresh_idle_seconds", "refresh_max_seconds")
_ASIDE = ("scope", "grant_types", "client_name", "jwks", "require_pushed_authorization_requests")
"""The members that `takes_away` compares by rules of their own; a name gives no right."""
_MAY_GROW = (
    *("audiences", "authorization_details_types", "certificates", "groups", "judged_caveats"),
    *("may_act", "redirect_uris", "serves"),
)


def takes_away(before: ClientMetadata, after: ClientMetadata) -> bool:
    """Return True unless the change only adds scopes, audiences or certificates.

    A first audience takes rights away as well: every introspecting resource server accepts tokens without
    an audience.
    """
    if before.scopes - after.scopes or (after.audiences and not before.audiences):
        return True
    if set(before.allowed_grants) - set(after.allowed_grants):
        return True
    if any(_is_shorter(getattr(before, name), getattr(after, name)) for name in _LIFETIMES):
        return True
    if before.require_pushed_authorization_requests < after.require_pushed_authorization_requests:
        return True
    if not _keys(before) <= _keys(after):
        return True
    aside = (*_MAY_GROW, *_LIFETIMES, *_ASIDE)
    rest = (name for name in ClientMetadata.__struct_fields__ if name not in aside)
    return any(getattr(before, name) != getattr(after, name) for name in rest) or any(
        set(getattr(before, name)) - set(getattr(after, name)) for name in _MAY_GROW
    )


def _is_shorter(before: int | None, after: int | None) -> bool:
    """Return True if a lifetime became shorter. None, the service's own, may be longer than any number."""
    return after is not None and (before is None or after < before)


def _keys(metadata: ClientMetadata) -> set[bytes]:
    """Return the keys that authenticate the client, each in one spelling."""
    keys = [] if metadata.jwks is None else metadata.jwks["keys"]
    return {msgspec.json.encode(key, order="sorted") for key in keys}
