import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from macaroon_cbat.errors import InvalidClientMetadata
from macaroon_cbat.stores.client_keys import certificates_in
from macaroon_cbat.stores.clients import metadata_from
from tests.support.certificates import certified
from tests.support.json_web_keys import jwk_of, public_jwk, whole

CURVE, ED = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
EC_JWK, ED_JWK = public_jwk(CURVE.public_key()), public_jwk(ED.public_key())
RSA_JWK = {"kty": "RSA", "n": whole((1 << 2047) + 1), "e": "AQAB"}
WEAK_JWK = RSA_JWK | {"n": whole((1 << 2046) + 1)}
ONE, OTHER = certified("CN=one"), certified("CN=other")


def registered(jwks, method="private_key_jwt"):
    return metadata_from({"scope": "read", "token_endpoint_auth_method": method, "jwks": jwks})


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(EC_JWK, id="P-256"),
        pytest.param(public_jwk(ec.generate_private_key(ec.SECP384R1()).public_key()), id="P-384"),
        pytest.param(public_jwk(ec.generate_private_key(ec.SECP521R1()).public_key()), id="P-521"),
        pytest.param(ED_JWK, id="Ed25519"),
        pytest.param(RSA_JWK, id="RSA"),
        pytest.param(EC_JWK | {"kid": "a", "use": "sig", "alg": "ES256"}, id="with its use"),
        pytest.param(jwk_of(ONE), id="with its certificate"),
    ],
)
def test_a_strong_public_key_is_registered(key):
    """A client registers strong public keys, by which its assertions are verified."""
    assert registered({"keys": [key]}).jwks == {"keys": [key]}


BAD_KEYS = {
    "a private EC key": EC_JWK | {"d": whole(CURVE.private_numbers().private_value)},
    "a private RSA key": RSA_JWK | {"p": "AQAB"},
    "a symmetric key": {"kty": "oct", "k": "AAAA"},
    "a symmetric key that looks public": EC_JWK | {"k": "AAAA"},
    "a symmetric key without its text": {"kty": "oct"},
    "a short RSA key": WEAK_JWK,
    "an enormous RSA key": RSA_JWK | {"n": whole((1 << 9000) + 1)},
    "an RSA exponent of 1": RSA_JWK | {"e": "AQ"},
    "an even RSA exponent": RSA_JWK | {"e": whole(65536)},
    "another curve": public_jwk(ec.generate_private_key(ec.SECP256K1()).public_key()) | {"crv": "secp256k1"},
    "a curve by another name": EC_JWK | {"crv": "P-384"},
    "a point outside the curve": EC_JWK | {"y": EC_JWK["x"]},
    "no coordinate": {name: value for name, value in EC_JWK.items() if name != "y"},
    "padding": EC_JWK | {"x": EC_JWK["x"] + "="},
    "a number for text": EC_JWK | {"x": 7},
    "a curve that is no text": EC_JWK | {"crv": ["P-256"]},
    "X25519": ED_JWK | {"crv": "X25519"},
    "no kind": {"x": "AAAA"},
    "a kind that is no text": {"kty": ["RSA"]},
    "for encryption": EC_JWK | {"use": "enc"},
    "a name that is no text": EC_JWK | {"kid": 7},
    "another certificate": jwk_of(ONE) | {"x5c": jwk_of(OTHER)["x5c"]},
    "a certificate that is none": EC_JWK | {"x5c": ["AAAA"]},
    "no certificate in x5c": EC_JWK | {"x5c": []},
    "x5c as text": EC_JWK | {"x5c": "AAAA"},
    "a thumbprint of another certificate": jwk_of(ONE) | {"x5t#S256": OTHER.thumbprint},
    "a thumbprint in hex": EC_JWK | {"x5t#S256": "ab" * 32},
    "text": "key",
    "null": None,
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_another_key_is_refused(key):
    """A private, symmetric, weak or malformed key is refused, whatever stands beside it."""
    with pytest.raises(InvalidClientMetadata, match="key 2 in jwks"):
        registered({"keys": [EC_JWK, key]})


@pytest.mark.parametrize(
    "jwks",
    [
        pytest.param({}, id="no keys"),
        pytest.param({"keys": []}, id="an empty list"),
        pytest.param({"keys": {}}, id="an object"),
        pytest.param({"keys": [EC_JWK] * 21}, id="too many"),
        pytest.param({"keys": [EC_JWK], "more": "x" * (1 << 14)}, id="too large"),
        pytest.param({"keys": [EC_JWK | {"kid": "a"}, ED_JWK | {"kid": "a"}]}, id="a name twice"),
        pytest.param([EC_JWK], id="a list alone"),
        pytest.param("https://client.example/jwks", id="a URL"),
    ],
)
def test_another_set_is_refused(jwks):
    """A JWK Set is an object with a bounded list of keys of different names."""
    with pytest.raises(InvalidClientMetadata, match="jwks"):
        registered(jwks)


@pytest.mark.parametrize("depth", [10, 900])
@pytest.mark.parametrize("place", ["set", "key"])
def test_a_deep_set_is_refused(depth, place):
    """A set that could be stored, and perhaps never read again, is refused."""
    deep = {"more": json.loads("[" * depth + "]" * depth)}
    with pytest.raises(InvalidClientMetadata, match="nested too deeply"):
        registered({"keys": [EC_JWK]} | deep if place == "set" else {"keys": [EC_JWK | deep]})


@pytest.mark.parametrize(
    "uri",
    [
        "http://client.example/jwks",
        "https://user@client.example/jwks",
        "https://client.example/jwks#x",
        "https://client.example/../jwks",
        "HTTPS://client.example/jwks",
        "file:///etc/passwd",
        "https://",
        "",
    ],
)
def test_another_jwks_uri_is_refused(uri):
    """A jwks_uri is one plain https URL."""
    members = {"scope": "read", "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": uri}
    with pytest.raises(InvalidClientMetadata, match="jwks_uri"):
        metadata_from(members)


def test_certificates_are_named_by_x5c_or_thumbprint():
    """A key names its certificate by the first of x5c or by x5t#S256; a bare key names none."""
    by_chain = jwk_of(ONE) | {"x5c": [*jwk_of(ONE)["x5c"], *jwk_of(OTHER)["x5c"]]}
    assert certificates_in({"keys": [by_chain, EC_JWK]}) == {ONE.thumbprint}
    assert certificates_in({"keys": [EC_JWK | {"x5t#S256": OTHER.thumbprint}]}) == {OTHER.thumbprint}


@pytest.mark.parametrize(
    "jwks", [{}, {"keys": "x"}, {"keys": [None, 7, {"x5c": [7]}, {"x5t#S256": 7}]}], ids=str
)
def test_a_malformed_set_names_no_certificate(jwks):
    """A set that another wrote, perhaps malformed, names no certificate and is no failure."""
    assert certificates_in(jwks) == frozenset()


@pytest.mark.parametrize(
    "jwks",
    [
        pytest.param({"keys": [public_jwk(ONE.key.public_key())]}, id="a key alone"),
        pytest.param({"keys": [jwk_of(ONE), public_jwk(OTHER.key.public_key())]}, id="one key alone of two"),
    ],
)
def test_a_key_is_no_certificate(jwks):
    """self_signed_tls_client_auth compares certificates (RFC 8705 2.2): each key must name its own."""
    with pytest.raises(InvalidClientMetadata, match="names no certificate"):
        registered(jwks, "self_signed_tls_client_auth")
    assert registered({"keys": [jwk_of(ONE), jwk_of(OTHER)]}, "self_signed_tls_client_auth")
