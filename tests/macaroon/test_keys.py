import base64
import json

import pytest
from msgspec import UNSET

from macaroon_cbat.errors import SettingsError, UnknownKey
from macaroon_cbat.macaroon.keys import RootKey, audience_key, audience_keys, read_key_file, write_key_file
from tests.support.tokens import API, GRANT, ISSUER, KEYS, OTHER_API, ROOT, digest, grant

SECOND_ROOT = RootKey("k2", bytes(range(32, 64)))
RING = audience_keys(ISSUER, API, [ROOT, SECOND_ROOT])
K = base64.urlsafe_b64encode(RING.keys["k1"].secret).decode().rstrip("=")


def test_the_audience_key_is_hkdf_sha256():
    """An audience key is HKDF-SHA256 (RFC 5869) of the root key, without salt, over use and audience."""
    extracted = digest(bytes(32), ROOT.secret)
    info = b'["macaroon_cbat",1,"access","https://api.example"]'
    assert audience_key(ROOT, API).secret == digest(extracted, info + b"\1")


def test_keys_are_apart():
    """Another root, use or audience gives another key; no audience is one of its own."""
    secrets = {
        audience_key(root, audience, use).secret
        for root in (ROOT, SECOND_ROOT)
        for audience in (API, OTHER_API, "", None, "null", '","access"')
        for use in ("access", "refresh", "discharge")
    }
    assert len(secrets) == 2 * 6 * 3
    assert all(len(secret) == 32 for secret in secrets)


def test_the_macaroon_key_is_libmacaroons():
    """The HMAC chain starts from HMAC("macaroons-key-generator", audience key), as in libmacaroons."""
    key = audience_key(ROOT, API)
    assert key.macaroon_key == digest(b"macaroons-key-generator", key.secret)


def test_the_ring_finds_the_key_by_kid():
    """The key ring gives the key that the grant names."""
    assert RING.key_for(grant(kid="k2")) == audience_key(SECOND_ROOT, API)
    assert RING.key_for(GRANT) == audience_key(ROOT, API)


@pytest.mark.parametrize(
    ("unverified", "reason"),
    [
        pytest.param(grant(kid="k3"), "no key 'k3'", id="another kid"),
        pytest.param(grant(aud=OTHER_API), "minted for", id="another audience"),
        pytest.param(grant(aud=UNSET), "minted for", id="no audience"),
        pytest.param(grant(aud=(API,)), "minted for", id="an array, which is keyed for the issuer"),
        pytest.param(grant(aud=(API, OTHER_API)), "minted for", id="several audiences"),
    ],
)
def test_the_ring_knows_no_foreign_key(unverified, reason):
    """A key ring has no key for another audience or another kid."""
    with pytest.raises(UnknownKey, match=reason):
        RING.key_for(unverified)


def test_a_key_file_reads_back():
    """A ring that write_key_file writes is read by read_key_file to an equal ring."""
    assert read_key_file(write_key_file(RING)) == RING
    assert read_key_file(write_key_file(KEYS)) == KEYS


def test_a_key_file_is_readable_json():
    """A key file is indented JSON with issuer, audience and each key under its kid."""
    content = write_key_file(KEYS)
    assert json.loads(content) == {"issuer": ISSUER, "audience": API, "keys": [{"kid": "k1", "k": K}]}
    assert content.endswith(b"}\n")


def key_file(**changes: object) -> bytes:
    members = {"issuer": ISSUER, "audience": API, "keys": [{"kid": "k1", "k": K}]} | changes
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


BAD_FILES = {
    "empty": b"",
    "not JSON": b"-----BEGIN CERTIFICATE-----",
    "not UTF-8": key_file().replace(b"k1", b"\xff"),
    "an array": b"[]",
    "truncated": key_file()[:-1],
    "two documents": key_file() * 2,
    "deep nesting": b"[" * 5000,
    "deep nesting within": b'{"keys":' + b"[" * 5000,
    "no issuer": key_file(issuer=None),
    "no audience": key_file(audience=None),
    "no keys": key_file(keys=None),
    "an unknown member": key_file(secret="x"),
    "an unknown member of a key": key_file(keys=[{"kid": "k1", "k": K, "x": 1}]),
    "keys that are a string": key_file(keys=K),
    "no key at all": key_file(keys=[]),
    "an empty key": key_file(keys=[{"kid": "k1", "k": ""}]),
    "a short key": key_file(keys=[{"kid": "k1", "k": K[:-1]}]),
    "a long key": key_file(keys=[{"kid": "k1", "k": K + "A"}]),
    "a padded key": key_file(keys=[{"kid": "k1", "k": K + "="}]),
    "a key with a newline": key_file(keys=[{"kid": "k1", "k": K + "\n"}]),
    "a key in standard base64": key_file(keys=[{"kid": "k1", "k": "+" * 42 + "A"}]),
    "a key with spare bits": key_file(keys=[{"kid": "k1", "k": K[:-1] + "B"}]),
    "a key in hex": key_file(keys=[{"kid": "k1", "k": "ab" * 32}]),
    "a kid twice": key_file(keys=[{"kid": "k1", "k": K}, {"kid": "k1", "k": K}]),
    "a kid with a newline": key_file(keys=[{"kid": "k\n1", "k": ""}]),
}


@pytest.mark.parametrize("content", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_key_file_says_what_to_do(content):
    """A bad key file is a SettingsError of one line that names the file and the command that mends it."""
    with pytest.raises(SettingsError) as refusal:
        read_key_file(content, "keys.json")
    message = str(refusal.value)
    assert message.startswith("keys.json")
    assert "macaroon-cbat key export --audience" in message
    assert message.isprintable()
    assert K not in message


@pytest.mark.parametrize("value", [ROOT, audience_key(ROOT, API), RING], ids=["root", "audience key", "ring"])
def test_keys_do_not_print(value):
    """The repr of a key names it and shows nothing of its secret."""
    shown = f"{value!r} {value}"
    assert "k1" in shown
    for secret in (ROOT.secret, SECOND_ROOT.secret, *(key.secret for key in RING.keys.values())):
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown
    for key in RING.keys.values():
        assert repr(key.macaroon_key)[2:-1] not in shown
