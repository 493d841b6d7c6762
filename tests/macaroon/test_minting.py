import msgspec
import pytest

from macaroon_cbat.errors import InvalidRequest, MalformedMacaroon
from macaroon_cbat.macaroon.caveats import Caveat, Expiry, Scope, caveat_text
from macaroon_cbat.macaroon.identifier import identifier_text
from macaroon_cbat.macaroon.minting import (
    add_third_party_caveat,
    attenuate,
    bind_discharge,
    mint,
    mint_discharge,
)
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat, read_macaroon
from tests.support.tokens import BOUND, GRANT, ISSUER, KEY, NOW, signed, spell, token

CAVEAT_KEY = b"k" * 32
FOREIGN = Macaroon(
    b"elsewhere", b"\xff\0id", (b"account = 7", ThirdPartyCaveat(b"there", b"x", bytes(72))), b"s" * 32
)


def test_what_is_minted_is_what_was_granted():
    """A minted macaroon has the issuer as location, the grant as identifier and the caveats in order."""
    macaroon = read_macaroon(mint(KEY, ISSUER, GRANT, [BOUND, Scope("read")]))
    assert macaroon.location == ISSUER.encode()
    assert macaroon.identifier == identifier_text(GRANT)
    assert macaroon.caveats == (caveat_text(BOUND), b'{"scope":"read"}')


def test_minting_is_deterministic_and_libmacaroons():
    """A minted macaroon is the one that the plain HMAC construction gives."""
    assert token(BOUND, Scope("read")) == signed(caveat_text(BOUND), b'{"scope":"read"}')


def test_attenuating_equals_minting_with_the_caveats():
    """A child made by the holder is the macaroon that the service would have minted with these caveats."""
    assert attenuate(token(BOUND), [Expiry(NOW), Scope("read")]) == token(BOUND, Expiry(NOW), Scope("read"))


@pytest.mark.parametrize("text", [token(), token(BOUND), spell(FOREIGN)], ids=["ours", "bound", "foreign"])
def test_attenuating_by_nothing_changes_nothing(text):
    """A child without a further caveat is the same text."""
    assert attenuate(text, []) == text


def test_attenuating_keeps_what_it_does_not_know():
    """Unknown caveats, third-party ones too, stay as they are in a child."""
    child = read_macaroon(attenuate(spell(FOREIGN), [Expiry(NOW)]))
    assert child.caveats == (*FOREIGN.caveats, caveat_text(Expiry(NOW)))
    assert (child.location, child.identifier) == (FOREIGN.location, FOREIGN.identifier)


BAD_TEXTS = {
    "empty": "",
    "padded": token() + "=",
    "trailing": token() + "AAAA",
    "version 1": "MDAxOWxvY2F0aW9uIGhlcmUK",
    "JSON": '{"v":2}',
    "9,000 characters": "A" * 9000,
    "not ASCII": "é",
}
CALLS = {
    "attenuate": lambda text: attenuate(text, [BOUND]),
    "add_third_party_caveat": lambda text: add_third_party_caveat(text, "there", CAVEAT_KEY, b"x"),
    "bind_discharge": lambda text: bind_discharge(text, token()),
    "bind_discharge, the discharge": lambda text: bind_discharge(token(), text),
}


@pytest.mark.parametrize("text", BAD_TEXTS.values(), ids=BAD_TEXTS)
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_pymacaroons_sees_no_malformed_text(call, text):
    """Text that is not canonical is malformed before pymacaroons sees it."""
    with pytest.raises(MalformedMacaroon):
        call(text)


def test_a_child_keeps_the_limit_of_caveats():
    """A child may have 100 caveats; the 101st is refused where it would be appended."""
    full = attenuate(token(), [Expiry(NOW)] * 100)
    assert len(read_macaroon(full).caveats) == 100
    with pytest.raises(InvalidRequest, match="at most 100 caveats"):
        attenuate(full, [Expiry(NOW)])
    with pytest.raises(InvalidRequest, match="at most 100 caveats"):
        add_third_party_caveat(full, "there", CAVEAT_KEY, b"x")


def test_a_child_keeps_the_limit_of_characters():
    """A child may have 8,000 characters; a longer one is refused where it would be made."""
    rest = len(token(Scope("r" * 5000)))
    long: Caveat = Scope("r" * (5000 + (8000 - rest) * 3 // 4))
    assert len(token(long)) == 8000
    with pytest.raises(InvalidRequest, match="at most 8000 characters, this has 8002"):
        token(Scope(long.scope + "r"))
    with pytest.raises(InvalidRequest, match="at most 8000 characters"):
        add_third_party_caveat(token(long), "there", CAVEAT_KEY, b"x")


@pytest.mark.parametrize("size", [0, 1, 31, 33])
def test_a_key_of_another_length_mints_nothing(size):
    """A key that has not 32 bytes mints no macaroon: pymacaroons would leave it unsigned."""
    with pytest.raises(ValueError, match="has 32 bytes"):
        mint(msgspec.structs.replace(KEY, secret=b"k" * size), ISSUER, GRANT)
    with pytest.raises(ValueError, match="has 32 bytes"):
        add_third_party_caveat(token(), "there", b"k" * size, b"x")


@pytest.mark.parametrize("size", [0, 1, 15, 65])
def test_a_short_caveat_key_mints_no_discharge(size):
    """The bakery's caveat keys have 24 bytes: a key below 16 or above 64 mints no discharge."""
    with pytest.raises(ValueError, match="16 to 64 bytes"):
        mint_discharge("there", b"k" * size, b"x")


def test_a_third_party_caveat_carries_its_key_encrypted():
    """A third-party caveat names its service and hides the key of the discharge from the holder."""
    (caveat,) = read_macaroon(add_third_party_caveat(token(), "there", CAVEAT_KEY, b"x")).caveats
    assert isinstance(caveat, ThirdPartyCaveat)
    assert (caveat.location, caveat.identifier) == (b"there", b"x")
    assert CAVEAT_KEY not in caveat.vid
    assert len(caveat.vid) == 72


def test_binding_changes_only_the_signature():
    """A bound discharge differs from the discharge in its signature alone, and by the root macaroon."""
    discharge = mint_discharge("there", CAVEAT_KEY, b"x", [Expiry(NOW)])
    plain = read_macaroon(discharge)
    bound = [read_macaroon(bind_discharge(root, discharge)) for root in (token(), token(BOUND))]
    for other in bound:
        assert msgspec.structs.replace(other, signature=plain.signature) == plain
    assert len({plain.signature, *(other.signature for other in bound)}) == 3
