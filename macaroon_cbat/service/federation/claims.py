"""The rules about the claims of a JWT whose signature holds (RFC 7519 4.1, RFC 7523 3, RFC 8725 3)."""

import re
from collections.abc import Collection, Mapping
from math import ceil
from typing import Any

from macaroon_cbat.certificate.thumbprint import Thumbprint
from macaroon_cbat.macaroon.claims import DEFAULT_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.service.federation.jwt import Jwt
from macaroon_cbat.service.federation.refusals import UNTRUSTED, UnacceptableJwt
from macaroon_cbat.text.printable import quoted

LONGEST_JWT = 86_400
"""Seconds that a JWT may have lived, or have left, at most."""

PLAIN_KINDS: frozenset[str | None] = frozenset({None, "jwt", "jose"})
"""The `typ` of a token whose kind its issuer does not tell (JWT-SVID 2.3 has the last)."""
GRANT_KINDS = PLAIN_KINDS | {"at+jwt", "authorization-grant+jwt"}
CLIENT_KINDS = PLAIN_KINDS | {"client-authentication+jwt"}

_LONGEST_SUBJECT = 190
_LARGEST = 1 << 53
_PLAIN = re.compile(r"[A-Za-z0-9._~+-]+\Z")


def refuse_kind(jwt: Jwt, kinds: Collection[str | None]) -> None:
    """Raise UnacceptableJwt for a JWT that was made for something else, as a DPoP proof is (RFC 8725 3.11).

    Security event tokens and logout tokens have the claim `events` (RFC 8417 2.2).
    """
    if jwt.kind not in kinds or "events" in jwt.claims:
        raise UnacceptableJwt(f"the JWT is of another kind than this door takes: {quoted(jwt.kind)}")


def live_until(claims: Mapping[str, Any], now: EpochSeconds, longest: int = LONGEST_JWT) -> EpochSeconds:
    """Return the second from which on the JWT is refused. Raises UnacceptableJwt if it is not valid now.

    No leeway is given after `exp`. A clock that goes ahead of this one by DEFAULT_CLOCK_SKEW is forgiven.
    """
    expires_at, soon = _seconds(claims, "exp"), now + DEFAULT_CLOCK_SKEW
    if expires_at is None:
        raise UnacceptableJwt("the JWT has no exp: it would be valid for ever")
    if expires_at <= now:
        raise UnacceptableJwt(f"the JWT has expired {now - expires_at:.0f} s ago")
    if expires_at > soon + longest:
        raise UnacceptableJwt(f"the JWT lives longer than {longest} s from now on: request a shorter one")
    not_before, issued_at = _seconds(claims, "nbf"), _seconds(claims, "iat")
    if (not_before is not None and not_before > soon) or (issued_at is not None and issued_at > soon):
        raise UnacceptableJwt("the JWT is not valid yet: compare the clock of its issuer with this one")
    if issued_at is not None and issued_at < now - longest:
        raise UnacceptableJwt(f"the JWT was issued more than {longest} s ago: request a new one")
    return EpochSeconds(ceil(expires_at))


def refuse_from_before(claims: Mapping[str, Any], restored_at: int, longest: int = LONGEST_JWT) -> None:
    """Raise UnacceptableJwt for a JWT that may have been used before the database was restored.

    What was used after the backup is forgotten. Without `iat`, only time shows that the JWT is newer.
    """
    issued_at, expires_at = _seconds(claims, "iat"), _seconds(claims, "exp") or 0
    issued_since = expires_at - longest if issued_at is None else issued_at
    if restored_at and issued_since <= restored_at + DEFAULT_CLOCK_SKEW:
        raise UnacceptableJwt(
            "the JWT may have been used before the database was restored: request a new one"
        )


def refuse_audience(claims: Mapping[str, Any], expected: Collection[str], *, is_alone: bool = False) -> None:
    """Raise UnacceptableJwt unless `aud` names this service, and no other one where it must stand alone."""
    named = claims.get("aud")
    audiences = [named] if isinstance(named, str) else named
    if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
        raise UnacceptableJwt("the JWT has no audience: its claim aud must name this service")
    if is_alone and len({one in expected for one in audiences}) > 1:
        raise UnacceptableJwt("the JWT is for others as well, and each of them could use it here")
    if not any(one in expected for one in audiences):
        raise UnacceptableJwt(f"the JWT is for another audience: {quoted(named)}")


def subject_of(claims: Mapping[str, Any], name: str = "sub") -> str:
    """Return the text of a claim that names a subject. Raises UnacceptableJwt."""
    found = claim_at(claims, name)
    if not isinstance(found, str) or not found or found.strip() != found:
        raise UnacceptableJwt(f"the claim {name} of the JWT names no subject: {quoted(found)}")
    if len(found) > _LONGEST_SUBJECT or not found.isprintable():
        raise UnacceptableJwt(
            f"the claim {name} of the JWT is longer than {_LONGEST_SUBJECT} characters, or does not print"
        )
    return found


def refuse_other_claims(claims: Mapping[str, Any], wanted: Mapping[str, str]) -> None:
    """Raise UnacceptableJwt unless each wanted claim is there with a value that fits."""
    for name, pattern in wanted.items():
        if not fits(claim_at(claims, name), pattern):
            raise UnacceptableJwt(f"the claim {name} of the JWT is not {quoted(pattern)}", UNTRUSTED)


def claim_at(claims: Mapping[str, Any], name: str) -> Any:
    """Return the value of a claim, by its name or a JSON Pointer (RFC 6901) to one inside; None if absent."""
    if not name.startswith("/"):
        return claims.get(name)
    found: Any = claims
    for token in name[1:].split("/"):
        if not isinstance(found, Mapping):
            return None
        found = found.get(token.replace("~1", "/").replace("~0", "~"))
    return found


def fits(value: object, pattern: str) -> bool:
    """Return True if a claim's value is the wanted one, or a list that has it.

    `true`, `false` and whole numbers are compared as JSON spells them. A star spans no separator, so that a
    name that an attacker may choose cannot fill the place of two.
    """
    match value:
        case list():
            return any(not isinstance(one, list) and fits(one, pattern) for one in value)
        case str():
            return _fills(value, pattern.split("*")) if "*" in pattern else value == pattern
        case bool():
            return pattern == str(value).lower()
        case int():
            return pattern == str(value)
    return False


def foreign_confirmation(
    claims: Mapping[str, Any], presented: Thumbprint | None, proof_key: KeyThumbprint | None
) -> Thumbprint | None:
    """Return the certificate that the JWT is bound to (RFC 8705 3.1), or None.

    Raises UnacceptableJwt unless the connection has that very certificate, or the request a DPoP proof by
    that very key (RFC 9449 6.1), and for every other confirmation: none is ever dropped.
    """
    if "cnf" not in claims:
        return None
    confirmation, shown = claims["cnf"], {"x5t#S256": presented, "jkt": proof_key}
    if not isinstance(confirmation, dict) or not confirmation or confirmation.keys() - shown.keys():
        raise UnacceptableJwt("the JWT is bound to a key, and its proof is not understood here")
    if any(value is None or value != shown[name] for name, value in confirmation.items()):
        raise UnacceptableJwt("the JWT is bound to another key or certificate than those of the request")
    return presented if "x5t#S256" in confirmation else None


def refuse_actors(claims: Mapping[str, Any]) -> None:
    """Raise UnacceptableJwt for a JWT that tells who acts, or may act: in the names of another issuer.

    A client of this service would act in place of the one that is named (RFC 8693 4.1 and 4.4).
    """
    for name in ("act", "may_act"):
        if name in claims:
            raise UnacceptableJwt(f"the JWT has the claim {name}, whose names are not known here")


def _fills(value: str, texts: list[str]) -> bool:
    """Return True if the value is these texts with plain characters between two, one at least.

    The leftmost place of each text is the best one, so the time is linear: an attacker wrote the value.
    """
    first, *middle, last = texts
    end = len(value) - len(last)
    if not value.startswith(first) or not value.endswith(last):
        return False
    at = len(first)
    for text in middle:
        found = value.find(text, at + 1, end)
        if found < 0 or not _PLAIN.match(value, at, found):
            return False
        at = found + len(text)
    return _PLAIN.match(value, at, end) is not None


def _seconds(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a NumericDate (RFC 7519 2), which may have a fraction; None if it is absent."""
    found = claims.get(name)
    if name not in claims:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < _LARGEST:
        raise UnacceptableJwt(f"the claim {name} of the JWT is no number of seconds since 1970")
    return found
