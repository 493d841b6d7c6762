"""The vectors of attacks that need no particular issuer, and of tokens at the edge of what is allowed."""

import json

from tests.support.foreign_tokens import ec_key, ed25519_key, key_set, pem_of, public_jwk, segment, signed_jwt
from tests.vectors.federation.cases import GITHUB, KEYS, NOW, RSA, Case

_TRUST = {**GITHUB.trust, "claims": {"sub": "repo:octo-org/octo-repo:ref:refs/heads/main"}}
_CLAIMS = {name: GITHUB.claims[name] for name in ("iss", "aud", "sub", "exp", "iat", "jti")}
_HEADER = {"alg": "RS256", "kid": "rsa-1"}
_EVIL = ec_key(666)
_EVIL_JWK = public_jwk(_EVIL, "evil")
_HONEST = signed_jwt(_HEADER, _CLAIMS, RSA)


def _token(token: str, comment: str, refusal: str | None, **trust: object) -> Case:
    return Case(comment, {**_TRUST, **trust}, token, refusal)


def _header(comment: str, refusal: str | None, *, key=RSA, by: str | None = None, **members: object) -> Case:
    header = {name: value for name, value in {**_HEADER, **members}.items() if value is not None}
    return _token(signed_jwt(header, _CLAIMS, key, by), comment, refusal)


def _claims(comment: str, refusal: str | None, *, without: tuple[str, ...] = (), **members: object) -> Case:
    claims = {name: value for name, value in {**_CLAIMS, **members}.items() if name not in without}
    return _token(signed_jwt(_HEADER, claims, RSA), comment, refusal)


def _spelled(comment: str, refusal: str, *, header: str | None = None, claims: str | None = None) -> Case:
    token = signed_jwt(header or json.dumps(_HEADER), claims or json.dumps(_CLAIMS), RSA, "RS256")
    return _token(token, comment, refusal)


_SPARE_BITS = _HONEST[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[_HONEST[-1]]
_TWICE = json.dumps(_CLAIMS)[:-1] + ', "sub": "repo:octo-org/octo-repo:ref:refs/heads/main"}'
_DEEP = json.dumps(_CLAIMS)[:-1] + ', "x": ' + "[" * 5000 + "]" * 5000 + "}"
_NONE = f"{segment({**_HEADER, 'alg': 'none'})}.{segment(_CLAIMS)}."

ATTACKS: dict[str, Case] = {
    "plain": _token(_HONEST, "an honest token, the measure of these attacks", None),
    "alg-none": _token(_NONE, "no signature, and the header says so", "not allowed"),
    "alg-none-signed": _header("no algorithm, and some signature", "not allowed", alg="none", by="RS256"),
    "alg-none-capital": _token(
        _NONE.replace(segment({**_HEADER, "alg": "none"}), segment({**_HEADER, "alg": "None"})),
        "another spelling of none",
        "not allowed",
    ),
    "alg-hs256-public-key": _header("HMAC by the public key", "not allowed", alg="HS256", key=pem_of(RSA)),
    "alg-missing": _header("no algorithm", "no algorithm", alg=None, by="none"),
    "alg-of-another-key": _header(
        "an algorithm that the key is not for", "signature", alg="ES256", key=_EVIL
    ),
    "alg-not-in-trust": _token(
        _HONEST, "an algorithm that the operator left out", "not allowed", algorithms=["ES256"]
    ),
    "alg-es256k": _header("an algorithm that is not known here", "not allowed", alg="ES256K", by="none"),
    "es256": _header("ECDSA on P-256", None, alg="ES256", kid="ec-1", key=ec_key()),
    "eddsa": _header("EdDSA by its old name", None, alg="EdDSA", kid="ed-1", key=ed25519_key()),
    "ed25519": _header("Ed25519 by the name of RFC 9864", None, alg="Ed25519", kid="ed-1", key=ed25519_key()),
    "es384-on-p-256": _header(
        "a hash that is not the curve's", "signature", alg="ES384", kid="ec-1", key=ec_key()
    ),
    "embedded-jwk": _header(
        "a key in the header", "not among the keys", alg="ES256", kid="evil", jwk=_EVIL_JWK, key=_EVIL
    ),
    "embedded-jwk-known-name": _header(
        "a key in the header, by a known name", "signature", alg="ES256", kid="ec-1", jwk=_EVIL_JWK, key=_EVIL
    ),
    "jku": _header(
        "the address of a key set",
        "not among the keys",
        alg="ES256",
        kid="evil",
        jku="https://evil.example/jwks",
        key=_EVIL,
    ),
    "x5u": _header(
        "the address of a certificate",
        "not among the keys",
        alg="ES256",
        kid="evil",
        x5u="https://evil.example/x5u",
        key=_EVIL,
    ),
    "x5c": _header(
        "a certificate in the header", "not among the keys", alg="ES256", kid="evil", x5c=["MIIB"], key=_EVIL
    ),
    "embedded-jwk-ignored": _header(
        "a key in the header of a token that a known key signed", None, jwk=_EVIL_JWK
    ),
    "crit": _header("an extension", "extension", crit=["exp"], exp=NOW),
    "crit-b64": _header("an unencoded payload", "extension", crit=["b64"], b64=False),
    "b64": _header("an unencoded payload that is not critical", "b64", b64=False),
    "nested": _header("a token in a token", "cty", cty="JWT"),
    "kid-number": _header("a name of the key that is no text", "no text", kid=1),
    "kid-path": _header("a name of the key that is a path", "not among the keys", kid="../../dev/null"),
    "kid-missing": _header("no name of the key: each fitting key is tried", None, kid=None),
    "kid-missing-forged": _header(
        "no name of the key, and a foreign one", "signature", kid=None, alg="ES256", key=_EVIL
    ),
    "typ-dpop": _header("a DPoP proof", "another kind", typ="dpop+jwt"),
    "typ-logout": _header("a logout token", "another kind", typ="logout+jwt"),
    "typ-access-token": _header("an access token of RFC 9068", None, typ="application/at+jwt"),
    "encrypted": _token(
        "eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.a.b.c.d", "an encrypted token", "three segments"
    ),
    "two-segments": _token(_HONEST.rpartition(".")[0], "no third segment", "three segments"),
    "json-serialization": _token(
        json.dumps({"payload": segment(_CLAIMS), "protected": segment(_HEADER)}),
        "the other serialization",
        "three segments",
    ),
    "padded": _token(_HONEST + "=", "padding", "signature"),
    "spare-bits": _token(_SPARE_BITS, "a second spelling of the signature", "signature"),
    "white-space": _token(_HONEST + "\n", "a line end", "signature"),
    "oversized": _token(signed_jwt(_HEADER, {**_CLAIMS, "x": "x" * 16_384}, RSA), "a huge token", "16384"),
    "claim-twice": _spelled("a repeated claim", "repeats the key", claims=_TWICE),
    "header-twice": _spelled(
        "a repeated member", "repeats the key", header='{"alg":"none","alg":"RS256","kid":"rsa-1"}'
    ),
    "claims-list": _spelled("claims that are no object", "no JSON object", claims="[]"),
    "claims-nan": _spelled(
        "a number that is none", "no JSON", claims=json.dumps({**_CLAIMS, "exp": float("nan")})
    ),
    "claims-deep": _spelled("claims that are nested deeply", "nested", claims=_DEEP),
    "tampered": _token(
        ".".join([segment(_HEADER), segment({**_CLAIMS, "sub": "x"}), _HONEST.rpartition(".")[2]]),
        "another payload",
        "signature",
    ),
    "issuer-missing": _claims("no issuer", "no issuer", without=("iss",)),
    "issuer-list": _claims("two issuers", "no text", iss=[GITHUB.claims["iss"]]),
    "issuer-slash": _claims("an issuer with a slash more", "not trusted", iss=GITHUB.claims["iss"] + "/"),
    "issuer-capital": _claims(
        "an issuer in capitals", "not trusted", iss="HTTPS://TOKEN.ACTIONS.GITHUBUSERCONTENT.COM"
    ),
    "issuer-metadata": _claims("an address of the attacker's", "not trusted", iss="https://169.254.169.254"),
    "audience-missing": _claims("no audience", "no audience", without=("aud",)),
    "audience-number": _claims("an audience that is no text", "no audience", aud=[7]),
    "audience-longer": _claims(
        "an audience that begins alike", "another audience", aud="https://as.example.evil"
    ),
    "audience-empty": _claims("an empty list of audiences", "another audience", aud=[]),
    "exp-missing": _claims("no end", "no exp", without=("exp",)),
    "exp-now": _claims("a token that ends in this second", "expired", exp=NOW),
    "exp-fraction": _claims("an end between two seconds", None, exp=NOW + 0.5),
    "exp-text": _claims("an end that is text", "no number", exp=str(NOW + 60)),
    "exp-true": _claims("an end that is true", "no number", exp=True),
    "exp-far": _claims("an end that is years away", "longer than", exp=NOW + 400 * 86_400),
    "exp-huge": _claims("an end beyond any calendar", "no number", exp=1 << 60),
    "nbf-ahead": _claims("a token of the future", "not valid yet", nbf=NOW + 31),
    "nbf-skewed": _claims("a clock that is a little ahead", None, nbf=NOW + 30),
    "iat-ahead": _claims("issued in the future", "not valid yet", iat=NOW + 31),
    "iat-old": _claims("issued days ago", "was issued more than", iat=NOW - 86_401),
    "sub-missing": _claims("no subject", "no subject", without=("sub",)),
    "sub-empty": _claims("an empty subject", "no subject", sub=""),
    "sub-list": _claims("a subject that is no text", "no subject", sub=["repo"]),
    "sub-control": _claims("a subject with a line end inside", "does not print", sub="repo\nx"),
    "jti-number": _claims("a token id that is no text", "jti", jti=7),
    "jti-empty": _claims("an empty token id", "jti", jti=""),
    "jti-missing": _claims("no token id: the token is known by its hash", None, without=("jti",)),
    "act": _claims("a token of another who acts", "claim act", act={"sub": "mallory"}),
    "may-act": _claims("a token that says who may act", "claim may_act", may_act={"sub": "mallory"}),
    "events": _claims("a security event", "another kind", events={}),
    "key-for-encryption": _token(
        signed_jwt({"alg": "ES256", "kid": "enc"}, _CLAIMS, _EVIL),
        "a key of the issuer that is for encryption",
        "not among the keys",
        jwks=key_set(*KEYS["keys"], public_jwk(_EVIL, "enc", use="enc")),
    ),
    "key-of-another-algorithm": _token(
        signed_jwt({"alg": "RS512", "kid": "rsa-1"}, _CLAIMS, RSA),
        "a key that its issuer keeps for one algorithm",
        "signature",
        jwks=key_set(public_jwk(RSA, "rsa-1", alg="RS256")),
    ),
}
