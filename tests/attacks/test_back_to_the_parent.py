import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from macaroon_cbat.errors import InvalidToken, SignatureMismatch
from macaroon_cbat.macaroon.caveats import Expiry, Scope, caveat_text
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.tokens import BOUND, NOW, judged, spell, token

CHILD = read_macaroon(token(Scope("read write"), BOUND, Expiry(NOW + 60), Scope("read")))
SPARE = [*CHILD.caveats, caveat_text(Expiry(NOW + 600)), b'{"scope":"admin"}']


def test_no_caveat_can_be_taken_away():
    """A thief who holds a child alone cannot take away any of its caveats, singly or together."""
    for kept in range(2 ** len(CHILD.caveats) - 1):
        caveats = tuple(caveat for n, caveat in enumerate(CHILD.caveats) if kept >> n & 1)
        with pytest.raises(SignatureMismatch):
            judged(spell(replace(CHILD, caveats=caveats)))


@given(st.lists(st.sampled_from(SPARE), max_size=6), st.binary(min_size=32, max_size=32) | st.none())
def test_no_arrangement_of_caveats_passes_but_the_signed_one(caveats, signature):
    """No other list of caveats, under the child's signature or any guessed one, is accepted."""
    signature = CHILD.signature if signature is None else signature
    forged = replace(CHILD, caveats=tuple(caveats), signature=signature)
    if forged == CHILD:
        return
    with pytest.raises(InvalidToken):
        judged(spell(forged), require_certificate=False)
