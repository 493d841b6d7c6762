"""Unpadded base64url: every sequence of bytes has one spelling."""

import base64
import os

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from macaroon_cbat.text.base64url import NotBase64url, decode, decode_written_key, encode, spells_32_bytes


@given(st.binary(max_size=100))
def test_bytes_come_back(data):
    """Bytes that were encoded decode to the same, and are spelled as the standard library spells them."""
    assert decode(encode(data)) == data
    assert encode(data) == base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@given(st.text("AQgwB-_+/= \n\u00e9\u2011", max_size=12))
def test_one_spelling(text):
    """A text that decodes at all is the very text that its bytes are encoded to."""
    try:
        data = decode(text)
    except NotBase64url:
        return
    assert encode(data) == text


@given(
    st.lists(
        st.sampled_from(["A", "w", "-", "=", '"', "\\/", "\\n", "\\\\", "\\u0041", "\\u00e9"]), max_size=8
    )
)
def test_an_escape_of_json_spells_nothing(parts):
    """A text that JSON would read as another one decodes to nothing, even where the lengths would fit."""
    text = "".join(parts)
    assume(not set(text) <= set("Aw-"))
    with pytest.raises(NotBase64url):
        decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "A",
        "AB",
        "AAB",
        "AA==",
        "AAA=",
        "AA+A",
        "AA/A",
        "AAA\n",
        " AAAA",
        "AA A",
        "AAA\u00e9",
        'AA"A',
        "AA\\A",
    ],
    ids=[
        "truncated",
        "spare bits of one byte",
        "spare bits of two bytes",
        "padding of one byte",
        "padding of two bytes",
        "plus",
        "slash",
        "line end",
        "leading space",
        "space within",
        "beyond ASCII",
        "quotation mark",
        "backslash",
    ],
)
def test_another_spelling_is_refused(text):
    """Every other spelling of some bytes is refused."""
    with pytest.raises(NotBase64url):
        decode(text)


def test_32_bytes_have_43_characters():
    """The pattern of 32 bytes fits what 32 bytes are encoded to, not 31, 33, padding or spare bits."""
    assert spells_32_bytes(encode(os.urandom(32)))
    assert [spells_32_bytes(encode(bytes(size))) for size in (31, 33)] == [False, False]
    assert [spells_32_bytes("A" * 42 + end) for end in ("B", "A=", "A\n")] == [False, False, False]


@pytest.mark.parametrize(
    "spelled", ["A" * 43, "A" * 43 + "=", "A" * 42 + "B"], ids=["bare", "padded", "spare bits"]
)
def test_a_key_of_an_operator_may_be_padded(spelled):
    """A key that an operator wrote is read with padding and with spare bits."""
    assert decode_written_key(spelled) == bytes(32)


@pytest.mark.parametrize(
    "spelled", ["", "A" * 42, "A" * 44, "A" * 42 + "+", "A" * 43 + "==", "A" * 43 + "\n"]
)
def test_a_key_of_an_operator_has_32_bytes(spelled):
    """A key of another length or alphabet is refused."""
    with pytest.raises(NotBase64url):
        decode_written_key(spelled)
