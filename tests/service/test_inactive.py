"""Every kind of bad token is exactly {"active": false}, and says nothing more."""

import json

import msgspec
import pytest
from msgspec import UNSET

from macaroon_cbat.macaroon.caveats import Scope
from macaroon_cbat.macaroon.identifier import identifier_text
from macaroon_cbat.macaroon.keys import RootKey, audience_key
from macaroon_cbat.macaroon.minting import add_third_party_caveat, attenuate, mint
from macaroon_cbat.macaroon.wire import MAX_CHARACTERS, read_macaroon
from tests.support.databases import NOW
from tests.support.pingam import PINGAM
from tests.support.service import API, ISSUER, OTHER_API, grant_of
from tests.support.tokens import signed, spell, to_binary, to_text

INACTIVE = {"active": False}


def exactly_inactive(service, token, callers=("api", "knowing-api")):
    for caller in callers:
        answer = service.post("/oauth2/introspect", {"token": token}, caller)
        assert (answer.status_code, answer.data) == (200, b'{"active":false}')


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda text: "x", id="a letter"),
        pytest.param(lambda text: "\u00e4\u20ac", id="no ASCII"),
        pytest.param(lambda text: text[:-1], id="cut by a character"),
        pytest.param(lambda text: text[: len(text) // 2], id="cut in the middle"),
        pytest.param(lambda text: text + "=", id="padded"),
        pytest.param(lambda text: text + " ", id="with a space"),
        pytest.param(lambda text: text + "\n", id="with a line end"),
        pytest.param(lambda text: text + "AAAA", id="with bytes more"),
        pytest.param(lambda text: text + text, id="twice"),
        pytest.param(lambda text: "Bearer " + text, id="with its scheme"),
        pytest.param(lambda text: "A" * (MAX_CHARACTERS + 1), id="too long"),
        pytest.param(lambda text: "A" * 60_000, id="much too long"),
        pytest.param(lambda text: PINGAM, id="of another product"),
        pytest.param(lambda text: "eyJhbGciOiJub25lIn0.e30.", id="a JWT"),
    ],
)
def test_a_malformed_token_is_inactive(service, spoil):
    """Text that is no canonical macaroon of this service is inactive."""
    exactly_inactive(service, spoil(service.token()))


@pytest.mark.parametrize("at", [0, 1, 22, 30, 60, -40, -34, -20, -1])
def test_a_changed_token_is_inactive(service, at):
    """A token with one bit changed anywhere is inactive."""
    data = bytearray(to_binary(service.token()))
    data[at] ^= 1
    exactly_inactive(service, to_text(bytes(data)))


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param({"scope": "read write audit root"}, id="a wider scope"),
        pytest.param({"exp": NOW + 10**6}, id="a longer life"),
        pytest.param({"client_id": "payroll", "sub": "payroll"}, id="another client"),
        pytest.param({"aud": OTHER_API}, id="another audience"),
        pytest.param({"aud": UNSET}, id="no audience"),
        pytest.param({"aud": (API, OTHER_API)}, id="several audiences"),
        pytest.param({"kid": "0" * 12}, id="an unknown key"),
        pytest.param({"kid": "'; --"}, id="a key that is an attack"),
    ],
)
def test_a_forged_identifier_is_inactive(service, forged):
    """A token with another identifier written into it is no token any more."""
    honest = read_macaroon(service.token())
    grant = msgspec.structs.replace(grant_of(spell(honest)), **forged)
    text = spell(msgspec.structs.replace(honest, identifier=identifier_text(grant)))
    exactly_inactive(service, text, ("api", "knowing-api", "reporting", "other-api"))


def test_a_removed_caveat_is_noticed(service):
    """A token from which its last caveat was taken away is inactive."""
    child = read_macaroon(attenuate(service.token(), [Scope("read")]))
    exactly_inactive(service, spell(msgspec.structs.replace(child, caveats=())))
    assert service.introspect(spell(child))["scope"] == "read"


def test_the_location_is_a_hint(service):
    """The location is not authentic and changes nothing."""
    honest = read_macaroon(service.token())
    elsewhere = spell(msgspec.structs.replace(honest, location=b"https://evil.example"))
    assert service.introspect(elsewhere)["iss"] == ISSUER


def test_an_expired_token_is_inactive(service):
    """A token is active to its last second, and inactive from the next one on."""
    token = service.token()
    service.now = NOW + 599.9
    assert service.introspect(token)["active"] is True
    service.now = NOW + 600
    exactly_inactive(service, token)


def test_a_revoked_token_is_inactive(service):
    """A token that was taken back is inactive, and so is each of its children."""
    token = service.token()
    assert service.revoke(token).status_code == 200
    exactly_inactive(service, token)
    exactly_inactive(service, attenuate(token, [Scope("read")]))


@pytest.mark.parametrize("use", ["refresh", "discharge"])
def test_a_token_of_another_use_is_inactive(service, use):
    """A macaroon that was made as a refresh token or a discharge is no access token."""
    assert service.introspect(service.minted())["active"] is True
    exactly_inactive(service, service.minted(use=use))


def test_a_token_of_another_issuer_is_inactive(service):
    """A token that another issuer made with its own keys is inactive, even under the same key name."""
    grant = grant_of(service.token())
    foreign = RootKey(grant.kid, bytes(32))
    exactly_inactive(service, mint(audience_key(foreign, API), ISSUER, grant))


@pytest.mark.parametrize(
    "text",
    [
        b'{"colour":"blue"}',
        b'{"exp":1767222600,"role":0}',
        b'{"exp":"1767222600"}',
        b'{"exp":1767222600,"e\\u0078p":1767222600}',
        b'{"cnf":{"jkt":"x"}}',
        b'{"cnf":{}}',
        b"time < 2030-01-01",
        b"",
        b"\xff",
        b"[" * 90,
    ],
    ids=repr,
)
def test_an_unknown_caveat_is_inactive(service, text):
    """An authentic token with a caveat that cannot be read is inactive for everybody."""
    token = service.token()
    secret = service.keys().keys[grant_of(token).kid].secret
    identifier = read_macaroon(token).identifier
    assert service.introspect(signed(identifier=identifier, secret=secret))["active"] is True
    exactly_inactive(service, signed(text, identifier=identifier, secret=secret))


def test_a_third_party_caveat_is_inactive(service):
    """A token that wants a discharge is inactive: none can be sent here."""
    token = add_third_party_caveat(service.token(), "https://idp.example", bytes(range(32)), b"who")
    exactly_inactive(service, token)


@pytest.mark.parametrize(
    "identifier",
    [
        pytest.param(b"{}", id="an empty one"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b'{"v":2}', id="another version"),
        pytest.param(b"[" * 2000, id="nested deeply"),
        pytest.param(b'{"aud":' + b"[" * 3000, id="nested deeply inside"),
        pytest.param(json.dumps({"a\nERROR forged": 1}).encode(), id="one that would write into the log"),
    ],
)
def test_an_identifier_that_is_none_is_inactive(service, identifier, caplog):
    """A macaroon with any other identifier is inactive, and leaves one line in the log."""
    with caplog.at_level("INFO", "macaroon_cbat"):
        exactly_inactive(service, signed(identifier=identifier), ("api",))
    [record] = caplog.records
    assert record.getMessage().isprintable()
