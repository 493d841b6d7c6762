import json

import pymacaroons
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymacaroons.exceptions import MacaroonInvalidSignatureException
from pymacaroons.macaroon import MACAROON_V2

from macaroon_cbat.errors import CaveatsNotMet, SignatureMismatch
from macaroon_cbat.macaroon.caveats import Expiry, PathPrefix, Scope, caveat_text
from macaroon_cbat.macaroon.identifier import identifier_text
from macaroon_cbat.macaroon.keys import audience_key
from macaroon_cbat.macaroon.minting import (
    add_third_party_caveat,
    attenuate,
    bind_discharge,
    mint,
    mint_discharge,
)
from macaroon_cbat.macaroon.signature import verify_signature
from macaroon_cbat.macaroon.wire import ThirdPartyCaveat, read_macaroon
from tests.support.strategies import caveats, few_caveats, grants
from tests.support.tokens import (
    BOUND,
    CERTIFICATE,
    ISSUER,
    KEY,
    NOW,
    OTHER_API,
    OTHER_CERTIFICATE,
    ROOT,
    judged,
    token,
)

OTHER_KEY = audience_key(ROOT, OTHER_API)
words = st.text(max_size=20)
caveat_texts = st.lists(st.text(max_size=200), max_size=5)
keys = st.binary(min_size=32, max_size=32)
third_parties = st.lists(
    st.tuples(words, keys, st.binary(min_size=1, max_size=200), caveat_texts),
    max_size=3,
    unique_by=lambda party: party[2],
)


def theirs(location: str, identifier: bytes, key: bytes, texts: list[str]) -> pymacaroons.Macaroon:
    """Mint with pymacaroons."""
    macaroon = pymacaroons.Macaroon(location=location, identifier=identifier, key=key, version=MACAROON_V2)
    for text in texts:
        macaroon.add_first_party_caveat(text)
    return macaroon


def they_verify(text: str, secret: bytes, discharges: list[str] = ()) -> bool:
    verifier = pymacaroons.Verifier()
    verifier.satisfy_general(lambda _text: True)
    deserialize = pymacaroons.Macaroon.deserialize
    return verifier.verify(deserialize(text), secret, [deserialize(discharge) for discharge in discharges])


@given(words, st.binary(min_size=1, max_size=300), caveat_texts, caveat_texts, third_parties)
def test_we_read_what_pymacaroons_mints(location, identifier, texts, later, parties):
    """A macaroon that pymacaroons mints, with third-party caveats and discharges, gives us its caveats."""
    root = theirs(location, identifier, KEY.secret, texts)
    for place, key, name, _ in parties:
        root.add_third_party_caveat(place, key, name)
    for text in later:
        root.add_first_party_caveat(text)
    discharges = [
        root.prepare_for_request(theirs(place, name, key, inner)).serialize()
        for place, key, name, inner in parties
    ]
    macaroon = read_macaroon(root.serialize())
    authentic = verify_signature(macaroon, KEY, [read_macaroon(text) for text in discharges])
    own = [text.encode() for text in texts + later]
    assert list(authentic[: len(own)]) == own
    assert sorted(authentic) == sorted(own + [text.encode() for party in parties for text in party[3]])
    assert (macaroon.location, macaroon.identifier) == (location.encode(), identifier)
    assert they_verify(root.serialize(), KEY.secret, discharges)
    with pytest.raises(SignatureMismatch):
        verify_signature(macaroon, OTHER_KEY, [read_macaroon(text) for text in discharges])


@given(words, grants, few_caveats, few_caveats)
def test_pymacaroons_verifies_what_we_mint(location, granted, minted, appended):
    """A macaroon that we mint and attenuate verifies with pymacaroons, to the same fields and caveats."""
    text = attenuate(mint(KEY, location, granted, minted), appended)
    macaroon = pymacaroons.Macaroon.deserialize(text)
    assert macaroon.serialize() == text
    assert (macaroon.location, macaroon.identifier) == (location, identifier_text(granted))
    assert [caveat.caveat_id for caveat in macaroon.caveats] == [caveat_text(c) for c in minted + appended]
    assert they_verify(text, KEY.secret)
    with pytest.raises(MacaroonInvalidSignatureException):
        they_verify(text, OTHER_KEY.secret)


@given(grants, few_caveats, keys, st.binary(min_size=1, max_size=50), few_caveats)
def test_pymacaroons_verifies_our_discharges(granted, minted, key, name, inner):
    """A third-party caveat and its bound discharge that we make verify with pymacaroons, and with us."""
    text = add_third_party_caveat(mint(KEY, ISSUER, granted, minted), "there", key, name)
    discharge = bind_discharge(text, mint_discharge("there", key, name, inner))
    assert they_verify(text, KEY.secret, [discharge])
    authentic = verify_signature(read_macaroon(text), KEY, [read_macaroon(discharge)])
    assert authentic == tuple(caveat_text(caveat) for caveat in minted + inner)


@given(grants, st.lists(caveats, min_size=1, max_size=5))
def test_attenuating_here_or_there_is_the_same(granted, appended):
    """A child made with pymacaroons and a child made with us are the same text."""
    child = pymacaroons.Macaroon.deserialize(mint(KEY, ISSUER, granted))
    for caveat in appended:
        child.add_first_party_caveat(caveat_text(caveat).decode())
    assert attenuate(mint(KEY, ISSUER, granted), appended) == child.serialize()


@pytest.mark.parametrize("options", [{}, {"indent": 4}, {"sort_keys": True, "ensure_ascii": False}], ids=str)
def test_a_holder_writes_json_as_python_does(options):
    """A caveat that a holder writes with json.dumps, in any layout, restricts as those that we append."""
    members = {"exp": NOW + 60, "scope": "read", "cnf": {"x5t#S256": CERTIFICATE}, "path": "/invoices"}
    child = pymacaroons.Macaroon.deserialize(token())
    child.add_first_party_caveat(json.dumps(members, **options))
    ours = token(Expiry(NOW + 60), Scope("read"), BOUND, PathPrefix("/invoices"))
    assert judged(child.serialize()) == judged(ours)
    for changes in ({"now": NOW + 60}, {"certificate": OTHER_CERTIFICATE}, {"target": None}):
        with pytest.raises(CaveatsNotMet):
            judged(child.serialize(), **changes)


@given(words, words, st.binary(max_size=90))
def test_both_read_a_third_party_caveat_alike(location, place, name):
    """A third-party caveat of pymacaroons has the same three fields when we read it."""
    root = theirs(location, b"id", KEY.secret, [])
    root.add_third_party_caveat(place, b"k" * 32, name)
    (caveat,) = root.caveats
    (read,) = read_macaroon(root.serialize()).caveats
    assert read == ThirdPartyCaveat(place.encode(), name, caveat.verification_key_id)
