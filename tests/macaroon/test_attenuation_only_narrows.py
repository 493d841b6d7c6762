from hypothesis import event, example, given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.caveats import Scope
from macaroon_cbat.macaroon.minting import attenuate, mint
from macaroon_cbat.macaroon.verification import verify
from tests.support.strategies import accesses, few_caveats, grants
from tests.support.tokens import ACCESS, BOUND, GRANT, ISSUER, KEY, KEYS


@given(grants, few_caveats, few_caveats, accesses, st.booleans())
@example(granted=GRANT, caveats=[], more=[BOUND, Scope("read")], access=ACCESS, required=True)
def test_attenuation_only_narrows(granted, caveats, more, access, required):
    """A parent is accepted for each access that its child is, and the child's principal is within its own.

    A parent without a certificate is the one exception, and the reason to bind: being unbound, it
    may be refused where its bound child is accepted. So the parent is asked without that demand.
    """
    parent_text = mint(KEY, ISSUER, granted, caveats)
    child_text = attenuate(parent_text, more)
    try:
        child = verify(child_text, KEYS, access, require_certificate=required)
    except InvalidToken as refusal:
        event(f"the child is refused: {type(refusal).__name__}")
        return
    event("the child is accepted")
    parent = verify(parent_text, KEYS, access, require_certificate=False)
    assert child.scope <= parent.scope
    assert child.scope
    assert child.expires_at <= parent.expires_at
    assert child.certificate in (parent.certificate, access.certificate)
    assert parent.certificate is None or child.certificate == parent.certificate
    for claim in ("client_id", "subject", "token_id", "audience", "issued_at"):
        assert getattr(child, claim) == getattr(parent, claim)


@given(grants, few_caveats, accesses)
def test_a_principal_is_within_its_grant(granted, caveats, access):
    """Caveats never assert: client and subject are the grant's, scope and lifetime at most the grant's."""
    try:
        principal = verify(mint(KEY, ISSUER, granted, caveats), KEYS, access, require_certificate=False)
    except InvalidToken:
        return
    assert (principal.client_id, principal.subject) == (granted.client_id, granted.sub)
    assert principal.scope <= set(granted.scope.split())
    assert access.now < principal.expires_at <= granted.exp
    assert principal.certificate in (None, access.certificate)


@given(grants, few_caveats, st.randoms(), accesses)
def test_the_order_of_caveats_means_nothing(granted, caveats, random, access):
    """The same caveats in another order accept the same accesses with the same principal."""

    def judgement(ordered: list) -> object:
        try:
            return verify(mint(KEY, ISSUER, granted, ordered), KEYS, access, require_certificate=False)
        except InvalidToken as refusal:
            return type(refusal)

    shuffled = random.sample(caveats, len(caveats))
    assert judgement(caveats) == judgement(shuffled)
