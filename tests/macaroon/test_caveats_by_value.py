"""Caveats by value: no spelling that Hypothesis draws changes one, and what has two readings is refused."""

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidToken
from macaroon_cbat.macaroon.caveats import caveat_text, read_caveats
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.json_spellings import members_of, spelled, spelled_strings, white_space
from tests.support.strategies import accesses, caveats, few_caveats
from tests.support.tokens import KEYS, appended, signed

sets = st.lists(caveats, min_size=1, max_size=4, unique_by=type)
"""Caveats that fit into one object: each of another kind."""


def judgement(text: str, access: object) -> object:
    """Return the principal, or why there is none, in no order."""
    try:
        return verify(text, KEYS, access, require_certificate=False)
    except InvalidToken as refusal:
        return type(refusal), sorted(getattr(refusal, "unmet", ()))


@given(st.data(), sets)
def test_every_spelling_is_read_alike(data, caveats):
    """Spelled in any way, members in any order, the same caveats are read, and again at a second reading."""
    text = data.draw(spelled(members_of(caveats))).encode()
    read = read_caveats(text)
    assert sorted(map(caveat_text, read)) == sorted(map(caveat_text, caveats))
    assert read_caveats(text) == read


@given(st.data(), few_caveats, sets, accesses)
def test_every_spelling_is_judged_alike(data, before, caveats, access):
    """A token with a caveat set in any spelling is judged as one with each caveat in compact form."""
    compact = signed(*map(caveat_text, [*before, *caveats]))
    text = data.draw(spelled(members_of(caveats))).encode()
    one, other = judgement(signed(*map(caveat_text, before), text), access), judgement(compact, access)
    event("refused" if isinstance(other, tuple) else "accepted")
    assert one == other


@given(st.data(), few_caveats, sets, accesses)
def test_a_caveat_set_only_narrows(data, before, caveats, access):
    """A parent is accepted where a child with a caveat set in any spelling is, with no narrower rights."""
    parent_text = signed(*map(caveat_text, before))
    child = judgement(appended(parent_text, data.draw(spelled(members_of(caveats))).encode()), access)
    if isinstance(child, tuple):
        return
    event("the child is accepted")
    parent = judgement(parent_text, access)
    assert child.scope <= parent.scope
    assert child.expires_at <= parent.expires_at
    assert parent.certificate in (None, child.certificate)


@given(st.data(), sets, st.integers(0, 3))
def test_a_repeated_key_is_refused_however_it_is_escaped(data, caveats, position):
    """A key that comes twice, in two spellings, with equal values or others, refuses the whole text."""
    members = members_of(caveats)
    name = sorted(members)[position % len(members)]
    once, twice = data.draw(spelled_strings(name)), data.draw(spelled_strings(name))
    value, again = data.draw(spelled(members[name])), data.draw(spelled(members[name]))
    rest = [
        f"{data.draw(spelled_strings(key))}:{data.draw(spelled(members[key]))}"
        for key in members
        if key != name
    ]
    pairs = data.draw(st.permutations([f"{once}:{value}", f"{twice}:{again}", *rest]))
    with pytest.raises(ValueError, match="repeats the key"):
        read_caveats(("{" + ",".join(pairs) + "}" + data.draw(white_space)).encode())


@given(st.data(), sets, st.text(max_size=5).filter(lambda name: len(name) != 3))
def test_an_unknown_member_is_refused_wherever_it_stands(data, caveats, name):
    """An unknown member refuses the whole text, with all else that the text says."""
    known = members_of(caveats)
    if name in known or name in ("scope", "path", "ip"):
        return
    text = data.draw(spelled({**known, name: 1}))
    with pytest.raises(ValueError, match="unknown caveat"):
        read_caveats(text.encode())


@given(few_caveats, sets)
def test_the_compact_form_is_written(before, caveats):
    """A caveat appended here is compact JSON with one member, and the parent's bytes stay as they were."""
    spelled_parent = signed(b' {"scope" : "read"}\n', *map(caveat_text, before))
    child = read_macaroon(attenuate(spelled_parent, caveats))
    assert child.caveats == (*read_macaroon(spelled_parent).caveats, *map(caveat_text, caveats))
