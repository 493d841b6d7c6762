import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from nacl.secret import SecretBox

from macaroon_cbat.errors import NotDischarged, SignatureMismatch
from macaroon_cbat.macaroon.caveats import Expiry, Scope, caveat_text
from macaroon_cbat.macaroon.keys import audience_key
from macaroon_cbat.macaroon.minting import add_third_party_caveat, bind_discharge, mint_discharge
from macaroon_cbat.macaroon.signature import _mac, verify_signature
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat, read_macaroon
from tests.support.tokens import API, BOUND, KEY, NOW, OTHER_API, ROOT, digest, token

CAVEAT_KEY = b"k" * 32
MACAROON = read_macaroon(token(BOUND, Scope("read"), Expiry(NOW)))
TEXTS = MACAROON.caveats


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_the_mac_is_hmac_sha256(key, message):
    """The MAC of the chain is HMAC-SHA256 (RFC 2104)."""
    assert _mac(key, message) == digest(key, message)


def test_the_caveats_of_an_honest_macaroon_are_authentic():
    """An untouched macaroon gives its caveats, in order."""
    assert verify_signature(MACAROON, KEY) == TEXTS
    assert verify_signature(read_macaroon(token()), KEY) == ()


TAMPERED = {
    "another identifier": replace(MACAROON, identifier=MACAROON.identifier.replace(b"alice", b"mario")),
    "a caveat removed from the end": replace(MACAROON, caveats=TEXTS[:-1]),
    "a caveat removed from the start": replace(MACAROON, caveats=TEXTS[1:]),
    "every caveat removed": replace(MACAROON, caveats=()),
    "caveats in another order": replace(MACAROON, caveats=(TEXTS[1], TEXTS[0], TEXTS[2])),
    "a caveat appended": replace(MACAROON, caveats=(*TEXTS, b'{"scope":"read"}')),
    "a caveat inserted": replace(MACAROON, caveats=(b'{"exp":9}', *TEXTS)),
    "a caveat repeated": replace(MACAROON, caveats=(*TEXTS, TEXTS[-1])),
    "a caveat changed": replace(MACAROON, caveats=(*TEXTS[:-1], caveat_text(Expiry(NOW + 9)))),
    "two caveats made one": replace(MACAROON, caveats=(TEXTS[0] + TEXTS[1], TEXTS[2])),
    "a signature of zeros": replace(MACAROON, signature=bytes(32)),
    "the parent's signature": replace(
        MACAROON, signature=read_macaroon(token(BOUND, Scope("read"))).signature
    ),
}


@pytest.mark.parametrize("macaroon", TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_macaroon_does_not_verify(macaroon):
    """A change in identifier, caveats or signature breaks the chain."""
    with pytest.raises(SignatureMismatch, match="does not follow from key 'k1'"):
        verify_signature(macaroon, KEY)


def test_each_bit_of_the_signature_counts():
    """A signature that differs in one bit does not verify."""
    for bit in range(256):
        flipped = int.from_bytes(MACAROON.signature, "big") ^ (1 << bit)
        with pytest.raises(SignatureMismatch):
            verify_signature(replace(MACAROON, signature=flipped.to_bytes(32, "big")), KEY)


@pytest.mark.parametrize(
    "key",
    [audience_key(ROOT, OTHER_API), audience_key(ROOT, None), audience_key(ROOT, API, "refresh")],
    ids=["another audience", "the issuer", "another use"],
)
def test_another_key_does_not_verify(key):
    """A macaroon verifies under the key of its own audience and use alone."""
    with pytest.raises(SignatureMismatch):
        verify_signature(MACAROON, key)


def test_the_location_is_not_authentic():
    """The MAC does not cover the location: a changed one verifies all the same, and means nothing."""
    assert verify_signature(replace(MACAROON, location=b"https://evil.example"), KEY) == TEXTS


ROOT_TEXT = add_third_party_caveat(token(BOUND), "there", CAVEAT_KEY, b"x")
ROOT_MACAROON = read_macaroon(ROOT_TEXT)
DISCHARGE_TEXT = mint_discharge("there", CAVEAT_KEY, b"x", [Scope("read")])
DISCHARGE = read_macaroon(bind_discharge(ROOT_TEXT, DISCHARGE_TEXT))


def bound(text: str, root: str = ROOT_TEXT) -> Macaroon:
    return read_macaroon(bind_discharge(root, text))


def test_a_discharge_adds_its_caveats():
    """A discharged macaroon gives the caveats of its discharge beside its own."""
    caveats = verify_signature(ROOT_MACAROON, KEY, [DISCHARGE])
    assert caveats == (caveat_text(BOUND), b'{"scope":"read"}')


def test_discharges_are_found_in_any_order():
    """Discharges may come in any order, and a discharge may itself ask for one."""
    root = add_third_party_caveat(ROOT_TEXT, "elsewhere", b"y" * 32, b"y")
    nested = add_third_party_caveat(DISCHARGE_TEXT, "further", b"z" * 32, b"z")
    discharges = [
        bound(nested, root),
        bound(mint_discharge("elsewhere", b"y" * 32, b"y", [Expiry(NOW)]), root),
        bound(mint_discharge("further", b"z" * 32, b"z", [Expiry(NOW + 1)]), root),
    ]
    for order in (discharges, discharges[::-1], discharges[1:] + discharges[:1]):
        caveats = verify_signature(read_macaroon(root), KEY, order)
        assert set(caveats) == {caveat_text(c) for c in (BOUND, Scope("read"), Expiry(NOW), Expiry(NOW + 1))}


UNBOUND = "the discharge of third-party caveat 2 at 'there' is not bound: bind it"
UNFIT = "the discharge of third-party caveat 2 at 'there' is forged or bound to another macaroon"
MISSING = "third-party caveat 2 at 'there' has no discharge of its own, bound to this"
EXTRA = "a discharge that no third-party caveat asks for"
NOT_DISCHARGED = {
    "none": ([], MISSING),
    "not bound": ([read_macaroon(DISCHARGE_TEXT)], UNBOUND),
    "bound to the parent": ([bound(DISCHARGE_TEXT, token(BOUND))], UNFIT),
    "bound to another macaroon": ([bound(DISCHARGE_TEXT, token())], UNFIT),
    "bound to itself": ([bound(DISCHARGE_TEXT, DISCHARGE_TEXT)], UNFIT),
    "another identifier": ([bound(mint_discharge("there", CAVEAT_KEY, b"y"))], MISSING),
    "another key": ([bound(mint_discharge("there", b"j" * 32, b"x"))], UNFIT),
    "the same one twice": ([DISCHARGE, DISCHARGE], EXTRA),
    "one too many": ([DISCHARGE, bound(mint_discharge("there", CAVEAT_KEY, b"y"))], EXTRA),
    "a caveat of the discharge removed": ([replace(DISCHARGE, caveats=())], UNFIT),
    "a caveat appended to the bound discharge": (
        [replace(DISCHARGE, caveats=(*DISCHARGE.caveats, b"{}"))],
        UNFIT,
    ),
    "the root macaroon as its own discharge": ([ROOT_MACAROON], MISSING),
    "one right, three not asked for": (
        [DISCHARGE] + [replace(DISCHARGE, identifier=bytes([n])) for n in range(3)],
        EXTRA,
    ),
}


@pytest.mark.parametrize(("discharges", "reason"), NOT_DISCHARGED.values(), ids=NOT_DISCHARGED)
def test_only_its_own_bound_discharge_discharges(discharges, reason):
    """A third-party caveat needs exactly one discharge, of its own key, bound to this very macaroon."""
    with pytest.raises(NotDischarged, match=reason) as refusal:
        verify_signature(ROOT_MACAROON, KEY, discharges)
    assert refusal.value.description == str(refusal.value)


def test_a_discharge_that_lacks_one_is_named():
    """A third-party caveat of a discharge is named as one, with its own location."""
    nested = bound(add_third_party_caveat(DISCHARGE_TEXT, "further", b"z" * 32, b"z"))
    with pytest.raises(NotDischarged, match="third-party caveat 2 of a discharge at 'further' has no"):
        verify_signature(ROOT_MACAROON, KEY, [nested])


@pytest.mark.parametrize(
    "location",
    ['x", error="none', "\x1b[2J\r\nX-Evil: 1", "\u202e\xe9" * 50, "x" * 3000, ""],
    ids=["quotes", "line ends", "not ASCII", "long", "none"],
)
def test_a_location_is_quoted_in_bounds(location):
    """A location, which any holder can write, is short in the description and stays within RFC 6750 3."""
    root = read_macaroon(add_third_party_caveat(token(), location, CAVEAT_KEY, b"x"))
    with pytest.raises(NotDischarged, match="third-party caveat 1 at ") as refusal:
        verify_signature(root, KEY)
    assert re.fullmatch(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,220}", refusal.value.description)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("changed", [{"signature": bytes(32)}, {"identifier": b"{}"}])
def test_of_a_forgery_no_caveat_is_named(changed):
    """A missing discharge is not named before the signature holds."""
    with pytest.raises(SignatureMismatch):
        verify_signature(replace(ROOT_MACAROON, **changed), KEY)


def test_a_macaroon_without_third_party_caveats_takes_no_discharge():
    """A discharge that no caveat asks for is refused: it was not verified."""
    with pytest.raises(NotDischarged, match="no third-party caveat asks for"):
        verify_signature(MACAROON, KEY, [DISCHARGE])


def test_a_tampered_macaroon_with_a_discharge_does_not_verify():
    """A right discharge does not heal a macaroon whose own chain is broken."""
    caveats = ROOT_MACAROON.caveats
    for changed in (caveats[1:], (caveats[1], caveats[0]), (b'{"exp":9}', *caveats[1:]), (*caveats, b"{}")):
        with pytest.raises(SignatureMismatch):
            verify_signature(replace(ROOT_MACAROON, caveats=changed), KEY, [DISCHARGE])
    with pytest.raises(SignatureMismatch, match="does not follow"):
        verify_signature(replace(ROOT_MACAROON, signature=bytes(32)), KEY, [DISCHARGE])


def with_caveat_key(plaintext: bytes) -> Macaroon:
    """Append, as a holder can, a third-party caveat that hides this plaintext as its key."""
    signature = read_macaroon(token()).signature
    vid = SecretBox(signature).encrypt(plaintext, nonce=bytes(24))
    after = digest(signature, digest(signature, vid) + digest(signature, b"x"))
    return Macaroon(None, read_macaroon(token()).identifier, (ThirdPartyCaveat(None, b"x", vid),), after)


@pytest.mark.parametrize("size", [0, 1, 31, 33, 64, 65, 100])
def test_a_caveat_key_has_32_bytes(size):
    """A third-party caveat whose key has not 32 bytes is refused, as the MAC takes no other key."""
    root = with_caveat_key(b"k" * size)
    discharge = Macaroon(None, b"x", (), bytes(32))
    with pytest.raises(SignatureMismatch, match="does not have 32 bytes"):
        verify_signature(root, KEY, [discharge])


@pytest.mark.parametrize("size", [0, 1, 23, 24, 39, 40, 72, 100])
def test_a_vid_that_does_not_decrypt_is_refused(size):
    """A third-party caveat whose vid is noise, of whatever length, is a SignatureMismatch."""
    signature = read_macaroon(token()).signature
    vid = bytes(size)
    after = digest(signature, digest(signature, vid) + digest(signature, b"x"))
    root = Macaroon(None, read_macaroon(token()).identifier, (ThirdPartyCaveat(None, b"x", vid),), after)
    with pytest.raises(SignatureMismatch, match="does not decrypt"):
        verify_signature(root, KEY, [DISCHARGE])
