"""Any text and any members in the place of a JWT or a key set: refused by their own error, and no other."""

import json
from contextlib import suppress
from string import printable

from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.federation.claims import GRANT_KINDS, refuse_kind
from macaroon_cbat.service.federation.jose import usable_keys
from macaroon_cbat.service.federation.judging import fitting, issuer_of, signed_by
from macaroon_cbat.service.federation.jwt import read_jwt
from macaroon_cbat.service.federation.published_keys import PublishedKeys
from macaroon_cbat.service.federation.refusals import UnacceptableJwt
from macaroon_cbat.stores.trust import TrustedIssuer, TrustRecord, read_trust
from tests.support.databases import NOW
from tests.support.federated import IDP, KEY, KEYS, WORKLOAD
from tests.support.foreign_tokens import signed_jwt

RECORD = TrustRecord("idp", read_trust(WORKLOAD, TrustedIssuer), 0)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(printable, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "act", "cnf", "events", "x"])
HEADERS = st.sampled_from(["alg", "kid", "typ", "cty", "crit", "jwk", "jku", "x5c", "b64", "enc"])
KEY_MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "use", "key_ops", "alg", "kid", "x5c"])
GOOD = {"iss": IDP, "aud": "https://as.example", "sub": "system:deployer", "exp": NOW + 60}


def judge(text: str) -> None:
    jwt = read_jwt(text)
    refuse_kind(jwt, GRANT_KINDS)
    issuer_of(jwt)
    fitting(jwt, signed_by(jwt, [RECORD], PublishedKeys()), EpochSeconds(NOW))


@given(st.text(max_size=60) | st.from_regex(r"[\w-]{0,12}\.[\w-]{0,12}\.[\w-]{0,12}", fullmatch=True))
def test_any_text(text):
    """No text but a JWT is read, and none raises another error."""
    with suppress(UnacceptableJwt):
        judge(text)


@given(st.dictionaries(NAMES, VALUES, max_size=4), st.dictionaries(HEADERS, VALUES, max_size=2))
def test_any_members(claims, header):
    """A signed token with any members is accepted or refused, and never breaks the service."""
    with suppress(UnacceptableJwt):
        judge(signed_jwt({"alg": "ES256", "kid": "k1", **header}, {**GOOD, **claims}, KEY, "ES256"))


@given(st.dictionaries(KEY_MEMBERS, VALUES, max_size=5), st.dictionaries(KEY_MEMBERS, VALUES, max_size=2))
def test_any_key(members, changes):
    """Any members in the place of a key are a usable key, or none, and raise no other error."""
    for key in (members, {**KEYS["keys"][0], **changes}):
        with suppress(ValueError):
            usable_keys(json.loads(json.dumps({"keys": [key]})))


@given(st.dictionaries(st.sampled_from(TrustedIssuer.__struct_fields__), VALUES, max_size=3))
def test_any_trust(changes):
    """Any members of trust are trust, or are refused by name, and raise no other error."""
    with suppress(InvalidRequest):
        read_trust(json.loads(json.dumps({**WORKLOAD, **changes})), TrustedIssuer)
