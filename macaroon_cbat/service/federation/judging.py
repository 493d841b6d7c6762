"""The judgment of a JWT: which trust of the operator it fits, first by its signature, then by its claims."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.federation.claims import (
    live_until,
    refuse_actors,
    refuse_audience,
    refuse_other_claims,
    subject_of,
)
from macaroon_cbat.service.federation.jose import PublicKeys, usable_keys
from macaroon_cbat.service.federation.jwt import Jwt
from macaroon_cbat.service.federation.published_keys import PublishedKeys
from macaroon_cbat.service.federation.reaching import Place
from macaroon_cbat.service.federation.refusals import UNTRUSTED, UnacceptableJwt
from macaroon_cbat.stores.trust import SPIFFE, TrustedIssuer, TrustRecord
from macaroon_cbat.text.printable import quoted

_LONGEST_ID = 255
_MOST_REASONS = 3


class Accepted(Struct, frozen=True):
    """A JWT that fits one trust; `subject` is the subject of a macaroon, or None for the client itself."""

    name: str
    trusted: TrustedIssuer
    jwt: Jwt
    expires_at: EpochSeconds
    subject: str | None

    @property
    def token_name(self) -> str:
        """The name of this very token among those that were used: its `jti`, else a hash of what is signed.

        The signature is left out: ECDSA has several for one token.
        """
        jti = self.jwt.claims.get("jti")
        own = f"jti {jti}" if jti is not None else f"sha256 {hashlib.sha256(self.jwt.signed).hexdigest()}"
        return f"{self.trusted.issuer} {own}"


def issuer_of(jwt: Jwt) -> str:
    """Return the unverified issuer: `iss`, or the trust domain of a JWT-SVID without one.

    It selects among the trusts of the operator, and nothing else: no address is made of it. Raises
    UnacceptableJwt for a token without an issuer.
    """
    if "iss" in jwt.claims:
        named = jwt.claims["iss"]
        if not isinstance(named, str) or not named:
            raise UnacceptableJwt("the issuer of the JWT is no text")
        return named
    subject = jwt.claims.get("sub")
    if not isinstance(subject, str) or not subject.startswith(SPIFFE):
        raise UnacceptableJwt("the JWT has no issuer: its claim iss is missing")
    return trust_domain_of(subject)


def trust_domain_of(spiffe_id: str) -> str:
    """Return the trust domain of a SPIFFE ID (SPIFFE-ID 2.1)."""
    return SPIFFE + spiffe_id.removeprefix(SPIFFE).partition("/")[0]


def place_of(trusted: TrustedIssuer) -> Place:
    """Return the place of the keys of a trusted issuer whose keys are fetched."""
    return Place(trusted.issuer, trusted.jwks_uri, trusted.issuer_ca, trusted.private_addresses)


def signed_by(jwt: Jwt, records: Iterable[TrustRecord], published: PublishedKeys) -> list[TrustRecord]:
    """Return the trusts whose keys signed the token, one at least; raises UnacceptableJwt, or Unavailable.

    Trusts with the same keys cost one verification together: a hundred workflows of one issuer may be
    trusted, and an attacker can name that issuer in any token.
    """
    found: list[TrustRecord] = []
    refusal: UnacceptableJwt | None = None
    verdicts: dict[tuple[object, ...], UnacceptableJwt | None] = {}
    for record in records:
        keys = _keys_of(record.trusted)
        if keys not in verdicts:
            verdicts[keys] = _why_unsigned(jwt, record.trusted, published)
        if (error := verdicts[keys]) is None:
            found.append(record)
        else:
            refusal = error
    if not found:
        reason = f"the issuer {quoted(issuer_of(jwt))} is not trusted"
        raise refusal or UnacceptableJwt(reason, UNTRUSTED)
    return found


def fitting(jwt: Jwt, records: Sequence[TrustRecord], now: EpochSeconds) -> Accepted:
    """Return the one trust that the claims of the token fit. Raises UnacceptableJwt, with every reason."""
    found: list[Accepted] = []
    refusals: list[tuple[str, UnacceptableJwt]] = []
    for record in records:
        try:
            found.append(_accepted(jwt, record, now))
        except UnacceptableJwt as error:
            refusals.append((record.name, error))
    if not found:
        reasons = [f"{name}: {error}" for name, error in refusals[:_MOST_REASONS]]
        told = {error.told for _, error in refusals}
        raise UnacceptableJwt("; ".join(reasons), told.pop() if len(told) == 1 else UNTRUSTED)
    if len(found) > 1:
        names = " and ".join(one.name for one in found[:_MOST_REASONS])
        reason = f"the JWT fits {names}: let the claims that they require exclude each other"
        raise UnacceptableJwt(reason, UNTRUSTED)
    return found[0]


def _keys_of(trusted: TrustedIssuer) -> tuple[object, ...]:
    """Return what decides about a signature: the keys, or their place, and the algorithms."""
    given = place_of(trusted) if trusted.jwks is None else msgspec.json.encode(trusted.jwks)
    return given, trusted.algorithms


def _why_unsigned(jwt: Jwt, trusted: TrustedIssuer, published: PublishedKeys) -> UnacceptableJwt | None:
    """Return why none of the keys of a trust signed the token, or None if one did. Raises Unavailable."""
    try:
        if trusted.jwks is None:
            published.verify(jwt, place_of(trusted), trusted.algorithms)
        else:
            given_keys(trusted.jwks).verify(jwt, trusted.algorithms)
    except UnacceptableJwt as error:
        return error
    return None


def given_keys(key_set: Mapping[str, Any]) -> PublicKeys:
    """Return the keys of a set that was given, not fetched. Raises UnacceptableJwt if none is usable."""
    try:
        return _given_keys(msgspec.json.encode(key_set))
    except ValueError as error:
        raise UnacceptableJwt(f"the keys that were given for it are of no use: {error}", UNTRUSTED) from error


@lru_cache(maxsize=256)
def _given_keys(key_set: bytes) -> PublicKeys:
    return usable_keys(msgspec.json.decode(key_set))


def _accepted(jwt: Jwt, record: TrustRecord, now: EpochSeconds) -> Accepted:
    trusted, claims = record.trusted, jwt.claims
    expires_at = live_until(claims, now)
    refuse_audience(claims, trusted.audiences)
    _refuse_id(claims.get("jti"))
    subject = subject_of(claims)
    if trusted.is_trust_domain and not subject.startswith(trusted.issuer + "/"):
        raise UnacceptableJwt(f"the subject {quoted(subject)} is of another trust domain")
    refuse_other_claims(claims, trusted.claims)
    refuse_actors(claims)
    named = None if trusted.subject is None else f"{record.name}:{subject_of(claims, trusted.subject)}"
    return Accepted(record.name, trusted, jwt, expires_at, named)


def _refuse_id(jti: object) -> None:
    if jti is not None and (not isinstance(jti, str) or not 0 < len(jti) <= _LONGEST_ID):
        raise UnacceptableJwt(f"the jti of the JWT is no text of 1 to {_LONGEST_ID} characters")
