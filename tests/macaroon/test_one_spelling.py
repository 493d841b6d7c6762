from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from macaroon_cbat.errors import InvalidToken, MalformedMacaroon
from macaroon_cbat.macaroon.caveats import Expiry, Scope
from macaroon_cbat.macaroon.minting import add_third_party_caveat, bind_discharge, mint_discharge
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat, read_macaroon
from tests.support.strategies import BASE64URL, macaroons, texts
from tests.support.tokens import ACCESS, BOUND, KEYS, NOW, spell, to_binary, to_text, token

PLAIN = token(BOUND, Expiry(NOW + 60), Scope("read write"))
ASKING = add_third_party_caveat(PLAIN, "https://third.example", b"k" * 32, b"x")
DISCHARGE = bind_discharge(ASKING, mint_discharge("third", b"k" * 32, b"x", [Scope("read")]))
CHARACTERS = BASE64URL + "+/=. \n\0é"


DISCHARGES = {PLAIN: [], ASKING: [DISCHARGE]}


def without_locations(macaroon: Macaroon) -> Macaroon:
    """Return what the MAC covers: all but the locations, which are hints alone."""
    caveats = tuple(
        replace(caveat, location=None) if isinstance(caveat, ThirdPartyCaveat) else caveat
        for caveat in macaroon.caveats
    )
    return replace(macaroon, location=None, caveats=caveats)


def hold_the_law(original: str, mutated: str) -> None:
    """Assert that the mutation is refused, or differs in nothing but the locations."""
    discharges = DISCHARGES[original]
    try:
        principal = verify(mutated, KEYS, ACCESS, discharges=discharges)
    except InvalidToken:
        return
    if mutated != original:
        before, after = read_macaroon(original), read_macaroon(mutated)
        assert without_locations(after) == without_locations(before)
        assert after != before
    assert principal == verify(original, KEYS, ACCESS, discharges=discharges)


@given(st.data(), st.sampled_from([PLAIN, ASKING]), st.sampled_from(["text", "binary"]))
def test_a_mutation_is_refused_or_changes_nothing(data, original, level):
    """Any few inserted, deleted or replaced pieces of an accepted text are refused, or change no fact."""
    whole = original if level == "text" else to_binary(original)
    piece = st.text(CHARACTERS, max_size=4) if level == "text" else st.binary(max_size=4)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, min(start + 4, len(whole))))
        whole = whole[:start] + data.draw(piece) + whole[end:]
    hold_the_law(original, whole if level == "text" else to_text(whole))


def test_every_flipped_bit_is_refused_or_changes_nothing():
    """Each single bit of an accepted macaroon, flipped, is refused, unless it belongs to a location."""
    for original in (PLAIN, ASKING):
        data = to_binary(original)
        for position in range(len(data)):
            for bit in range(8):
                flipped = bytes([data[position] ^ 1 << bit])
                hold_the_law(original, to_text(data[:position] + flipped + data[position + 1 :]))


def test_every_changed_character_is_refused_or_changes_nothing():
    """Each character of an accepted text, deleted, doubled or replaced by a neighbour, keeps the law."""
    for position, character in enumerate(PLAIN):
        before, after = PLAIN[:position], PLAIN[position + 1 :]
        for other in ("", character * 2, character + "=", *CHARACTERS[position % 7 :: 7]):
            hold_the_law(PLAIN, before + other + after)


def test_every_byte_inserted_or_deleted_is_refused_or_changes_nothing():
    """Each byte inserted into an accepted macaroon, or deleted from it, keeps the law."""
    data = to_binary(ASKING)
    for position in range(len(data) + 1):
        hold_the_law(ASKING, to_text(data[:position] + data[position + 1 :]))
        for byte in (0x00, 0x01, 0x02, 0x04, 0x06, 0x20, 0x7F, 0x80, 0xFF):
            hold_the_law(ASKING, to_text(data[:position] + bytes([byte]) + data[position:]))


@given(macaroons)
def test_every_well_formed_macaroon_is_read(macaroon):
    """Every macaroon that fits the format is read to what was written."""
    assert read_macaroon(spell(macaroon)) == macaroon


@given(texts | st.binary().map(to_text) | st.binary().map(b"\2".__add__).map(to_text))
def test_what_is_read_is_its_own_spelling(text):
    """A macaroon that was read is written as the same text again: no macaroon has two spellings."""
    try:
        macaroon = read_macaroon(text)
    except MalformedMacaroon:
        return
    assert spell(macaroon) == text


@given(st.data(), macaroons)
def test_a_spoilt_macaroon_is_its_own_spelling(data, macaroon):
    """A well-formed macaroon with any byte changed is malformed or, again, its own only spelling."""
    binary = to_binary(spell(macaroon))
    position = data.draw(st.integers(0, len(binary) - 1))
    changed = binary[:position] + data.draw(st.binary(max_size=2)) + binary[position + 1 :]
    try:
        read = read_macaroon(to_text(changed))
    except MalformedMacaroon:
        return
    assert to_binary(spell(read)) == changed
