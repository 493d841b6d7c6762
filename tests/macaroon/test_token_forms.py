"""Texts in place of a token: named in plain words; holders' tools mend two slips alone."""

import json
import re

import pytest
from hypothesis import given

from macaroon_cbat.errors import MalformedMacaroon
from macaroon_cbat.macaroon.bearer import challenge, read_credentials
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.minting import add_third_party_caveat, attenuate, bind_discharge
from macaroon_cbat.macaroon.token_forms import mended
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.strategies import texts
from tests.support.tokens import BOUND, signed, to_text, token

TOKEN = token(BOUND)
ODD = signed('{"path":"/\u03be\u03fe"}'.encode())
"""A token whose base64 has characters in which the two alphabets differ."""
STANDARD = ODD.replace("-", "+").replace("_", "/")
PADDED = STANDARD + "=" * (-len(STANDARD) % 4)
V2_JSON = json.dumps({"v": 2, "l": "as", "i": "id", "c": [], "s64": "AAAA"}, separators=(",", ":"))
V1_JSON = json.dumps({"location": "as", "identifier": "id", "signature": "00"})
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0." + "c" * 342

FORMS = {
    "nothing": ("", "it is empty"),
    "white space": (" \t", "it is empty"),
    "the scheme twice": (f"Bearer {TOKEN}", "it begins with a scheme such as Bearer"),
    "the whole header": (f"Authorization: Bearer {TOKEN}", "it begins with a scheme such as Bearer"),
    "another scheme": (f"DPoP {TOKEN}", "it begins with a scheme such as Bearer"),
    "quotes": (f'"{TOKEN}"', "it is in quotes"),
    "single quotes": (f"'{TOKEN}'", "it is in quotes"),
    "half a quote": (f"{TOKEN}'", "it is in quotes"),
    "typographic quotes": (f"\u201c{TOKEN}\u201d", "it is in quotes"),
    "a certificate": ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "it is PEM"),
    "a macaroon in JSON": (V2_JSON, "it is a macaroon in JSON of version 2: this takes the binary format"),
    "a macaroon in older JSON": (V1_JSON, "it is a macaroon in JSON of version 1"),
    "a token answer": (json.dumps({"access_token": TOKEN}), "it is the whole answer of a token endpoint"),
    "other JSON": ("[1]", "it is JSON"),
    "a line end": (TOKEN + "\n", "it has white space or a line end in it"),
    "a wrapped line": (f"{TOKEN[:64]}\r\n{TOKEN[64:]}", "it has white space or a line end in it"),
    "a space": (f"{TOKEN[:300]} {TOKEN[300:]}", "it has white space or a line end in it"),
    "an ellipsis": (TOKEN[:20] + "...", "it is cut short by an ellipsis"),
    "one character of ellipsis": (TOKEN[:20] + "\u2026", "it is cut short by an ellipsis"),
    "a zero-width space": (TOKEN + "\u200b", "it has a character beyond ASCII"),
    "a byte order mark": ("\ufeff" + TOKEN, "it has a character beyond ASCII"),
    "percent-encoded": (PADDED.replace("=", "%3D").replace("+", "%2b"), "it is percent-encoded"),
    "several": (f"{TOKEN},{TOKEN}", "it is a list: give one"),
    "a JWT": (JWT, "it is a JWT: this takes macaroons"),
    "an unsigned JWT": ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "it is a JWT: this takes macaroons"),
    "a JWE": ("eyJhbGciOiJSU0EifQ.a.b.c.d", "it is an encrypted JWT: this takes"),
    "version 1": (to_text(b"0019location https://as\n"), "it is a macaroon of version 1"),
    "version 1, padded": (to_text(b"0019location https://a\n") + "==", "it is a macaroon of version 1"),
    "JSON in base64": (to_text(V2_JSON.encode()), "it is JSON in base64: this takes"),
    "a list of JSON in base64": (to_text(f"[{V2_JSON}]".encode()), "it is JSON in base64: this takes"),
    "hexadecimal": ((b"\2\1" + b"x" * 40).hex(), "it is in hexadecimal: write it in base64url"),
    "padding": (TOKEN + "=" * (-len(TOKEN) % 4 or 4), "it has padding"),
    "the standard alphabet": (STANDARD, "it is in the standard base64 alphabet"),
    "cut short": (TOKEN[:-1], "it is cut short or altered"),
    "altered": (TOKEN + "AAAA", "it is cut short or altered"),
    "too long": (TOKEN + "A" * 8000, "it is longer than any token"),
    "an opaque token": ("2YotnFZFEjr1zCsicMWpAA", "it is no macaroon"),
    "of another service": (signed(identifier=b"we used our secret key"), "no service of this kind minted it"),
}


@pytest.mark.parametrize(("text", "form"), FORMS.values(), ids=FORMS)
def test_what_is_presented_is_named(text, form):
    """The description of the refusal, and the log, name what was presented, and quote nothing of it."""
    with pytest.raises(MalformedMacaroon) as refusal:
        read_identifier(read_macaroon(text).identifier)
    assert refusal.value.description.startswith(f"the token is malformed: {form}")
    assert form in str(refusal.value)
    for at in range(0, len(text) - 8, 8):
        assert text[at : at + 8] not in refusal.value.description + challenge(refusal.value, realm="api")


def test_a_scheme_sent_twice_is_named_at_the_header():
    """`Bearer Bearer ...` is one scheme and a token that begins with another."""
    with pytest.raises(MalformedMacaroon, match="a scheme such as Bearer"):
        read_macaroon(read_credentials(f"Bearer Bearer {TOKEN}")[1])


@given(texts)
def test_a_description_stays_in_bounds(text):
    """The description is a short sentence of ours, whatever was presented (RFC 6750 3)."""
    with pytest.raises(MalformedMacaroon) as refusal:
        read_macaroon(text)
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,120}", refusal.value.description)


MENDED = {"padding": ODD + "=" * (-len(ODD) % 4), "standard": STANDARD, "both": PADDED, "neither": ODD}


@pytest.mark.parametrize("text", MENDED.values(), ids=MENDED)
def test_holders_mend_padding_and_alphabet(text):
    """A token that others padded or wrote in the standard alphabet is attenuated as its one spelling is."""
    assert mended(text) == ODD
    assert attenuate(text, [BOUND]) == attenuate(ODD, [BOUND])
    root = add_third_party_caveat(ODD, "there", b"k" * 32, b"x")
    assert bind_discharge(root + "=" * (-len(root) % 4), text) == bind_discharge(root, ODD)


NOT_MENDED = {
    "too much padding": ODD + "===",
    "four of it": ODD + "=" * (-len(ODD) % 4 + 4),
    "padding inside": ODD[:40] + "==" + ODD[40:],
    "both alphabets": STANDARD.replace("+", "-"),
    "white space": ODD + " ",
    "a line end": ODD + "\n",
    "quotes": f'"{ODD}"',
    "percent-encoded": PADDED.replace("=", "%3D").replace("/", "%2F"),
    "a scheme": f"Bearer {ODD}",
    "spare bits": ODD[:-1] + chr(ord(ODD[-1]) + 1),
}


@pytest.mark.parametrize("text", NOT_MENDED.values(), ids=NOT_MENDED)
def test_holders_mend_nothing_else(text):
    """Any other slip is refused by holders' tools, too, as it is by verifiers."""
    with pytest.raises(MalformedMacaroon):
        attenuate(text, [BOUND])


@given(texts)
def test_mending_is_done_once(text):
    """A mended text needs no mending, nor does a token in its one spelling."""
    assert mended(mended(text)) == mended(text)
    assert mended(TOKEN) == TOKEN
