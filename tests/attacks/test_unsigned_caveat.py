import pymacaroons
import pytest
from msgspec.structs import replace

from macaroon_cbat.errors import SignatureMismatch
from macaroon_cbat.macaroon.caveats import Scope
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.tokens import BOUND, KEY, judged, spell, token


@pytest.mark.parametrize(
    "forged",
    [b'{"scope":"admin"}', b"client_id = root", b'{"cnf":{}}', b""],
    ids=["scope", "claim", "cnf", "empty"],
)
@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "between", "last"])
def test_an_unsigned_caveat_is_a_forgery(forged, place):
    """A caveat that the chain does not cover makes the macaroon a forgery, though no request satisfies it.

    pymacaroons' Verifier leaves a caveat that no predicate satisfies out of the chain: it says True here,
    and the forged caveat stands among the caveats that an application then reads.
    """
    honest = read_macaroon(token(BOUND, Scope("read")))
    texts = list(honest.caveats)
    text = spell(replace(honest, caveats=(*texts[:place], forged, *texts[place:])))

    theirs = pymacaroons.Macaroon.deserialize(text)
    verifier = pymacaroons.Verifier()
    verifier.satisfy_general(lambda caveat: caveat.encode() in texts and caveat != forged.decode())
    assert verifier.verify(theirs, KEY.secret)
    assert forged in [caveat.caveat_id for caveat in theirs.caveats]

    with pytest.raises(SignatureMismatch):
        judged(text)
