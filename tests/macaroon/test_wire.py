import base64

import pytest

from macaroon_cbat.errors import MalformedMacaroon
from macaroon_cbat.macaroon.caveats import Expiry, Scope
from macaroon_cbat.macaroon.wire import (
    MAX_CAVEATS,
    MAX_CHARACTERS,
    Macaroon,
    ThirdPartyCaveat,
    read_discharges,
    read_macaroon,
)
from tests.support.tokens import BOUND, NOW, packet, spell, to_binary, to_text, token

SIGNATURE = bytes(range(32))
END = b"\0"
LAST = END + packet(6, SIGNATURE)
HEAD = b"\2" + packet(1, b"here") + packet(2, b"id") + END
THIRD_PARTY = ThirdPartyCaveat(b"there", b"which", bytes(72))


def long_form(kind: int, content: bytes, zeros: int = 1) -> bytes:
    """Return a packet whose length takes more bytes than it must."""
    length = bytes([len(content) | 0x80]) + b"\x80" * (zeros - 1) + b"\0"
    return bytes([kind]) + length + content


@pytest.mark.parametrize(
    "macaroon",
    [
        Macaroon(b"https://as.example", b"id", (), SIGNATURE),
        Macaroon(None, b"id", (), SIGNATURE),
        Macaroon(b"", b"id", (), SIGNATURE),
        Macaroon("é".encode(), b"\xff\0", (), SIGNATURE),
        Macaroon(b"here", b"", (b"",), SIGNATURE),
        Macaroon(b"here", b"id", (b"a", b"b", b"a"), SIGNATURE),
        Macaroon(b"here", b"i" * 127, (b"c" * 127,), SIGNATURE),
        Macaroon(b"l" * 128, b"i" * 128, (b"c" * 128,), SIGNATURE),
        Macaroon(b"here", b"id", (b"c" * 129, b"c" * 255, b"c" * 256, b"c" * 3000), SIGNATURE),
        Macaroon(b"here", b"id", tuple(bytes(size) for size in (1, 127, 128, 200, 255, 256, 300)), SIGNATURE),
        Macaroon(b"here", b"id", (b"a", THIRD_PARTY, b"b"), SIGNATURE),
        Macaroon(b"here", b"id", (ThirdPartyCaveat(None, b"which", b""),), SIGNATURE),
    ],
    ids=[
        "no caveat",
        "no location",
        "an empty location",
        "octets",
        "empty fields",
        "order kept",
        "127",
        "128",
        "long",
        "zeros, which look like the end",
        "third party",
        "third party without location",
    ],
)
def test_a_macaroon_reads_back(macaroon):
    """A macaroon that is written in canonical version 2 is read, field by field."""
    assert read_macaroon(spell(macaroon)) == macaroon


def test_a_minted_macaroon_is_read():
    """A macaroon that this package mints is read by its reader."""
    macaroon = read_macaroon(token(BOUND, Scope("read")))
    assert macaroon.location == b"https://as.example"
    assert macaroon.caveats[1] == b'{"scope":"read"}'


MALFORMED = {
    "nothing": b"",
    "version 1": b"0019location here\n",
    "version 3": b"\3" + HEAD[1:] + LAST,
    "JSON": b'{"v":2,"i":"id","s64":""}',
    "no identifier": b"\2" + packet(1, b"here") + END + LAST,
    "two identifiers": HEAD[:-1] + packet(2, b"id") + END + LAST,
    "two locations": b"\2" + packet(1, b"a") + packet(1, b"b") + packet(2, b"id") + END + LAST,
    "location after identifier": b"\2" + packet(2, b"id") + packet(1, b"here") + END + LAST,
    "a vid in the head": HEAD[:-1] + packet(4, b"v") + END + LAST,
    "no end of the head": HEAD[:-1] + LAST,
    "no end of the caveats": HEAD + packet(2, b"c") + END + packet(6, SIGNATURE),
    "no end of a caveat": HEAD + packet(2, b"c") + LAST,
    "two ends": HEAD + END + LAST,
    "a first-party caveat with a location": HEAD + packet(1, b"l") + packet(2, b"c") + END + LAST,
    "a caveat without identifier": HEAD + packet(4, b"v") + END + LAST,
    "a caveat with two vids": HEAD + packet(2, b"c") + packet(4, b"v") * 2 + END + LAST,
    "a caveat with vid before identifier": HEAD + packet(4, b"v") + packet(2, b"c") + END + LAST,
    "a caveat with a signature": HEAD + packet(2, b"c") + packet(6, SIGNATURE) + END + LAST,
    "a caveat with an unknown field": HEAD + packet(2, b"c") + packet(3, b"x") + END + LAST,
    "an unknown field in the head": HEAD[:-1] + packet(3, b"x") + END + LAST,
    "a location that is not UTF-8": b"\2" + packet(1, b"\xff") + packet(2, b"id") + END + LAST,
    "a caveat's location that is not UTF-8": HEAD
    + packet(1, b"\xff")
    + packet(2, b"c")
    + packet(4, b"v")
    + END
    + LAST,
    "a signature of 31 bytes": HEAD + END + packet(6, SIGNATURE[:-1]),
    "a signature of 33 bytes": HEAD + END + packet(6, SIGNATURE + b"x"),
    "a signature of 31 bytes that says 32": HEAD + END + packet(6, SIGNATURE)[:-1],
    "no signature": HEAD + END,
    "two signatures": HEAD + LAST + packet(6, SIGNATURE),
    "another field than the signature": HEAD + END + packet(4, SIGNATURE),
    "a trailing NUL": HEAD + LAST + b"\0",
    "a trailing macaroon": (HEAD + LAST) * 2,
    "a long-form location": b"\2" + long_form(1, b"here") + packet(2, b"id") + END + LAST,
    "a long-form identifier": b"\2" + long_form(2, b"id") + END + LAST,
    "a long-form caveat": HEAD + long_form(2, b"c") + END + LAST,
    "a longer form caveat": HEAD + long_form(2, b"c", zeros=2) + END + LAST,
    "a long-form vid": HEAD + packet(2, b"c") + long_form(4, b"v") + END + LAST,
    "a long-form signature": HEAD + END + long_form(6, SIGNATURE),
    "a length of three bytes": HEAD + b"\2\x80\x80\1" + b"c" * 16384 + END + LAST,
    "a length past the end": HEAD + b"\2\xff\x7f" + b"c" * 64 + END + LAST,
    "an endless length": HEAD + b"\2" + b"\xff" * 64,
    "field kinds in long form": b"\2\x82\0\2id" + END + LAST,
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_what_is_not_canonical_v2_is_malformed(data):
    """Bytes that are not one canonical version 2 macaroon are malformed."""
    with pytest.raises(MalformedMacaroon):
        read_macaroon(to_text(data)[:MAX_CHARACTERS])


def test_truncation_is_malformed_at_every_byte():
    """A macaroon cut off anywhere, in its bytes or in its text, is malformed."""
    text = token(BOUND, Expiry(NOW + 60), Scope("read"))
    data = to_binary(text)
    for shorter in [
        *(to_text(data[:size]) for size in range(len(data))),
        *(text[:n] for n in range(len(text))),
    ]:
        with pytest.raises(MalformedMacaroon):
            read_macaroon(shorter)


def test_trailing_bytes_are_malformed():
    """A macaroon with any byte after it is malformed."""
    data = to_binary(token(BOUND))
    for byte in range(256):
        with pytest.raises(MalformedMacaroon):
            read_macaroon(to_text(data + bytes([byte])))


TEXTS = {length: token(Scope("r" * length)) for length in (1, 2, 3)}


@pytest.mark.parametrize(
    "stray", ["=", "==", "\n", " ", "\r\n", "\0", ".", "!", "+", "/", "é", "\ud800", "A"]
)
@pytest.mark.parametrize(
    "text", TEXTS.values(), ids=[f"length {len(text) % 4} mod 4" for text in TEXTS.values()]
)
def test_stray_characters_are_malformed(text, stray):
    """Padding, white space and whatever else base64 decoders drop are malformed, wherever they stand."""
    for position in (0, 1, len(text) // 2, len(text) - 1, len(text)):
        with pytest.raises(MalformedMacaroon):
            read_macaroon(text[:position] + stray + text[position:])


def test_the_standard_alphabet_is_malformed():
    """Standard base64 with + and / is malformed: the alphabet is the URL-safe one."""
    macaroon = Macaroon(None, b"\xff\xef\xbe", (), b"\xff" * 32)
    text = spell(macaroon)
    standard = base64.b64encode(to_binary(text)).decode().rstrip("=")
    assert read_macaroon(text) == macaroon
    assert standard != text
    with pytest.raises(MalformedMacaroon, match="base64url"):
        read_macaroon(standard)


def test_spare_bits_are_malformed():
    """The bits of the last character that carry nothing are zero."""
    spelled = {len(text) % 4: text for text in TEXTS.values()}
    assert set(spelled) >= {2, 3}
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for remainder, spare in ((2, 4), (3, 2)):
        text = spelled[remainder]
        value = alphabet.index(text[-1])
        for bits in range(1, 1 << spare):
            with pytest.raises(MalformedMacaroon, match="spare bits"):
                read_macaroon(text[:-1] + alphabet[value | bits])


def test_8000_characters_are_read():
    """A macaroon of exactly 8,000 characters is read, and one character more is too long."""
    rest = len(to_binary(spell(Macaroon(None, b"i" * 200, (), SIGNATURE)))) - 200
    text = spell(Macaroon(None, b"i" * (MAX_CHARACTERS // 4 * 3 - rest), (), SIGNATURE))
    assert len(text) == MAX_CHARACTERS == 8000
    assert read_macaroon(text).signature == SIGNATURE
    with pytest.raises(MalformedMacaroon, match="8001 characters, more than 8000"):
        read_macaroon(text + "A")


def test_100_caveats_are_read():
    """A macaroon with exactly 100 caveats is read, and one with 101 has too many."""
    assert MAX_CAVEATS == 100
    assert len(read_macaroon(spell(Macaroon(None, b"id", (b"c",) * 100, SIGNATURE))).caveats) == 100
    for one_more in (b"c", b"c" * 200, THIRD_PARTY):
        with pytest.raises(MalformedMacaroon, match="more than 100 caveats"):
            read_macaroon(spell(Macaroon(None, b"id", (b"c",) * 100 + (one_more,), SIGNATURE)))


def test_a_macaroon_does_not_print_its_signature():
    """The repr of a macaroon shows neither its signature nor its caveats."""
    macaroon = read_macaroon(token(BOUND, Scope("read")))
    assert repr(macaroon) == f"{macaroon}" == "<Macaroon with 2 caveats>"


def test_16_discharges_are_read():
    """16 discharges are read; of 17 none is, so that even malformed ones cost nothing."""
    assert read_discharges([token()] * 16) == [read_macaroon(token())] * 16
    with pytest.raises(MalformedMacaroon, match="more than 16 discharges"):
        read_discharges(["not a macaroon"] * 17)
