"""The law of every format: a header gives one of our errors, no certificate, or the one that it spells."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.certificate.formats import FORMATS
from tests.support.certificate_laws import judge
from tests.support.certificate_spellings import NONE, SPELLINGS, escaped_pem, hex_hash, make_certificate, x5t

HOLDER, OTHER = make_certificate("holder"), make_certificate("other")
NAMES = sorted(FORMATS)
OTHERS = [one for name in NAMES for one in SPELLINGS[name](OTHER)]
WITH_VERDICTS = [name for name in NAMES if len(SPELLINGS[name](HOLDER)) > 1]
ALPHABET = 'ABab01+/=-_%,;:"\\ \n\r\t\0.~{}()é\udcff'
FRAGMENTS = (
    *'+/=,;:" \n\\%',
    "%0A",
    "%2B",
    "%3D",
    "%20",
    "%2b",
    ", ",
    "-----BEGIN CERTIFICATE-----",
    "-----END CERTIFICATE-----",
    "Hash=",
    'Cert="',
    "URI=",
    "none",
    "(null)",
    "::",
)

noise = st.one_of(st.text(), st.text(ALPHABET), st.lists(st.sampled_from(FRAGMENTS)).map("".join))
verdicts = st.sampled_from(
    ["SUCCESS", "NONE", "FAILED:x", "FAILED:", "true", "false", "1", "0", "", None, "true,true", "TRUE"]
)
names = st.sampled_from(NAMES)


Change = Callable[[str], str] | str
changes: st.SearchStrategy[Change] = st.one_of(
    st.sampled_from([lambda _: "", lambda piece: piece * 2, str.swapcase]),
    st.sampled_from(FRAGMENTS),
    st.text(ALPHABET, max_size=3),
    st.sampled_from(OTHERS),
)
"""The texts that take a piece's place, or how the piece itself is changed."""
counts = st.integers(1, 3)
lengths = st.sampled_from([0, 1, 4, 3000])


@st.composite
def edits(draw: st.DrawFn, text: str) -> str:
    """Draw a text that is like this one but for a few edits anywhere."""
    for _ in range(draw(counts)):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + draw(lengths))))
        change = draw(changes)
        new = change if isinstance(change, str) else change(text[start:end])
        text = text[:start] + new + text[end:]
    return text


def companions_of(name: str) -> tuple[str, ...]:
    return tuple(SPELLINGS[name](HOLDER)[1:])


@given(names, noise | st.none(), verdicts)
def test_noise(name: str, value: str | None, verdict: str | None):
    """Noise is refused, or no certificate."""
    companions = (verdict,) if FORMATS[name].companions else ()
    peer = judge(name, (value, *companions))
    assert peer is None or peer.thumbprint is None


@pytest.mark.parametrize("name", NAMES)
@given(st.data())
def test_edited_values(name: str, data: st.DataObject):
    """A value that was edited anywhere is refused, or spells one certificate exactly as the product does."""
    value = data.draw(edits(SPELLINGS[name](HOLDER)[0]))
    judge(name, (value, *companions_of(name)))


@pytest.mark.parametrize("name", WITH_VERDICTS)
@given(st.data())
def test_edited_verdicts(name: str, data: st.DataObject):
    """Any verdict of a product, beside a certificate or none, gives one of the three answers."""
    value, verdict = SPELLINGS[name](HOLDER)
    verdict = data.draw(edits(verdict) | verdicts)
    judge(name, (value, verdict))
    judge(name, (data.draw(st.sampled_from([None, ""])), verdict))


@given(names, st.binary(min_size=1, max_size=300))
def test_every_value_that_is_spelled_right(name: str, content: bytes):
    """Any one DER SEQUENCE in the product's spelling is read, and gives its own hash."""
    length = len(content)
    head = bytes([length]) if length < 128 else b"\x81" + bytes([length]) if length < 256 else None
    head = head or b"\x82" + length.to_bytes(2, "big")
    der = b"\x30" + head + content
    peer = judge(name, SPELLINGS[name](der))
    if len(der) >= 4:
        assert peer is not None
        assert peer.thumbprint == x5t(der)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("joint", [",", ", ", ";", " ", "", "\n", "%0A", '"'])
def test_two_certificates_in_one_header(name: str, joint: str):
    """Two certificates in one header are refused, or are a chain whose first is the holder's."""
    first, second = SPELLINGS[name](HOLDER)[0], SPELLINGS[name](OTHER)[0]
    peer = judge(name, (first + joint + second, *companions_of(name)))
    if peer is not None:
        chains = {("traefik", ","), ("traefik2", ","), ("aws-alb-passthrough", ""), ("kong", "")}
        chains.add(("envoy", ","))
        assert (name, joint) in chains
        assert peer.thumbprint == (x5t(OTHER) if name == "envoy" else x5t(HOLDER))


@pytest.mark.parametrize("name", NONE)
def test_no_certificate_beside_one(name: str):
    """A text that means no certificate, beside a certificate, is never read as that certificate."""
    nothing, value = NONE[name][0], SPELLINGS[name](HOLDER)[0]
    if nothing:
        for text in (f"{nothing},{value}", f"{value},{nothing}", f"{nothing}, {value}", nothing + value):
            assert judge(name, (text, *companions_of(name))) is None


HASH, OTHER_HASH = f"Hash={hex_hash(HOLDER)}", f"Hash={hex_hash(OTHER)}"
CERT, OTHER_CERT = f'Cert="{escaped_pem(HOLDER)}"', f'Cert="{escaped_pem(OTHER)}"'
READ = {
    "the hash alone": HASH,
    "in another order": f"{CERT};{HASH}",
    "with what Envoy adds": f'By=spiffe://here;{HASH};{CERT};Chain="x";Subject="CN=a";URI=;DNS=a;DNS=b',
    "a subject with everything": rf'{HASH};Subject="CN=\"a\\\",Hash=x;Cert=\",O=b"',
    "after another connection's": f'By=a;{OTHER_HASH};{OTHER_CERT};Subject="CN=x,O=y",By=b;{HASH}',
    "after a connection that lies": f'{OTHER_HASH},{HASH};Subject=""',
}
REFUSED = {
    "no hash": CERT,
    "an empty header": "",
    "no pair": "Hash",
    "a separator too many": f"{HASH};",
    "an empty element": f"{HASH},",
    "an empty first element": f",{HASH}",
    "a space": f"{HASH}; {CERT}",
    "a space between elements": f"{OTHER_HASH}, {HASH}",
    "upper case": HASH.replace(hex_hash(HOLDER), hex_hash(HOLDER).upper()),
    "another case of the key": HASH.lower(),
    "an unknown key": f"{HASH};Thumb=x",
    "two hashes": f"{HASH};{HASH}",
    "two certificates": f"{HASH};{CERT};{CERT}",
    "another certificate": f"{HASH};{OTHER_CERT}",
    "an unquoted certificate": f"{HASH};Cert={escaped_pem(HOLDER)}",
    "an open quote": f'{HASH};Subject="CN=a',
    "text after a quote": f'{HASH};Subject="CN=a"b',
    "the hash of nothing": "Hash=" + "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "a client that swallows our element": f'Subject=",By=a;{HASH};Subject="CN=a"',
    "the nearest without a hash": f"{HASH},By=b",
    "a URI that adds an element": f"By=a;{HASH};URI=x,{OTHER_HASH}",
    "a URI that adds a hash": f"By=a;{HASH};URI=x;{OTHER_HASH}",
    "a URI that adds a certificate": f"By=a;{HASH};URI=x;{OTHER_CERT}",
    "a DNS name that adds an element": f"By=a;{HASH};DNS=x,By=y;{OTHER_HASH};DNS=y",
    "a URI that opens a quote": f'By=a;{HASH};URI=x"',
}


@pytest.mark.parametrize("value", READ.values(), ids=READ)
def test_the_nearest_element_counts(value: str):
    """Of what Envoys on the way say, the element of the nearest one is read."""
    peer = judge("envoy", (value,))
    assert peer is not None
    assert peer.thumbprint == x5t(HOLDER)


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_envoy_does_not_write_is_refused(value: str):
    """Anything ambiguous is refused, also what the owner of a certificate can have Envoy write."""
    assert judge("envoy", (value,)) is None


@given(
    st.lists(
        st.sampled_from([HASH, OTHER_HASH, CERT, OTHER_CERT, "By=x", 'Subject="a,b;c"', *'";,\\=']),
        max_size=9,
    )
)
def test_any_mixture_of_what_envoy_writes(parts: list[str]):
    """Any mixture of pairs and separators is refused, or has the hash it gives in its last element."""
    for joint in (";", ",", ""):
        judge("envoy", (joint.join(parts),))
