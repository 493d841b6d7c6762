import pytest

from macaroon_cbat.errors import NotDischarged
from macaroon_cbat.macaroon.minting import add_third_party_caveat, bind_discharge, mint_discharge
from macaroon_cbat.macaroon.verification import verify
from tests.support.tokens import ACCESS, BOUND, KEYS, token

SECRET = b"k" * 32
ROOT = add_third_party_caveat(token(BOUND), "there", SECRET, b"0")


def asking(name: bytes, *asked: bytes) -> str:
    """Return a discharge that itself asks for others, bound to the root."""
    text = mint_discharge("there", SECRET, name)
    for other in asked:
        text = add_third_party_caveat(text, "there", SECRET, other)
    return bind_discharge(ROOT, text)


LOOPS = {
    "a discharge that asks for itself": [asking(b"0", b"0")],
    "two that ask for each other": [asking(b"0", b"1"), asking(b"1", b"0")],
    "a chain that ends at its start": [asking(b"%d" % n, b"%d" % ((n + 1) % 16)) for n in range(16)],
    "one that asks for the same twice": [asking(b"0", b"1", b"1"), asking(b"1")],
    "one that asks for itself a hundred times": [asking(b"0", *[b"0"] * 40)],
}


@pytest.mark.parametrize("discharges", LOOPS.values(), ids=LOOPS)
def test_discharges_in_a_loop_are_refused(discharges):
    """Discharges that ask for each other in a loop are refused: each is used once (pymacaroons recurses)."""
    with pytest.raises(NotDischarged, match=r"(has|have) no discharge of (its|their) own"):
        verify(ROOT, KEYS, ACCESS, discharges=discharges)


def test_a_chain_of_sixteen_ends():
    """A chain of as many discharges as there may be, with an end, is accepted."""
    chain = [asking(b"%d" % n, b"%d" % (n + 1)) for n in range(15)] + [asking(b"15")]
    assert verify(ROOT, KEYS, ACCESS, discharges=chain)
