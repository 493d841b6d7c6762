"""The proof JWT of DPoP: what verifies, and what attackers send in its place."""

import json
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import import_key as jwk_of

from macaroon_cbat.client.dpop_key import DpopKey
from macaroon_cbat.errors import InvalidDpopProof, UseDpopNonce
from macaroon_cbat.macaroon.dpop_nonces import NONCE_SECONDS, DpopNonces
from macaroon_cbat.macaroon.dpop_proof import (
    MAX_PROOF_CHARACTERS,
    PROOF_SECONDS,
    ProvedRequest,
    read_proof,
    verify_proof,
)
from macaroon_cbat.macaroon.proof_keys import SIGNING_ALGORITHMS, parse_key_thumbprint
from macaroon_cbat.macaroon.target import parse_target
from tests.support.dpop import URL, ath, decoded, jkt, jwk, key, number, part, proof, sign
from tests.support.rsa_keys import rsa_key
from tests.support.tokens import NOW, to_text

TOKEN = "AgE-the-token-as-it-was-sent"
SKEW = 30
NONCES = DpopNonces(bytes(range(32)))

# RFC 9449, figures 1, 6 and 12, with the thumbprint of figure 9.
RFC_JKT = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
RFC_HEADER = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZ"
    "OXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIs"
    "ImNydiI6IlAtMjU2In19."
)
RFC_EXAMPLES = {
    "of a token request": (
        (
            "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva"
            "2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK"
            "70nfbV37xRZT3Lg"
        ),
        1562262616,
        "POST",
        "https://server.example.com/token",
        None,
    ),
    "of a refresh": (
        (
            "eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva"
            "2VuIiwiaWF0IjoxNTYyMjY1Mjk2fQ.pAqut2IRDm_De6PR93SYmGBPXpwrAk90e8cP2hjiaG5QsGSuKDYW7_X620BxqhvYC8ynrrv"
            "ZLTk41mSRroapUA"
        ),
        1562265296,
        "POST",
        "https://server.example.com/token",
        None,
    ),
    "of a resource": (
        (
            "eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wc"
            "m90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0"
            "NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
        ),
        1562262618,
        "GET",
        "https://resource.example.org/protectedresource",
        "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU",
    ),
}


def request(**changes: object) -> ProvedRequest:
    """Return the request that `proof()` is for, changed as told."""
    facts = {"now": NOW, "clock_skew": SKEW, "method": "GET", "targets": (parse_target(URL),)}
    return ProvedRequest(**{**facts, "token": TOKEN, **changes})


def check(text: str, nonces: DpopNonces | None = None, **changes: object) -> str:
    """Read and verify a proof; return the thumbprint of its key."""
    read = read_proof((text,))
    verify_proof(read, request(**changes), nonces)
    return read.proof_key


@pytest.mark.parametrize(("text", "now", "method", "uri", "token"), RFC_EXAMPLES.values(), ids=RFC_EXAMPLES)
def test_the_examples_of_the_rfc_verify(text, now, method, uri, token):
    """Each proof that RFC 9449 prints verifies at its time, by the key whose thumbprint it prints."""
    target = parse_target(uri)
    assert check(RFC_HEADER + text, now=now, method=method, targets=(target,), token=token) == RFC_JKT


@pytest.mark.parametrize("algorithm", SIGNING_ALGORITHMS)
def test_every_algorithm_verifies(algorithm):
    """A proof by a key of each algorithm verifies, and names the thumbprint that RFC 7638 computes."""
    assert check(proof(TOKEN, algorithm=algorithm), clock_skew=0) == jkt(key(algorithm))


MEANT = {
    "default port": "https://api.example:443/invoices",
    "capitals in the host": "HTTPS://API.Example/invoices",
    "needless encoding": "https://api.example/%69nvoices",
    "a query": URL + "?page=2",
    "a fragment": URL + "#top",
    "both": URL + "?page=2#top?x",
}


@pytest.mark.parametrize("htu", MEANT.values(), ids=MEANT)
def test_htu_is_compared_normalized(htu):
    """Htu is normalized before it is compared, and its query and fragment mean nothing (RFC 9449 4.3)."""
    assert check(proof(TOKEN, htu=htu))


CLAIMS = {
    "another method": ({"htm": "POST"}, "htm is 'POST'"),
    "the method in small letters": ({"htm": "get"}, "htm is 'get'"),
    "another path": ({"htu": "https://api.example/other"}, "htu is"),
    "a path below": ({"htu": URL + "/7"}, "htu is"),
    "a slash more": ({"htu": URL + "/"}, "htu is"),
    "another host": ({"htu": "https://evil.example/invoices"}, "htu is"),
    "another port": ({"htu": "https://api.example:444/invoices"}, "htu is"),
    "the scheme http": ({"htu": "http://api.example/invoices"}, "htu is"),
    "a user": ({"htu": "https://api.example@evil.example/invoices"}, "no http or https URL"),
    "a path alone": ({"htu": "/invoices"}, "no http or https URL"),
    "an empty htu": ({"htu": ""}, "no http or https URL"),
    "half an IPv6 address": ({"htu": "https://[::1/invoices"}, "no http or https URL"),
    "a port that is none": ({"htu": "https://api.example:99999/invoices"}, "no http or https URL"),
    "too old": ({"iat": NOW - PROOF_SECONDS - SKEW - 1}, "s ago"),
    "of the future": ({"iat": NOW + SKEW + 1}, "in the future"),
    "of the far future": ({"iat": 1e300}, "in the future"),
    "an expired exp": ({"exp": NOW - SKEW}, "exp is in the past"),
    "an nbf ahead": ({"nbf": NOW + SKEW + 1}, "nbf is in the future"),
    "another token's ath": ({"ath": ath("AgE-another")}, "ath is not the hash"),
    "no ath": ({"ath": None}, "ath is not the hash"),
    "ath in hex": ({"ath": "ab" * 32}, "ath is not the hash"),
    "ath of the padded hash": ({"ath": ath(TOKEN) + "="}, "ath is not the hash"),
    "no jti": ({"jti": None}, "no jti"),
    "an empty jti": ({"jti": ""}, "jti has 0 characters"),
    "a long jti": ({"jti": "x" * 257}, "jti has 257 characters"),
    "a jti that is a number": ({"jti": 7}, "jti is no text"),
    "no htm": ({"htm": None}, "no htm"),
    "htm that is a list": ({"htm": ["GET"]}, "htm is no text"),
    "no htu": ({"htu": None}, "no htu"),
    "no iat": ({"iat": None}, "no iat"),
    "iat that is text": ({"iat": str(NOW)}, "iat is no number"),
    "iat that is true": ({"iat": True}, "iat is no number"),
    "exp that is text": ({"exp": "never"}, "exp is no number"),
    "nonce that is a number": ({"nonce": 1}, "nonce is no text"),
}


@pytest.mark.parametrize(("claims", "reason"), CLAIMS.values(), ids=CLAIMS)
def test_a_claim_that_does_not_fit_is_refused(claims, reason):
    """A proof for another method, target, time or token, or without a claim, is refused by name."""
    with pytest.raises(InvalidDpopProof, match=reason):
        check(proof(TOKEN, **claims))


UNKNOWN = {"method": {"method": None}, "target": {"targets": ()}}


@pytest.mark.parametrize("changes", UNKNOWN.values(), ids=UNKNOWN)
def test_what_the_server_does_not_know_refuses(changes):
    """No proof fits a request whose method or target is unknown."""
    with pytest.raises(InvalidDpopProof):
        check(proof(TOKEN), **changes)


AT_THE_EDGE = {
    "oldest": {"iat": NOW - PROOF_SECONDS - SKEW},
    "newest": {"iat": NOW + SKEW},
    "a fraction of a second": {"iat": NOW + 0.25},
    "exp within the skew": {"exp": NOW - SKEW + 1},
    "nbf within the skew": {"nbf": NOW + SKEW},
    "a long jti": {"jti": "x" * 256},
    "claims of an extension": {"client": "x", "nested": {"a": [1]}},
}


@pytest.mark.parametrize("claims", AT_THE_EDGE.values(), ids=AT_THE_EDGE)
def test_a_claim_at_the_edge_is_accepted(claims):
    """The window of time and the bounds include their ends; claims of extensions mean nothing here."""
    assert check(proof(TOKEN, **claims))


PUBLIC = jwk(key())
RSA = jwk(rsa_key())
OFF_CURVE = {**PUBLIC, "y": PUBLIC["x"]}
HEADERS = {
    "typ JWT": ({"typ": "JWT"}, "typ is 'JWT'"),
    "typ in capitals": ({"typ": "DPOP+JWT"}, "typ is"),
    "no typ": ({"typ": None}, "typ is"),
    "alg none": ({"alg": "none"}, "alg is 'none'"),
    "alg HS256": ({"alg": "HS256"}, "alg is 'HS256'"),
    "alg ES256K": ({"alg": "ES256K"}, "alg is 'ES256K'"),
    "alg RS1": ({"alg": "RS1"}, "alg is 'RS1'"),
    "alg in small letters": ({"alg": "es256"}, "alg is 'es256'"),
    "alg a list": ({"alg": ["ES256"]}, "alg is"),
    "no alg": ({"alg": None}, "alg is"),
    "crit": ({"crit": ["b64"], "b64": False}, "crit"),
    "an empty crit": ({"crit": []}, "crit"),
    "no jwk": ({"jwk": None}, "jwk is missing"),
    "jwk that is text": ({"jwk": "x"}, "jwk is missing"),
    "jku in its place": ({"jwk": None, "jku": "https://evil.example/jwks"}, "jwk is missing"),
    "a private key": ({"jwk": {**PUBLIC, "d": "AA"}}, "private or a symmetric"),
    "an RSA prime": ({"alg": "RS256", "jwk": {**RSA, "p": "AA"}}, "private or a symmetric"),
    "a symmetric key": ({"jwk": {"kty": "oct", "k": "AA"}}, "private or a symmetric"),
    "a key of another kind": ({"alg": "RS256"}, "no RSA key"),
    "RSA for ES256": ({"jwk": RSA}, "no EC key"),
    "another curve": ({"alg": "ES384"}, "not of the curve P-384"),
    "Ed448": ({"alg": "EdDSA", "jwk": {"kty": "OKP", "crv": "Ed448", "x": "AA"}}, "curve Ed25519"),
    "a short x": ({"jwk": {**PUBLIC, "x": number(1, 31)}}, "x of another length"),
    "a padded x": ({"jwk": {**PUBLIC, "x": PUBLIC["x"] + "="}}, "x that is not"),
    "x in front of a zero": ({"jwk": {**PUBLIC, "x": "AAAA" + PUBLIC["x"]}}, "x of another length"),
    "no y": ({"jwk": {**PUBLIC, "y": None}}, "no y"),
    "x that is a number": ({"jwk": {**PUBLIC, "x": 7}}, "no x"),
    "off the curve": ({"jwk": OFF_CURVE}, "signature does not verify"),
    "the point at infinity": ({"jwk": {**PUBLIC, "x": "A" * 43, "y": "A" * 43}}, "signature does not verify"),
    "another's key": ({"jwk": jwk(key("ES256", "thief"))}, "signature does not verify"),
    "weak RSA": (
        {"alg": "RS256", "jwk": {**RSA, "n": number((1 << 2046) + 1)}},
        "2047 bits: use an RSA key",
    ),
    "huge RSA": ({"alg": "RS256", "jwk": {**RSA, "n": number((1 << 4096) + 1)}}, "4097 bits"),
    "a long exponent": ({"alg": "RS256", "jwk": {**RSA, "e": "AQAAAAAB"}}, "long e"),
    "exponent 1": ({"alg": "RS256", "jwk": {**RSA, "e": "AQ"}}, "signature does not verify"),
    "an even exponent": ({"alg": "RS256", "jwk": {**RSA, "e": "Ag"}}, "signature does not verify"),
    "n with a leading zero": ({"alg": "RS256", "jwk": {**RSA, "n": "AAAA" + RSA["n"]}}, "leading zeros"),
    "an empty e": ({"alg": "RS256", "jwk": {**RSA, "e": ""}}, "leading zeros"),
}


@pytest.mark.parametrize(("header", "reason"), HEADERS.values(), ids=HEADERS)
def test_a_header_that_is_not_safe_is_refused(header, reason):
    """Another type or algorithm, an extension, an unusable, weak or private key: refused by name."""
    with pytest.raises(InvalidDpopProof, match=reason):
        check(proof(TOKEN, header=header))


HONEST = proof(TOKEN)
HEAD, BODY, SIGNATURE = HONEST.split(".")
REPEATED = to_text(json.dumps(decoded(BODY))[:-1].encode() + b',"htm":"POST"}')
DER = to_text(key().sign(f"{HEAD}.{BODY}".encode(), ec.ECDSA(SHA256())))
TEXTS = {
    "empty": ("", "three parts"),
    "no JWT": ("rubbish", "three parts"),
    "encrypted": ("a.b.c.d.e", "three parts"),
    "two, joined by a server": (f"{HONEST}, {HONEST}", "more than one DPoP header"),
    "oversized": (HONEST + "A" * MAX_PROOF_CHARACTERS, "characters: send"),
    "no signature": (f"{HEAD}.{BODY}.", "signature does not verify"),
    "a signature of zeros": (f"{HEAD}.{BODY}.{'A' * 86}", "signature does not verify"),
    "a DER signature": (f"{HEAD}.{BODY}.{DER}", "signature does not verify"),
    "half a signature": (f"{HEAD}.{BODY}.{SIGNATURE[:43]}", "signature"),
    "a padded signature": (f"{HONEST}==", "signature is not"),
    "a padded header": (f"{HEAD}=.{BODY}.{SIGNATURE}", "header is not"),
    "another payload": (f"{HEAD}.{part({**decoded(BODY), 'iat': NOW + 1})}.{SIGNATURE}", "does not verify"),
    "another header": (f"{part({**decoded(HEAD), 'x': 1})}.{BODY}.{SIGNATURE}", "does not verify"),
    "a repeated claim": (f"{HEAD}.{REPEATED}.{SIGNATURE}", "repeats the key 'htm'"),
    "a payload that is a list": (f"{HEAD}.{to_text(b'[]')}.{SIGNATURE}", "no JSON object"),
    "a payload that is no JSON": (f"{HEAD}.{to_text(b'{')}.{SIGNATURE}", "no JSON"),
    "a payload nested deeply": (f"{HEAD}.{to_text(b'[' * 2500)}.{SIGNATURE}", "no usable JSON"),
    "not ASCII": (HONEST[:-1] + "\xe9", "signature is not"),
    "a line end within": (HONEST[:50] + "\n" + HONEST[50:], "is not"),
}


@pytest.mark.parametrize(("text", "reason"), TEXTS.values(), ids=TEXTS)
def test_what_is_no_signed_jwt_is_refused(text, reason):
    """Text that is not one JWT in compact form, signed as it stands, is refused."""
    with pytest.raises(InvalidDpopProof, match=reason):
        check(text)


@pytest.mark.parametrize("count", [0, 2])
def test_there_is_exactly_one_header(count):
    """No header and two headers are refused, even two of the same value (RFC 9449 4.3)."""
    with pytest.raises(InvalidDpopProof, match=f"there are {count} DPoP headers"):
        read_proof((HONEST,) * count)


def test_an_rsa_signature_of_the_other_padding_is_refused():
    """A signature of PKCS #1 1.5 is none of PS256, though the key is the same."""
    signed = f"{part({'typ': 'dpop+jwt', 'alg': 'PS256', 'jwk': RSA})}.{BODY}"
    with pytest.raises(InvalidDpopProof, match="does not verify"):
        check(f"{signed}.{to_text(sign(rsa_key(), signed.encode(), 'RS256'))}")


def test_an_rsa_key_of_4096_bits_fits():
    """The largest key that is allowed fits the size of a proof."""
    private: rsa.RSAPrivateKey = rsa_key(4096)
    assert check(proof(TOKEN, private=private, algorithm="RS256"))


def test_another_signature_makes_no_other_proof():
    """A proof has one name whatever signature it carries: ECDSA has two for each message."""
    twin = f"{HEAD}.{BODY}.{to_text(sign(key(), f'{HEAD}.{BODY}'.encode(), 'ES256'))}"
    assert twin != HONEST
    assert check(twin)
    assert read_proof((twin,)).use_name() == read_proof((HONEST,)).use_name()


def test_a_jti_is_of_its_key():
    """Another key's proof with the same jti is another proof: no client can use up a victim's."""
    mine, other = proof(jti="x"), proof(jti="x", private=key("ES256", "thief"))
    assert read_proof((mine,)).use_name() != read_proof((other,)).use_name()


def test_a_name_is_kept_for_as_long_as_its_proof_is_good():
    """A proof is remembered until the last second in which it could be accepted again."""
    read = read_proof((proof(TOKEN, iat=NOW + SKEW),))
    until = read.usable_until(SKEW)
    with pytest.raises(InvalidDpopProof, match="s ago"):
        verify_proof(read, request(now=until + 1))


NONCE_AGES = {"this minute's": 0, "the minute before's": NONCE_SECONDS}


@pytest.mark.parametrize("age", NONCE_AGES.values(), ids=NONCE_AGES)
def test_a_recent_nonce_is_accepted(age):
    """The nonce of this minute or the one before is accepted."""
    assert check(proof(TOKEN, nonce=NONCES.current(NOW - age)), NONCES)


BAD_NONCES = {
    "none": None,
    "an old one": NONCES.current(NOW - 2 * NONCE_SECONDS),
    "a later one": NONCES.current(NOW + NONCE_SECONDS),
    "another server's": DpopNonces(bytes(32)).current(NOW),
    "an empty one": "",
    "one beyond ASCII": "\xe9" * 22,
}


@pytest.mark.parametrize("nonce", BAD_NONCES.values(), ids=BAD_NONCES)
def test_a_nonce_that_is_not_recent_gets_the_next(nonce):
    """A proof without a recent nonce of this server is refused with the nonce to use."""
    with pytest.raises(UseDpopNonce) as refusal:
        check(proof(TOKEN, nonce=nonce), NONCES)
    assert refusal.value.nonce == NONCES.current(NOW)


def test_a_forged_proof_gets_no_nonce():
    """A proof that is not signed by its key is invalid, and learns no nonce."""
    with pytest.raises(InvalidDpopProof) as refusal:
        check(HONEST[:-86] + "A" * 86, NONCES)
    assert not isinstance(refusal.value, UseDpopNonce)


def test_a_secret_of_nonces_is_long_and_is_not_shown():
    """A short secret is refused, and no secret is in the representation."""
    with pytest.raises(ValueError, match="32 random bytes"):
        DpopNonces(b"short")
    with pytest.raises(TypeError, match="give bytes"):
        DpopNonces("0" * 64)  # type: ignore[arg-type]
    assert repr(NONCES) == "<DpopNonces>"


@pytest.mark.parametrize("text", ["", "A" * 42, "A" * 42 + "B", RFC_JKT + "=", "ab" * 32])
def test_a_key_thumbprint_has_one_spelling(text):
    """A thumbprint is 43 characters of base64url without spare bits."""
    with pytest.raises(ValueError, match="43 characters"):
        parse_key_thumbprint(text)


nested: st.SearchStrategy[object] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
changed = st.dictionaries(st.sampled_from(["htm", "htu", "jti", "iat", "ath", "nonce", "exp", "nbf"]), nested)
headed = st.dictionaries(st.sampled_from(["typ", "alg", "jwk", "crit", "kid"]), nested)


@given(header=headed, claims=changed)
def test_no_other_exception_leaves_a_proof(header, claims):
    """A proof that an attacker has invented and signed holds, or is an InvalidDpopProof."""
    with suppress(InvalidDpopProof):
        check(proof(TOKEN, header=header, **claims))


@given(
    text=st.text(max_size=200)
    | st.from_regex(r"[A-Za-z0-9_-]{0,60}(\.[A-Za-z0-9_-]{0,60}){2}", fullmatch=True)
)
def test_no_other_exception_leaves_a_text(text):
    """Text that is no proof is refused as an InvalidDpopProof, and by no other exception."""
    with pytest.raises(InvalidDpopProof):
        check(text)


def test_joserfc_agrees():
    """A proof that this package's holders make verifies in joserfc, with the same thumbprint."""
    key = DpopKey.generate()
    read = jws.deserialize_compact(
        key.proof("GET", URL, token=TOKEN), lambda obj: jwk_of(obj.headers()["jwk"]), algorithms=["ES256"]
    )
    assert json.loads(read.payload)["htu"] == URL
    assert jwk_of(read.headers()["jwk"]).thumbprint() == key.thumbprint
