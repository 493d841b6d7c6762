"""A grant as its caveats narrow it, ready to be compared with any access.

It tells of the accesses that are allowed, and nothing of the others: `verification.judge` judges each caveat
of those, finds the reasons, and alone refuses. Nothing here depends on an access, so it can be kept.
"""

import re
from functools import lru_cache
from typing import Any

from msgspec import Struct

from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Caveat,
    ClientAddress,
    Method,
    NotBefore,
    PathPrefix,
    Scope,
    TargetUri,
    read_caveats,
)
from macaroon_cbat.macaroon.claims import scope_tokens
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.principal import Principal
from macaroon_cbat.macaroon.signature import AuthenticCaveats
from macaroon_cbat.text.short_memory import LONGEST_REMEMBERED

_CERTIFICATE = re.compile(rb'\{"cnf":\{"x5t#S256":"([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])"\}\}').fullmatch
_EXPIRY = re.compile(rb'\{"exp":([1-9][0-9]{0,14})\}').fullmatch
"""The caveats that nearly every token has, in the compact form; values that seldom repeat are not cached."""

_COMPARED = (NotBefore, Method, TargetUri, PathPrefix, ClientAddress)
"""The kinds of caveats that are compared with each access by themselves."""

Limit = tuple[type[Caveat], Any]
"""The kind of a caveat, and its value: tokens for a scope, the audience, otherwise the caveat itself."""


class Narrowed(Struct, frozen=True, gc=False):
    """The rights of every access that `allows` allows, and the facts that such an access has."""

    rights: Principal
    others: tuple[Caveat, ...]
    """The caveats that are compared with each access: all but scope, audience, expiry and certificate."""

    def allows(self, access: Access) -> bool:
        """Return True if the grant and every caveat allow the access. False says nothing."""
        rights = self.rights
        return (
            access.now < rights.expires_at + access.clock_skew
            and access.audience == rights.audience
            and (rights.certificate is None or rights.certificate == access.certificate)
            and (not self.others or all(caveat.prohibits(access) is None for caveat in self.others))
        )


def narrowed_by(  # noqa: C901 # one loop: a call for each kind would cost more than the kind
    grant: Grant, texts: AuthenticCaveats
) -> Narrowed | None:
    """Return the grant as these caveats narrow it, or None if `judge` must judge each by itself.

    That is so of a caveat that is not known here or names a key, of a text of several, of two that
    contradict each other, of other spellings of an audience than the grant's, and if no scope is left.
    """
    audience = grant.aud
    if not isinstance(audience, str):
        return None
    ends, bound_to, scope = grant.exp, None, _tokens(grant.scope)
    others: tuple[Caveat, ...] = ()
    for text in texts:
        name = text[2:5]
        if name == b"exp" and (found := _EXPIRY(text)):
            if (until := int(found[1])) < ends:
                ends = until
        elif name == b"cnf" and (found := _CERTIFICATE(text)):
            if bound_to is not None and bound_to != found[1]:
                return None
            bound_to = found[1]
        else:
            try:
                kind, value = remembered_limit(text)
            except ValueError:
                return None
            if kind is Scope:
                scope &= value
            elif kind is not Audience:
                others += (value,)
            elif value != audience:
                return None
    if not scope:
        return None
    return Narrowed(_rights(grant, scope, ends, bound_to, len(texts)), others)


def _rights(grant: Grant, scope: frozenset[str], ends: int, bound_to: bytes | None, number: int) -> Principal:
    """Return the rights at the one audience of the grant; `number` is that of all caveats."""
    return Principal(  # the names for seconds and text would cost a call each
        client_id=grant.client_id,
        subject=grant.sub,
        scope=scope,
        token_id=grant.jti,
        audience=grant.aud,  # type: ignore[arg-type] # `narrowed_by` has seen that it is text
        issued_at=grant.iat,  # type: ignore[arg-type]
        expires_at=ends,  # type: ignore[arg-type]
        certificate=None if bound_to is None else bound_to.decode(),  # type: ignore[arg-type]
        is_attenuated=number > (bound_to is not None),
    )


@lru_cache(4096)
def remembered_limit(text: bytes) -> Limit:
    """Return the limit in a text. Raises ValueError for other caveats, and for texts too long to be kept.

    Only authentic texts come here: what an attacker writes would fill the memory.
    """
    if len(text) > LONGEST_REMEMBERED:
        raise ValueError("too long")
    (caveat,) = read_caveats(text)
    if isinstance(caveat, Scope):
        return Scope, scope_tokens(caveat.scope)
    if isinstance(caveat, Audience):
        return Audience, caveat.aud
    if isinstance(caveat, _COMPARED):
        return type(caveat), caveat
    raise ValueError("another kind, or another spelling")


_tokens = lru_cache(1024)(scope_tokens)
"""`scope_tokens` of an authentic grant, whose length is bounded."""
