"""Spellings that are one audience (RFC 3986 6.2.2, 6.2.3), and others that only look like it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.audiences import audience_mistake, canonical_audience, is_same_audience
from macaroon_cbat.macaroon.caveats import Audience, read_caveats
from macaroon_cbat.macaroon.keys import audience_keys, read_key_file, write_key_file
from macaroon_cbat.macaroon.target import parse_target
from tests.support.audiences import OTHER, SAME
from tests.support.tokens import ACCESS, API, ISSUER, KEYS, ROOT


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_equivalent_spellings_are_one_audience(one: str, other: str):
    """Spellings that RFC 3986 calls equivalent name one audience, of which one spelling is canonical."""
    assert canonical_audience(other) == canonical_audience(one) == one
    assert is_same_audience(one, other)


@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER)
def test_a_look_alike_is_another_audience(other: str):
    """A spelling not equivalent by RFC 3986, or that servers read differently, is never the same audience."""
    assert not is_same_audience(API, other)
    assert not is_same_audience(API + "/a", other + "/a/")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://api.example/a", "https://api.example/a/"),
        ("https://api.example/a", "https://api.example/A"),
        ("https://api.example/a/b", "https://api.example/a%2Fb"),
        ("https://api.example/a/b", "https://api.example/a//b"),
        ("https://api.example/a", "https://api.example/%%361"),
        ("https://api.example/a", "https://api.example/%2561"),
        ("https://api.example/a?x=1", "https://api.example/a?x=2"),
        ("urn:example:api", "URN:example:api"),
        ("urn:example:api", "urn:example:api/"),
    ],
)
def test_paths_and_other_schemes_are_compared_letter_by_letter(one: str, other: str):
    """A slash at the end of a path, its letter case, `%2F` and the letters of other schemes matter."""
    assert not is_same_audience(one, other)


@pytest.mark.parametrize("other", ["https://%%36%31pi.example", "https://a/%%34%31", "https://a/%4%31"])
def test_normalizing_makes_no_new_encoding(other: str):
    """A text that is percent-encoded only after it was decoded once is no URL, and is never decoded."""
    assert canonical_audience(other) == other
    assert audience_mistake(other)


PIECES = [
    "https://",
    "HTTP://",
    "a.b",
    "A_b",
    ":443",
    ":80",
    ":",
    "/",
    "//",
    "%2e",
    ".",
    "..",
    "%",
    "%7e",
    "é",
]
URLS = st.lists(st.sampled_from([*PIECES, "%C3%A9", "<", '"', "?", "#", "@", "\\", "x", "%2F"])).map("".join)


@given(st.one_of(URLS, st.text()))
def test_the_canonical_spelling_is_its_own(text: str):
    """Normalizing twice changes nothing more, whatever the text."""
    assert canonical_audience(canonical_audience(text)) == canonical_audience(text)


ORIGINS = st.sampled_from(["HTTPS://A.b:443", "http://a.b:80", "https://A_b:8443", "https://[::A]:"])
PLAIN_PATHS = st.lists(st.sampled_from(["/a", "/%7e", "/%c3%A9", "/<x>", '/"', "/B", "/.x", "/..x.", "/%2f"]))


@given(ORIGINS, PLAIN_PATHS.map("".join), st.sampled_from(["", "/"]))
def test_the_canonical_spelling_leads_to_the_same_place(origin: str, path: str, slash: str):
    """Both spellings lead to one origin and one decoded path, as `htu` and the application see them."""
    audience = origin + path + slash
    quoted = audience.replace("<", "%3C").replace('"', "%22")
    assert parse_target(canonical_audience(audience)) == parse_target(quoted)


@pytest.mark.parametrize(
    ("audience", "advice"),
    [
        ("api.example", "https://HOST"),
        ("https://api.example/#", "fragment"),
        ("https://b\u00fccher.example", "xn--bcher-kva.example"),
        ("https://stra\u00dfe.example", "ASCII form"),
        ("https://api.example/a b", "percent-encode"),
        ("https://api.example//", "one slash"),
        ("https://api.example/a/../b", "the path that it stands for"),
        ("https://api.example/\\", "backslash"),
        ("https://api.example/%zz", "%25"),
        ("https://api.example/%FF", "UTF-8"),
        ("https://api.example/%0A", "controls"),
        ("https://api.example:99999", "65535"),
        ("https://x@api.example", "without a user"),
    ],
)
def test_a_mistake_has_its_own_message(audience: str, advice: str):
    """An audience that is no plain resource indicator is refused with what to do about it."""
    assert advice in (audience_mistake(audience) or "")


@pytest.mark.parametrize("spelling", ["https://api.example/", "https://API.example:443"])
def test_a_caveat_may_spell_its_audience(spelling: str):
    """An `aud` caveat of a holder, alone or in a list, names the audience in any equivalent spelling."""
    assert Audience(spelling).prohibits(ACCESS) is None
    assert Audience(("https://other.example", spelling)).prohibits(ACCESS) is None


@pytest.mark.parametrize("other", OTHER.values(), ids=OTHER)
def test_a_caveat_for_a_look_alike_refuses(other: str):
    """An `aud` caveat for a look-alike lets no request pass, alone or in a list."""
    assert Audience(other).prohibits(ACCESS)
    assert Audience((other, other + "/")).prohibits(ACCESS)


def test_a_caveat_that_names_no_audience_of_ours_is_still_read():
    """A caveat for what is no URL at all stays a caveat, which refuses."""
    (caveat,) = read_caveats(b'{"aud":"\\\\"}')
    assert caveat.prohibits(ACCESS)


@pytest.mark.parametrize("spelling", ["https://api.example/", "HTTPS://API.example:443/"])
def test_an_audience_has_one_key(spelling: str):
    """The key ring of an audience is the same whichever spelling was asked for."""
    assert audience_keys(ISSUER, spelling, [ROOT]) == KEYS


def test_look_alikes_have_other_keys():
    """No look-alike of an audience gets a key of it."""
    secrets = {audience_keys(ISSUER, other, [ROOT]).keys["k1"].secret for other in OTHER.values()}
    assert len(secrets) == len(OTHER)
    assert KEYS.keys["k1"].secret not in secrets


def test_a_key_file_of_another_spelling_is_refused():
    """A key file from before there was one spelling holds keys that verify nothing, and says so."""
    content = write_key_file(KEYS).replace(b'"https://api.example"', b'"https://api.example/"')
    with pytest.raises(SettingsError, match=r"another spelling of .*: write it anew with"):
        read_key_file(content, "keys.json")
