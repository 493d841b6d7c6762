"""Encrypted third-party caveats: ours are read by the bakery, and the bakery's by us."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.public import Box, PrivateKey, PublicKey

from macaroon_cbat.macaroon.sealed_caveats import (
    LEAST_KEY,
    MOST_KEY,
    CaveatRequest,
    is_sealed_for,
    opened_caveat,
    public_key_of,
    sealed_caveat,
)
from tests.support.bakery_caveats import decrypted, encrypted
from tests.support.tokens import to_text

OURS, THEIRS = bytes(range(32)), bytes(range(1, 33))
NONCE, SECRET = bytes(24), b"k" * 32
PUBLIC = public_key_of(THEIRS)
words = st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" "), min_size=1).filter(
    str.strip
)


def sealed(condition: str = "ok", secret: bytes = SECRET) -> bytes:
    return sealed_caveat(condition, secret, PUBLIC, private_key=OURS, nonce=NONCE)


@given(words.filter(str.isprintable))
def test_what_is_sealed_is_opened(condition):
    """A caveat is read by its discharger as it was written, and the bakery reads the same."""
    caveat = sealed(condition)
    assert opened_caveat(caveat, THEIRS) == CaveatRequest(SECRET, condition, 2)
    theirs = decrypted(caveat, THEIRS)
    assert (theirs.condition, theirs.root_key, theirs.version) == (condition, SECRET, 2)


@given(words.filter(str.isprintable), st.sampled_from([2, 3]), st.binary(min_size=16, max_size=64))
def test_what_the_bakery_seals_is_opened(condition, version, secret):
    """A caveat of the bakery, of form 2 or 3, is read as it was written."""
    standard = to_text(PUBLIC).translate(str.maketrans("-_", "+/")) + "="
    caveat = encrypted(condition, standard, version=version, secret=secret)
    assert opened_caveat(caveat, THEIRS) == CaveatRequest(secret, condition, version)


def test_only_the_discharger_opens_it():
    """Neither the holder nor another discharger reads the condition or the key of a caveat."""
    caveat = sealed("is-member-of accountants")
    assert b"accountants" not in caveat
    assert SECRET not in caveat
    assert is_sealed_for(caveat, PUBLIC)
    assert not is_sealed_for(caveat, public_key_of(OURS))
    with pytest.raises(ValueError, match="does not decrypt"):
        opened_caveat(caveat, bytes(32))


@pytest.mark.parametrize("at", [0, *range(5, 120, 7)])
def test_a_damaged_caveat_is_refused(at):
    """A changed byte anywhere but in the hint of the public key is refused."""
    caveat = sealed("is-member-of accountants auditors")
    damaged = caveat[:at] + bytes((caveat[at] ^ 1,)) + caveat[at + 1 :]
    with pytest.raises(ValueError, match=r"does not decrypt|form 2 or 3|of another form"):
        opened_caveat(damaged, THEIRS)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(data):
    """Bytes of an attacker are opened, or refused with ValueError."""
    for head in (b"", b"\2" + PUBLIC[:4], b"\3" + PUBLIC[:4]):
        with pytest.raises(ValueError, match=r"caveat|encrypted"):
            opened_caveat(head + data, THEIRS)


@given(st.sampled_from([2, 3]), st.binary(max_size=200))
def test_no_content_raises_anything_else(version, content):
    """A sender can encrypt any bytes to the discharger: they are a request, or refused with ValueError."""
    head = bytes((version,))
    box = Box(PrivateKey(OURS), PublicKey(PUBLIC)).encrypt(head + content, NONCE).ciphertext
    caveat = head + PUBLIC[:4] + public_key_of(OURS) + NONCE + box
    with suppress(ValueError):
        assert LEAST_KEY <= len(opened_caveat(caveat, THEIRS).caveat_key) <= MOST_KEY


@pytest.mark.parametrize("condition", ["", " ", "x" * 5000])
def test_a_condition_has_bounds(condition):
    """A condition that is empty or too long is refused where it would be written."""
    with pytest.raises(ValueError, match="the condition is"):
        sealed(condition)


@pytest.mark.parametrize("key", [bytes(32), b"\1" + bytes(31), b"short", b""])
def test_a_public_key_that_is_none_is_refused(key):
    """A key of low order, or of another length, would encrypt to every reader."""
    with pytest.raises(ValueError, match="public key of the discharger"):
        sealed_caveat("ok", SECRET, key, private_key=OURS, nonce=NONCE)
