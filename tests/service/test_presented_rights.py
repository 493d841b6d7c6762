"""The rights that a presented macaroon leaves: no caveat, of any kind or in any number, gives one."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import CaveatsNotMet
from macaroon_cbat.macaroon.caveats import Access, Caveat, Expiry, Scope, caveat_text
from macaroon_cbat.macaroon.claims import scope_tokens
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.signature import AuthenticCaveats, CarriedCaveats
from macaroon_cbat.macaroon.verification import Principal, judge
from macaroon_cbat.service.oauth2.presented_rights import PresentedRights, presented_rights
from tests.support.strategies import accesses, few_caveats, grants


def carried(caveats: list[Caveat]) -> CarriedCaveats:
    return CarriedCaveats(tuple(map(caveat_text, caveats)))


def left(grant: Grant, caveats: list[Caveat], access: Access) -> PresentedRights | None:
    """Return the rights that are left at the token endpoint, or None if they refuse the request."""
    try:
        return presented_rights(grant, carried(caveats), access)
    except CaveatsNotMet:
        return None


def judged(grant: Grant, caveats: list[Caveat], access: Access) -> Principal | None:
    """Return the principal that a resource server would find, or None."""
    texts = AuthenticCaveats(tuple(map(caveat_text, caveats)))
    try:
        return judge(grant, texts, access, require_certificate=False)
    except CaveatsNotMet:
        return None


@given(grants, few_caveats, few_caveats, accesses)
def test_a_further_caveat_only_narrows(grant, caveats, more, access):
    """With more caveats there is less scope, an earlier end and fewer requests that pass."""
    before, after = left(grant, caveats, access), left(grant, caveats + more, access)
    assert after is None or before is not None
    assert after is None or (after.scope <= before.scope and after.caveats_end <= before.caveats_end)


@given(grants, few_caveats, accesses, accesses)
def test_the_new_token_opens_no_more_than_the_old_one(grant, caveats, here, there):
    """A token that carries the caveats opens nothing, with no scope, that the presented one would not."""
    rights = left(grant, caveats, here)
    if rights is None or not rights.scope:
        return
    scope = " ".join(sorted(rights.scope))
    new = msgspec.structs.replace(grant, scope=scope, exp=rights.caveats_end, jti="BBECAwQFBgcICQoLDA0ODw")
    opened, would = judged(new, caveats, there), judged(grant, caveats, there)
    assert opened is None or would is not None
    assert opened is None or (opened.scope <= would.scope and opened.expires_at <= would.expires_at)


@given(grants, few_caveats, accesses, st.sets(st.sampled_from(["read", "write", "admin"]), min_size=1))
def test_the_scope_that_is_left_is_that_of_every_caveat(grant, caveats, access, asked):
    """The scope is in the grant and in each scope caveat, and the end is no later than any expiry."""
    rights = left(grant, [*caveats, Scope(" ".join(sorted(asked)))], access)
    if rights is None:
        return
    scopes = [scope_tokens(one.scope) for one in caveats if isinstance(one, Scope)]
    assert rights.scope == scope_tokens(grant.scope).intersection(asked, *scopes)
    assert rights.caveats_end <= min([grant.exp, *(one.exp for one in caveats if isinstance(one, Expiry))])
