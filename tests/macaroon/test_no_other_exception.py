import json

from hypothesis import example, given
from hypothesis import strategies as st

from macaroon_cbat.certificate.file import der_of
from macaroon_cbat.errors import InvalidRequest, InvalidToken, MalformedMacaroon, OAuthError, SettingsError
from macaroon_cbat.macaroon.bearer import challenge, read_credentials
from macaroon_cbat.macaroon.caveats import Expiry, caveat_text, read_caveats
from macaroon_cbat.macaroon.identifier import identifier_text, read_identifier
from macaroon_cbat.macaroon.keys import read_key_file, write_key_file
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import MAX_CHARACTERS, read_macaroon
from tests.support.strategies import macaroons, texts
from tests.support.tokens import ACCESS, KEYS, NOW, signed, spell, to_text, token

NAMES = ["scope", "exp", "nbf", "aud", "cnf", "htm", "htu", "path", "ip", "x5t#S256", "x"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
)
json_texts = st.dictionaries(st.sampled_from(NAMES), values, min_size=1, max_size=2).map(
    lambda members: json.dumps(members, separators=(",", ":")).encode()
)
noise = st.one_of(st.binary(), json_texts)
binaries = st.binary().map(to_text)


@given(st.one_of(texts, binaries, macaroons.map(spell)))
def test_reading_a_macaroon_is_malformed_or_nothing(text):
    """read_macaroon raises MalformedMacaroon and nothing else, whatever the text."""
    try:
        read_macaroon(text)
    except MalformedMacaroon as refusal:
        assert str(refusal).isprintable()


@given(noise)
@example(b'{"exp":' + b"9" * 5000 + b"}")
@example(b'{"a":' * 100_000)
def test_reading_a_caveat_is_a_value_error_or_nothing(text):
    """read_caveats raises ValueError and nothing else, whatever the bytes; what it reads, it writes."""
    try:
        caveats = read_caveats(text)
    except ValueError as refusal:
        assert str(refusal).isprintable()
    else:
        assert [each for caveat in caveats for each in read_caveats(caveat_text(caveat))] == list(caveats)


@given(noise)
def test_reading_an_identifier_is_malformed_or_nothing(identifier):
    """read_identifier raises MalformedMacaroon and nothing else; what it reads, it writes."""
    try:
        grant = read_identifier(identifier)
    except MalformedMacaroon:
        return
    assert identifier_text(grant) == identifier


@given(st.one_of(texts, binaries, macaroons.map(spell)), st.lists(texts | macaroons.map(spell), max_size=3))
def test_verifying_is_an_invalid_token_or_nothing(text, discharges):
    """Verify raises an InvalidToken and nothing else, whatever text and discharges it gets."""
    for presented in (text, token()):
        try:
            verify(presented, KEYS, ACCESS, discharges=discharges, require_certificate=False)
        except InvalidToken as refusal:
            assert refusal.status == 401


@given(st.lists(noise, max_size=4))
def test_authentic_noise_is_an_invalid_token_or_nothing(caveats):
    """Even authentic caveats of any bytes, which every holder can append, raise nothing but InvalidToken."""
    try:
        verify(signed(*caveats), KEYS, ACCESS, require_certificate=False)
    except InvalidToken as refusal:
        assert str(refusal).isprintable()


@given(noise)
def test_an_authentic_identifier_of_noise_is_an_invalid_token(identifier):
    """An authentic macaroon of any identifier that the service did not write is an InvalidToken."""
    try:
        verify(signed(identifier=identifier), KEYS, ACCESS)
    except InvalidToken:
        return
    raise AssertionError("accepted")


@given(macaroons)
def test_attenuating_appends_and_changes_nothing_else(macaroon):
    """Attenuating any well-formed macaroon appends the caveat."""
    before = read_macaroon(spell(macaroon))
    after = read_macaroon(attenuate(spell(macaroon), [Expiry(NOW)]))
    assert after.caveats == (*before.caveats, caveat_text(Expiry(NOW)))
    assert (after.identifier, after.location) == (before.identifier, before.location)


@given(macaroons, st.integers(0, 110))
def test_attenuating_beyond_the_limits_is_an_invalid_request(macaroon, count):
    """Attenuating raises InvalidRequest and nothing else where the child would exceed the limits."""
    try:
        child = attenuate(spell(macaroon), [Expiry(NOW)] * count)
    except InvalidRequest:
        assert count > 50
    else:
        assert len(child) <= MAX_CHARACTERS


@given(st.binary() | st.builds(bytes.__add__, st.just(write_key_file(KEYS)[:80]), st.binary()))
def test_reading_a_key_file_is_a_settings_error_or_nothing(content):
    """read_key_file raises SettingsError of one line and nothing else, whatever the bytes."""
    try:
        read_key_file(content)
    except SettingsError as refusal:
        assert str(refusal).isprintable()


@given(st.one_of(st.binary(), st.binary().map(lambda body: b"-----BEGIN CERTIFICATE-----\n" + body)))
def test_reading_a_certificate_is_a_value_error_or_nothing(content):
    """der_of raises ValueError and nothing else, whatever the file."""
    try:
        assert der_of(content)[0] == 0x30
    except ValueError as refusal:
        assert str(refusal).isprintable()


@given(st.none() | st.text() | st.text().map("Bearer ".__add__))
def test_a_header_is_a_token_or_a_refusal(header):
    """read_credentials raises a refusal with a challenge that fits one header line, and nothing else."""
    try:
        read_credentials(header)
    except OAuthError as refusal:
        assert challenge(refusal, realm="api").isprintable()
