import pymacaroons
import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidRequest, MalformedMacaroon
from macaroon_cbat.macaroon.attenuation import attenuable, attenuate
from macaroon_cbat.macaroon.caveats import Expiry, Scope, caveat_text
from macaroon_cbat.macaroon.custom import CustomCaveat
from macaroon_cbat.macaroon.minting import add_third_party_caveat
from macaroon_cbat.macaroon.signature import verify_signature
from macaroon_cbat.macaroon.wire import MAX_CHARACTERS, Macaroon, ThirdPartyCaveat, read_macaroon
from tests.support.strategies import few_caveats
from tests.support.tokens import BOUND, ISSUER, KEY, NOW, spell, token

third_party_caveats = st.builds(
    ThirdPartyCaveat, st.text(max_size=20).map(str.encode), st.binary(min_size=1), st.binary(min_size=1)
)
macaroons: st.SearchStrategy[Macaroon] = st.builds(
    Macaroon,
    location=st.text(min_size=1, max_size=20).map(str.encode),
    identifier=st.binary(min_size=1, max_size=300),
    caveats=st.lists(st.binary(min_size=1, max_size=300) | third_party_caveats, max_size=6).map(tuple),
    signature=st.binary(min_size=32, max_size=32),
)
"""Macaroons with every field in which pymacaroons keeps what was there."""

additions = st.lists(st.text(min_size=1, max_size=400), max_size=4)


def theirs(parent: str, texts: list[str]) -> str:
    """Return the child that pymacaroons makes."""
    child = pymacaroons.Macaroon.deserialize(parent)
    for text in texts:
        child.add_first_party_caveat(text)
    return child.serialize()


@given(macaroons, additions)
def test_both_write_the_same_bytes(macaroon: Macaroon, texts: list[str]):
    """A child of any macaroon, with any texts as caveats, is the text that pymacaroons writes."""
    parent, _ = attenuable(spell(macaroon))
    assert parent.child([text.encode() for text in texts]) == theirs(spell(macaroon), texts)


@given(few_caveats, few_caveats, few_caveats)
def test_one_parent_has_many_children(minted, first, second):
    """Each child of a parent that was read once is the child of its own caveats, and verifies."""
    text = token(*minted)
    parent, _ = attenuable(text)
    for caveats in (first, second, first):
        texts = [caveat_text(caveat) for caveat in caveats]
        child = parent.child(texts)
        assert child == attenuate(text, caveats) == theirs(text, [one.decode() for one in texts])
        expected = (*map(caveat_text, minted), *texts)
        assert verify_signature(read_macaroon(child), KEY) == expected


@pytest.mark.parametrize("size", [1, 127, 128, 129, 300, 4000])
def test_a_caveat_of_any_length_is_written_as_its_library_writes_it(size: int):
    """A length is written in as few bytes as it takes, on both sides of each border."""
    parent, _ = attenuable(token())
    assert parent.child([b"x" * size]) == theirs(token(), ["x" * size])


@pytest.mark.parametrize("length", range(3))
def test_a_parent_of_any_length_keeps_its_beginning(length: int):
    """A child begins with its parent's own letters, wherever the parent's caveats end within a group."""
    text = token(BOUND, location=ISSUER + "/" * length)
    child = attenuate(text, [Expiry(NOW)])
    ending = len(text) - 50
    assert child[:ending] == text[:ending]
    assert read_macaroon(child).location == read_macaroon(text).location


def test_a_third_party_caveat_stays_as_it_is():
    """A child carries the third-party caveats of its parent, byte by byte."""
    asking = add_third_party_caveat(token(BOUND), "https://there.example", b"k" * 32, b"x")
    child = read_macaroon(attenuate(asking, [Scope("read")]))
    assert child.caveats[:-1] == read_macaroon(asking).caveats


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        pytest.param([b"{}"] * 101, "at most 100 caveats", id="101 caveats"),
        pytest.param([b"x" * 6_000], f"at most {MAX_CHARACTERS} characters", id="8,000 characters"),
        pytest.param(
            [b"x" * 40_000], f"at most {MAX_CHARACTERS} characters", id="longer than two bytes tell"
        ),
    ],
)
def test_a_child_beyond_the_limits_is_refused(texts: list[bytes], words: str):
    """A child that no verifier would read is not made, and the message says why."""
    with pytest.raises(InvalidRequest, match=words):
        attenuable(token())[0].child(texts)


def test_no_parent_is_made_of_another_text():
    """A text that no verifier would read has no children, and a padded one has those of the token."""
    with pytest.raises(MalformedMacaroon):
        attenuable(token() + "A")
    padded = token() + "=" * (-len(token()) % 4)
    assert attenuate(padded, [Scope("read")]) == attenuate(token(), [Scope("read")])


def test_a_custom_caveat_is_appended_as_any_other():
    """A custom caveat is written compact, as the library writes it that gets its text."""
    caveat = CustomCaveat("payment", {"most": 3})
    assert attenuate(token(), [caveat]) == theirs(token(), ['{"payment":{"most":3}}'])


def test_a_parent_does_not_print():
    """A parent shows nothing that mints a child."""
    text = token(BOUND)
    parent, macaroon = attenuable(text)
    assert repr(parent) == "<Attenuable with 1 caveats>"
    assert macaroon.signature.hex() not in repr(parent)
