"""The headers that carry discharges: what is read from them, and what is refused."""

import json
from base64 import b64encode, urlsafe_b64encode
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidRequest, InvalidToken, MalformedMacaroon, MissingToken
from macaroon_cbat.macaroon.discharge_headers import presented_macaroons
from macaroon_cbat.macaroon.json_form import text_of_json
from macaroon_cbat.macaroon.verification import verify
from tests.support.discharging import FORMS, array, asking, discharge, in_json, macaroons
from tests.support.tokens import ACCESS, BOUND, KEYS, appended, signed, token

TOKEN = asking(asking(token(BOUND)), b"\xff\x00 no text")
DISCHARGES = (discharge(TOKEN), discharge(TOKEN, name=b"\xff\x00 no text"))


def read(*headers: tuple[str, str]) -> tuple[str, tuple[str, ...]]:
    """Read the headers of a request as an adapter hands them over."""
    found = dict(headers)
    credentials = tuple(one for one in headers if one[0] != "Authorization")
    _, token, discharges = presented_macaroons(found.get("Authorization"), credentials)
    return token, discharges


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_token_and_discharges_come_in_every_form(form):
    """Token and discharges are the same texts in whichever headers they come, and verify."""
    text, discharges = read(*form(TOKEN, *DISCHARGES))
    assert (text, sorted(discharges)) == (TOKEN, sorted(DISCHARGES))
    assert verify(text, KEYS, ACCESS, discharges=discharges).client_id == "billing"


def test_several_arrays_of_one_token_are_read():
    """`Macaroons` may be repeated, or joined with commas, where every array begins with one token."""
    first, second = (macaroons(TOKEN, one)[0] for one in DISCHARGES)
    assert read(first, second) == (TOKEN, DISCHARGES)
    assert read(("Macaroons", f"{first[1]}, {second[1]}")) == (TOKEN, DISCHARGES)


@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode, lambda data: b64encode(data).rstrip(b"=")])
def test_the_array_is_in_any_base64(encode):
    """The array is base64 of either alphabet, padded or not, as Go and Python write it."""
    data = json.dumps([in_json(TOKEN), *map(in_json, DISCHARGES)]).encode()
    assert read(("Macaroons", encode(data).decode())) == (TOKEN, DISCHARGES)


OTHER = token()
OTHERS = {
    "another than Authorization": [("Authorization", f"Bearer {OTHER}"), *macaroons(TOKEN, *DISCHARGES)],
    "a child of it": [("Authorization", f"Bearer {appended(TOKEN, b'{}')}"), *macaroons(TOKEN)],
    "two arrays": [*macaroons(TOKEN), *macaroons(OTHER)],
    "a discharge first": [("Authorization", f"Bearer {TOKEN}"), *macaroons(DISCHARGES[0])],
}


@pytest.mark.parametrize("headers", OTHERS.values(), ids=OTHERS)
def test_two_tokens_are_a_bad_request(headers):
    """A request that names two tokens is refused: no server and proxy judge different ones."""
    with pytest.raises(InvalidRequest, match="send one token"):
        read(*headers)


@pytest.mark.parametrize(
    "headers",
    [[("X-Discharge-Macaroon", DISCHARGES[0])], [("Authorization", "Basic eDp5"), *macaroons(TOKEN)]],
)
def test_discharges_are_no_token(headers):
    """A request with discharges alone, or with credentials of another scheme, has no token."""
    with pytest.raises(MissingToken):
        read(*headers)


MEMBERS = in_json(TOKEN)
MALFORMED = {
    "no base64": "*" * 8,
    "no JSON": b64encode(b"[").decode(),
    "no array": array()[:0] + b64encode(b'{"i":"x"}').decode(),
    "an empty array": array(),
    "a member smuggled in beside the array": b64encode(b'[],"x":[1]').decode(),
    "a repeated key": b64encode(b'[{"i":"x","i":"y","s64":"AA"}]').decode(),
    "a number": array(7),
    "null": array(None),
    "an array in the array": array([TOKEN]),
    "eighteen macaroons": array(TOKEN, *[DISCHARGES[0]] * 17),
    "JSON of version 1": array({"identifier": "x", "signature": "00" * 32}),
    "another version": array({**MEMBERS, "v": 1}),
    "an unknown member": array({**MEMBERS, "x": 1}),
    "an identifier twice": array({**MEMBERS, "i64": "AA"}),
    "no signature": array({name: value for name, value in MEMBERS.items() if name != "s64"}),
    "a short signature": array({**MEMBERS, "s64": "AAAA"}),
    "spare bits": array({**MEMBERS, "s64": MEMBERS["s64"][:-1] + "B"}),
    "caveats that are no list": array({**MEMBERS, "c": {}}),
    "a caveat that is no object": array({**MEMBERS, "c": ["x"]}),
    "a caveat without identifier": array({**MEMBERS, "c": [{"l": "x"}]}),
    "a caveat with an unknown member": array({**MEMBERS, "c": [{"i": "x", "cl": "y"}]}),
    "a first-party caveat with a location": array({**MEMBERS, "c": [{"i": "x", "l": "y"}]}),
    "half a surrogate pair": b64encode(b'[{"i":"\\ud800","s64":"AA"}]').decode(),
    "a field beyond any token": array({**MEMBERS, "i": "x" * 20_000}),
    "too many caveats": array({**MEMBERS, "c": [{"i": "x"}] * 101}),
    "a token of version 1 in binary": array("MDAxY2xvY2F0aW9uIGh0dHA6Ly9teWJhbmsvCg"),
    "nested deeply": b64encode(b"[" * 20_000).decode(),
}


@pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_array_is_refused(value):
    """Any other value of `Macaroons` is malformed, and no other error comes."""
    with pytest.raises(MalformedMacaroon) as refusal:
        read(("Macaroons", value))
    assert refusal.value.told is not None


@pytest.mark.parametrize(
    "headers",
    [
        [("X-Discharge-Macaroon", ",".join([DISCHARGES[0]] * 17))],
        [("X-Discharge-Macaroon", DISCHARGES[0])] * 17,
        [*macaroons(TOKEN, *[DISCHARGES[0]] * 16), ("X-Discharge-Macaroon", DISCHARGES[0])],
        [*macaroons(TOKEN)] * 17,
        [("X-Discharge-Macaroon", "A" * 65_537)],
        [("X-Discharge-Macaroon", "A" * 33_000)] * 2,
    ],
    ids=["17 in one header", "17 headers", "17 in both", "17 arrays", "a long header", "two long headers"],
)
def test_number_and_length_are_bounded_before_any_work(headers):
    """More than 16 discharges, or more text than servers take, is refused before anything is decoded."""
    with pytest.raises(MalformedMacaroon, match="more than"):
        read(("Authorization", f"Bearer {TOKEN}"), *headers)


@pytest.mark.parametrize(
    "value",
    ["", ",", f"{DISCHARGES[0]},", f"{DISCHARGES[0]}=", f"Bearer {DISCHARGES[0]}"],
    ids=["empty", "a comma", "a comma behind", "padded", "with a scheme"],
)
def test_a_discharge_has_one_spelling(value):
    """A discharge that is empty, padded or in words is refused as a token would be."""
    text, discharges = read(("Authorization", f"Bearer {TOKEN}"), ("X-Discharge-Macaroon", value))
    with pytest.raises(InvalidToken):
        verify(text, KEYS, ACCESS, discharges=discharges)


@pytest.mark.parametrize(
    "text",
    [TOKEN, *DISCHARGES, token(), signed(location=None)],
    ids=["a token", *(f"discharge {n}" for n in range(len(DISCHARGES))), "another token", "no location"],
)
def test_json_and_binary_are_one_macaroon(text):
    """A macaroon that pymacaroons writes as JSON is read as the very text that it had."""
    assert text_of_json(in_json(text)) == text
    assert text_of_json({"v": 2, **in_json(text)}) == text


members = st.dictionaries(
    st.sampled_from(["v", "c", "l", "l64", "i", "i64", "s", "s64", "v64", "x"]),
    st.recursive(
        st.none() | st.integers() | st.text() | st.just("AAAA") | st.just(MEMBERS["s64"]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["i", "l", "v", "v64"]), inner, max_size=3)
        ),
    ),
)
values = st.one_of(
    st.text(),
    st.binary().map(lambda data: b64encode(data).decode()),
    st.lists(st.one_of(members, st.text()), max_size=3).map(lambda macaroons: array(*macaroons)),
)


@given(values, st.sampled_from(["Macaroons", "X-Discharge-Macaroon"]))
def test_no_other_exception_comes(value, name):
    """An InvalidToken or InvalidRequest is all that comes of a header, whatever it holds."""
    with suppress(InvalidToken, InvalidRequest):
        text, discharges = read(("Authorization", f"Bearer {TOKEN}"), (name, value))
        verify(text, KEYS, ACCESS, discharges=discharges)
