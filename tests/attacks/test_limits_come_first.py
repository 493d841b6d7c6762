import pytest

from macaroon_cbat.errors import MalformedMacaroon
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.tokens import ACCESS, BOUND, KEYS, packet, to_text, token

LONG = {
    "letters": "A" * 9000,
    "not ASCII": "é" * 9000,
    "a macaroon and more": token() * 30,
    "10 MB": "A" * 10**7,
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_long_text_is_refused_for_its_length(text):
    """A text that is too long is refused for its length, whatever else is wrong with it."""
    for read in (
        read_macaroon,
        lambda text: verify(text, KEYS, ACCESS),
        lambda text: attenuate(text, [BOUND]),
    ):
        with pytest.raises(MalformedMacaroon, match="characters, more than 8000"):
            read(text)


def test_many_caveats_are_refused_for_their_number():
    """The 101st caveat is refused where it begins: what comes after it is not read."""
    head = b"\2" + packet(2, b"id") + b"\0" + (packet(2, b"") + b"\0") * 100
    with pytest.raises(MalformedMacaroon, match="more than 100 caveats"):
        read_macaroon(to_text(head + packet(2, b"c") + b"\xff" * 500))
    with pytest.raises(MalformedMacaroon, match="field 255"):
        read_macaroon(to_text(head[:-3] + b"\xff" * 500))
