"""Caveats that a newly minted macaroon carries on from another one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidRequest, NotDischarged, SignatureMismatch
from macaroon_cbat.macaroon.caveats import Expiry, Scope, caveat_text
from macaroon_cbat.macaroon.keys import audience_key
from macaroon_cbat.macaroon.minting import (
    add_third_party_caveat,
    attenuate,
    bind_discharge,
    mint,
    mint_discharge,
)
from macaroon_cbat.macaroon.signature import OpenedCaveat, open_caveats, verify_signature
from macaroon_cbat.macaroon.wire import Macaroon, ThirdPartyCaveat, read_macaroon
from tests.support.tokens import (
    API,
    BOUND,
    GRANT,
    ISSUER,
    KEY,
    NOW,
    OTHER_API,
    ROOT,
    appended,
    digest,
    signed,
    spell,
    token,
)

CAVEAT_KEY = b"k" * 32
OTHER_KEY = audience_key(ROOT, OTHER_API)
CHILD = attenuate(
    add_third_party_caveat(token(BOUND), "https://who.example", CAVEAT_KEY, b"\xff\0who"), [Scope("read")]
)


def carried_on(text: str) -> str:
    """Mint a macaroon of another audience that carries the caveats of this one."""
    grant = msgspec.structs.replace(GRANT, aud=OTHER_API, jti="BBECAwQFBgcICQoLDA0ODw")
    return mint(OTHER_KEY, ISSUER, grant, carried=open_caveats(read_macaroon(text), KEY))


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=12))
def test_every_text_is_carried_byte_by_byte(texts):
    """First-party caveats stand in the new macaroon in order and letter by letter, UTF-8 or not."""
    read = read_macaroon(carried_on(signed(*texts)))
    assert verify_signature(read, OTHER_KEY) == tuple(texts)


def test_carried_caveats_come_before_new_ones():
    """New caveats stand after the carried ones."""
    carried = open_caveats(read_macaroon(token(Scope("read"))), KEY)
    read = read_macaroon(mint(KEY, ISSUER, GRANT, [BOUND], carried=carried))
    assert read.caveats == (b'{"scope":"read"}', caveat_text(BOUND))


def test_a_third_party_caveat_is_carried_with_its_place():
    """A third-party caveat keeps its order, location and identifier; only its encryption is new."""
    before, after = read_macaroon(CHILD), read_macaroon(carried_on(CHILD))
    assert [_shown(one) for one in after.caveats] == [_shown(one) for one in before.caveats]
    assert after.caveats[1].vid != before.caveats[1].vid


def _shown(caveat: bytes | ThirdPartyCaveat) -> object:
    return caveat if isinstance(caveat, bytes) else (caveat.location, caveat.identifier)


def test_a_carried_third_party_caveat_takes_the_same_discharge():
    """The new macaroon verifies with a discharge under the same caveat key, and its caveats count."""
    text = carried_on(CHILD)
    discharge = mint_discharge("https://who.example", CAVEAT_KEY, b"\xff\0who", [Expiry(NOW)])
    bound = read_macaroon(bind_discharge(text, discharge))
    assert verify_signature(read_macaroon(text), OTHER_KEY, [bound]) == (
        caveat_text(BOUND),
        b'{"scope":"read"}',
        caveat_text(Expiry(NOW)),
    )


DISCHARGE = mint_discharge("https://who.example", CAVEAT_KEY, b"\xff\0who")
UNFIT = {
    "none": lambda _text: [],
    "bound to the old macaroon": lambda _text: [read_macaroon(bind_discharge(CHILD, DISCHARGE))],
    "of another key": lambda text: [
        read_macaroon(bind_discharge(text, mint_discharge("there", b"x" * 32, b"\xff\0who")))
    ],
}


@pytest.mark.parametrize("discharges", UNFIT.values(), ids=UNFIT)
def test_carrying_discharges_nothing(discharges):
    """The new macaroon does not verify without a discharge of its own."""
    text = carried_on(CHILD)
    with pytest.raises(NotDischarged):
        verify_signature(read_macaroon(text), OTHER_KEY, discharges(text))


def test_carrying_twice_strips_nothing():
    """A macaroon that carries caveats on can itself be carried on."""
    once = carried_on(CHILD)
    opened = open_caveats(read_macaroon(once), OTHER_KEY)
    assert opened == open_caveats(read_macaroon(CHILD), KEY)
    assert opened[1] == OpenedCaveat(b"https://who.example", b"\xff\0who", opened[1].key)


def test_a_caveat_without_a_location_is_carried_without_one():
    """A location that is absent stays absent, and an empty one stays empty."""
    with_one = [add_third_party_caveat(token(), location, CAVEAT_KEY, b"x") for location in ("", "here")]
    without = read_macaroon(with_one[0])
    absent = msgspec.structs.replace(without, caveats=(ThirdPartyCaveat(None, b"x", without.caveats[0].vid),))
    texts = [*with_one, spell(absent)]
    assert [read_macaroon(carried_on(text)).caveats[0].location for text in texts] == [b"", b"here", None]


READ = read_macaroon(CHILD)
FORGED = {
    "the third-party caveat left out": msgspec.structs.replace(
        READ, caveats=(READ.caveats[0], READ.caveats[2])
    ),
    "the last caveat left out": msgspec.structs.replace(READ, caveats=READ.caveats[:-1]),
    "another identifier": msgspec.structs.replace(
        READ, identifier=READ.identifier.replace(b"alice", b"mario")
    ),
    "a text in place of it": msgspec.structs.replace(READ, caveats=(READ.caveats[0], b"x", READ.caveats[2])),
    "a signature of zeros": msgspec.structs.replace(READ, signature=bytes(32)),
}


@pytest.mark.parametrize("macaroon", FORGED.values(), ids=FORGED)
def test_nothing_is_carried_from_a_forged_macaroon(macaroon: Macaroon):
    """A chain that does not hold gives no caveats to carry."""
    with pytest.raises(SignatureMismatch, match="does not follow from key"):
        open_caveats(macaroon, KEY)


@pytest.mark.parametrize(
    "key",
    [OTHER_KEY, audience_key(ROOT, None), audience_key(ROOT, API, "refresh")],
    ids=["another audience", "the issuer", "another use"],
)
def test_nothing_is_carried_under_another_key(key):
    """Caveats are opened under the key of the macaroon's own audience and use alone."""
    with pytest.raises(SignatureMismatch):
        open_caveats(READ, key)


@pytest.mark.parametrize("vid", [b"", b"short", bytes(72)], ids=["empty", "short", "foreign"])
def test_a_third_party_caveat_without_a_key_is_not_left_out(vid):
    """A caveat whose key cannot be read refuses the whole macaroon: leaving it out would strip it."""
    with pytest.raises(SignatureMismatch, match="does not decrypt"):
        open_caveats(read_macaroon(with_vid(vid)), KEY)


def with_vid(vid: bytes) -> str:
    """Append a third-party caveat with any `vid`, as a holder can."""
    read = read_macaroon(token())
    signature = digest(read.signature, digest(read.signature, vid) + digest(read.signature, b"x"))
    caveat = ThirdPartyCaveat(b"here", b"x", vid)
    return spell(Macaroon(read.location, read.identifier, (caveat,), signature))


def test_a_carrier_keeps_the_limits():
    """Carried and new caveats together are 100 at most."""
    texts = [b'{"scope":"read"}'] * 100
    carried = open_caveats(read_macaroon(signed(*texts)), KEY)
    with pytest.raises(InvalidRequest, match="at most 100 caveats"):
        mint(KEY, ISSUER, GRANT, [BOUND], carried=carried)


def test_carrying_equals_appending():
    """A macaroon that carries texts is the one that a holder makes by appending them."""
    parent = token()
    made = appended(appended(parent, b"\xff"), b'{"scope":"read"}')
    assert mint(KEY, ISSUER, GRANT, carried=open_caveats(read_macaroon(made), KEY)) == made


def test_an_opened_caveat_does_not_print_its_key():
    """The key of a discharge stands in no log."""
    opened = open_caveats(READ, KEY)[1]
    assert repr(opened) == "<OpenedCaveat at 'https://who.example'>"
