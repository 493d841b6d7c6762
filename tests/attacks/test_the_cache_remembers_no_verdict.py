from collections.abc import Callable

import msgspec
import pytest

from macaroon_cbat.certificate.address import network_named
from macaroon_cbat.client import attenuate, bind_to_certificate
from macaroon_cbat.errors import CaveatsNotMet, SignatureMismatch
from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.macaroon.caveats import Expiry, Scope, remembered_caveats
from macaroon_cbat.macaroon.claims import scope_tokens
from macaroon_cbat.macaroon.inspection import inspected
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.text.short_memory import Remembering
from tests.support.tokens import API, BOUND, CERTIFICATE, NOW, OTHER_CERTIFICATE, judged, signed, token


def test_each_access_is_judged_anew():
    """A caveat that was met is judged again at the next access: the cache keeps its reading, no verdict."""
    text = token(BOUND, Expiry(NOW + 60))
    assert judged(text)
    for changes in ({"certificate": OTHER_CERTIFICATE}, {"certificate": None}, {"now": NOW + 60}):
        with pytest.raises(CaveatsNotMet):
            judged(text, **changes)
    assert judged(text)


def test_a_known_caveat_does_not_make_a_forgery_good():
    """A forged token whose every caveat was read before is a forgery."""
    texts = [b'{"scope":"read"}']
    assert judged(signed(*texts), require_certificate=False)
    with pytest.raises(SignatureMismatch):
        judged(signed(*texts, secret=b"k" * 32), require_certificate=False)


def test_a_forgery_leaves_nothing_in_the_cache():
    """The caveats of a forged token are never read: strangers do not fill the cache."""
    remembered_caveats.cache_clear()
    for number in range(20):
        with pytest.raises(SignatureMismatch):
            judged(signed(b'{"exp":%d}' % number, secret=b"k" * 32))
    assert remembered_caveats.cache_info().currsize == 0


def test_an_unknown_caveat_refuses_every_time():
    """A caveat that was refused as unknown is refused again."""
    text = signed(b'{"role":"clerk"}')
    for _ in range(3):
        with pytest.raises(CaveatsNotMet, match="unknown caveat"):
            judged(text, require_certificate=False)
    assert judged(token(BOUND, Scope("read")))


def test_what_is_unverified_leaves_nothing_in_the_cache():
    """Caveats that are read unverified, as a holder's tools do, fill no memory: strangers can send them."""
    remembered_caveats.cache_clear()
    text = attenuate(signed(b'{"exp": 1}'), [Scope("read")])
    assert bind_to_certificate(text, CERTIFICATE) != text
    assert remembered_caveats.cache_info().currsize == 0


LONG = " ".join(f"scope:{number}" for number in range(400))


def _inspect() -> None:
    inspected(read_macaroon(signed(msgspec.json.encode({"scope": LONG}), secret=b"k" * 32)), NOW)


def _judge() -> None:
    judged(signed(msgspec.json.encode({"scope": LONG + " read"})), require_certificate=False)


def _judge_audiences() -> None:
    audiences = [API, *(f"https://{number}.example/" for number in range(150)), "https://a/" + "a" * 600]
    with pytest.raises(CaveatsNotMet):
        judged(signed(msgspec.json.encode({"aud": audiences[1:]})), require_certificate=False)
    judged(signed(msgspec.json.encode({"aud": audiences})), require_certificate=False)


@pytest.mark.parametrize(
    ("attack", "memory", "most"),
    [
        pytest.param(_inspect, scope_tokens, 1, id="scopes of a forgery that is inspected"),
        pytest.param(_judge, scope_tokens, 1, id="scopes that a holder appends"),
        pytest.param(_judge, remembered_caveats, 0, id="a long caveat that a holder appends"),
        pytest.param(_judge_audiences, remembered_caveats, 0, id="a caveat with many audiences"),
        pytest.param(_judge_audiences, canonical_audience, 151, id="a long audience"),
    ],
)
def test_a_long_text_leaves_nothing_in_memory(
    attack: Callable[[], None], memory: Remembering[str, object], most: int
):
    """The content of a long text is not kept: a thousand such texts took 270 MB of each worker."""
    memory.cache_clear()
    attack()
    assert memory.cache_info().currsize <= most


def test_a_stranger_s_networks_are_read_once():
    """Inspecting reads each network once, however often it is asked about: a stranger may send a thousand."""
    network_named.cache_clear()
    networks = [f"10.0.{number}.0/24" for number in range(200)]
    inspected(read_macaroon(signed(msgspec.json.encode({"ip": networks}), secret=b"k" * 32)), NOW)
    assert network_named.cache_info().misses == len(networks)
