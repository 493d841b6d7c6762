"""The DPoP proof of a request (RFC 9449 4): a JWT that the holder of a key signs over method and target.

`read_proof` reads untrusted text, and `verify_proof` checks what was read. Between the two nothing is proved:
a guard judges the caveats with the thumbprint that the proof claims, and verifies the proof only for a token
that stands otherwise, so that no client without a token costs it a signature. One use of each proof is for
the caller to enforce (`use_name`).
"""

import hashlib
from collections.abc import Collection
from typing import Any

from msgspec import Struct

from macaroon_cbat.errors import InvalidDpopProof, UseDpopNonce
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.dpop_nonces import DpopNonces
from macaroon_cbat.macaroon.jwk import JwkError, PublicJwk, read_public_jwk
from macaroon_cbat.macaroon.proof_keys import SIGNING_ALGORITHMS, KeyThumbprint
from macaroon_cbat.macaroon.target import Target, parse_target
from macaroon_cbat.text.base64url import NotBase64url, decode, encode
from macaroon_cbat.text.json_text import UnusableJson, read_members
from macaroon_cbat.text.printable import quoted

PROOF_SECONDS = 60
"""Seconds for which a proof is good after its `iat`, the clock skew aside."""

MAX_PROOF_CHARACTERS = 4_096
MAX_JTI_CHARACTERS = 256
_TYPE = "dpop+jwt"
_BINDS = {"htm": str, "htu": str, "jti": str, "iat": (int, float)}
_MAY_BIND = {"ath": str, "nonce": str, "exp": (int, float), "nbf": (int, float)}


class DpopProof(Struct, frozen=True):
    """A well-formed proof. Nothing in it is verified: an attacker may have written every field."""

    key: PublicJwk
    algorithm: str
    claims: dict[str, Any]
    """`htm`, `htu` and `jti` are text, `iat` is a number; `ath`, `nonce`, `exp`, `nbf` are so if present."""
    signed: bytes
    signature: bytes

    @property
    def proof_key(self) -> KeyThumbprint:
        """The thumbprint of the key that the proof claims to be signed with."""
        return self.key.thumbprint

    def use_name(self) -> bytes:
        """Return 32 bytes that name the proof: key and `jti`, since another signature makes no new proof."""
        return hashlib.sha256(f"{self.proof_key} {self.claims['jti']}".encode()).digest()

    def usable_until(self, clock_skew: int) -> EpochSeconds:
        """Return the last second in which a server with this clock skew could accept the proof."""
        return EpochSeconds(int(self.claims["iat"]) + PROOF_SECONDS + clock_skew + 1)


class ProvedRequest(Struct, frozen=True, kw_only=True):
    """The request that a proof must be for, as the server knows it. None is unknown, and refuses."""

    now: EpochSeconds
    clock_skew: int
    method: str | None
    targets: Collection[Target]
    """The request's target, by each of the URLs that the server has for it."""
    token: str | None
    """The text of the access token, as it was sent; None for a request without one (a token request)."""


def read_proof(values: Collection[str]) -> DpopProof:
    """Return the proof that the values of a request's DPoP header spell (RFC 9449 4.1, 4.2).

    Raises InvalidDpopProof for several headers, and for anything but one signed JWT of bounded size, of an
    algorithm in SIGNING_ALGORITHMS, with a public key of that algorithm and the claims of a proof.
    """
    if len(values) != 1:
        raise _invalid(f"there are {len(values)} DPoP headers: send one")
    (text,) = values
    text = text.strip(" \t")
    if "," in text:  # what servers make of two headers
        raise _invalid("there is more than one DPoP header: send one")
    if len(text) > MAX_PROOF_CHARACTERS:
        raise _invalid(f"it has {len(text)} characters: send {MAX_PROOF_CHARACTERS} at most")
    parts = text.split(".")
    if len(parts) != 3:
        raise _invalid("it is no JWT of three parts: send a signed JWT in compact form")
    header, payload = _members(parts[0], "header"), _members(parts[1], "payload")
    algorithm, key = _algorithm_and_key(header)
    _check_claims(payload)
    signed = f"{parts[0]}.{parts[1]}".encode()
    return DpopProof(key, algorithm, payload, signed, _decoded(parts[2], "signature"))


def verify_proof(proof: DpopProof, request: ProvedRequest, nonces: DpopNonces | None = None) -> None:
    """Return if the proof holds for this request (RFC 9449 4.3), used before or not.

    Raises InvalidDpopProof that says which claim does not fit, or that the signature is not the key's; raises
    UseDpopNonce if `nonces` are required and the proof has no recent one of them.
    """
    claims = proof.claims
    if request.method is None:
        raise _invalid("the method is not known here: send no header that may override it")
    if claims["htm"] != request.method:
        raise _invalid(f"htm is {quoted(claims['htm'])}, and the method is {request.method!r}")
    _check_target(claims["htu"], request.targets)
    _check_times(claims, request)
    if request.token is not None and claims.get("ath") != token_hash(request.token):
        raise _invalid("ath is not the hash of the access token that was sent: hash its whole text")
    if not proof.key.has_signed(proof.algorithm, proof.signed, proof.signature):
        raise _invalid("its signature does not verify with the key in its header")
    # The nonce last: only the holder of a key learns the next one, and a forged proof stays one.
    if nonces is not None and not nonces.has(claims.get("nonce"), request.now):
        raise UseDpopNonce(nonces.current(request.now))


def _invalid(reason: str) -> InvalidDpopProof:
    return InvalidDpopProof(f"the DPoP proof is not valid: {reason}")


def token_hash(token: str) -> str:
    """Return the `ath` of an access token: base64url of SHA-256 over its text (RFC 9449 4.2)."""
    return encode(hashlib.sha256(token.encode()).digest())


def _decoded(part: str, name: str) -> bytes:
    try:
        return decode(part)
    except NotBase64url as error:
        raise _invalid(f"its {name} is {error}") from None


def _members(part: str, name: str) -> dict[str, Any]:
    try:
        return read_members(_decoded(part, name))
    except UnusableJson as error:
        raise _invalid(f"its {name} is no usable JSON: {error}") from None


def _algorithm_and_key(header: dict[str, Any]) -> tuple[str, PublicJwk]:
    if header.get("typ") != _TYPE:
        raise _invalid(f"its typ is {quoted(header.get('typ'))}: write {_TYPE}")
    if "crit" in header:
        raise _invalid("its header has crit, and no extension is known here: leave it out")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in SIGNING_ALGORITHMS:
        raise _invalid(f"its alg is {quoted(algorithm)}: sign by {' '.join(SIGNING_ALGORITHMS)}")
    try:
        return algorithm, read_public_jwk(header.get("jwk"), algorithm)
    except JwkError as error:
        raise _invalid(f"its jwk {error}") from None


def _check_claims(claims: dict[str, Any]) -> None:
    for name, kind in _BINDS.items():
        if name not in claims:
            raise _invalid(f"it has no {name}: add it (RFC 9449 4.2)")
        _check_kind(name, claims[name], kind)
    for name in _MAY_BIND.keys() & claims.keys():
        _check_kind(name, claims[name], _MAY_BIND[name])
    if not 1 <= len(claims["jti"]) <= MAX_JTI_CHARACTERS:
        raise _invalid(f"its jti has {len(claims['jti'])} characters: write 1 to {MAX_JTI_CHARACTERS}")


def _check_kind(name: str, value: object, kind: Any) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _invalid(f"its {name} is {'no text' if kind is str else 'no number'}: correct it")


def _check_target(htu: str, targets: Collection[Target]) -> None:
    try:
        target = parse_target(htu.partition("#")[0].partition("?")[0])
    except ValueError:
        raise _invalid(f"htu {quoted(htu)} is no http or https URL without a user") from None
    if target not in targets:
        here = " or ".join(map(str, targets)) or "not known here, so that no proof fits"
        error = _invalid(f"htu is {quoted(htu)}, and the target of the request is {quoted(here)}")
        # The path is as this server routes it, maybe below a proxy: that is for the log.
        origins = " or ".join(sorted({one.origin for one in targets})) or "a place that is not known here"
        error.told = str(_invalid(f"htu is {quoted(htu)}: write the URL of the request, at {origins}"))
        raise error


def _check_times(claims: dict[str, Any], request: ProvedRequest) -> None:
    """Refuse a proof of another time than about now."""
    age, skew = request.now - claims["iat"], request.clock_skew
    if age > PROOF_SECONDS + skew:
        raise _invalid(f"iat is {age:.0f} s ago: make a proof for each request, or set the clock")
    if age < -skew:
        raise _invalid(f"iat is {-age:.0f} s in the future: set the clock")
    if request.now - skew >= claims.get("exp", request.now + 1):
        raise _invalid("its exp is in the past: make a proof for each request")
    if request.now + skew < claims.get("nbf", 0):
        raise _invalid("its nbf is in the future: set the clock")
