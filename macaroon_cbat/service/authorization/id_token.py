"""The judgement of an ID token from the upstream provider (OpenID Connect Core 3.1.3.7)."""

import re
from typing import Any, NamedTuple

from macaroon_cbat.errors.people import LoginRefused
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.text.printable import quoted

SKEW = 60
"""Seconds by which the provider's clock may differ."""

_OLDEST = 600
"""Seconds since `iat` at most: the token was fetched just now."""

_SUBJECT = re.compile(r"[!-~]{1,255}\Z", re.ASCII)
"""A word: a caveat that names the person who must approve ends the name at the first space."""
_LONGEST_NAME = 100


class Expected(NamedTuple):
    """The values that an ID token must have for the login at hand."""

    issuer: str
    client_id: str
    nonce: str
    max_age: int | None
    """The greatest age of the login in seconds; None for any."""
    not_before: EpochSeconds | None = None
    """The second before which no login counts; None if an earlier one does."""


class LoggedIn(NamedTuple):
    """The person that an ID token names."""

    subject: str
    name: str
    authenticated_at: EpochSeconds | None
    """The second of the login; None if the provider has not told it, for it may be long ago."""


def judge_claims(claims: dict[str, Any], expected: Expected, now: EpochSeconds) -> None:
    """Raise LoginRefused unless the claims of a verified ID token are about this login."""
    audience = claims.get("aud")
    if claims.get("iss") != expected.issuer:
        raise LoginRefused(f"the ID token is of the issuer {quoted(claims.get('iss'))}")
    if audience not in (expected.client_id, [expected.client_id]):
        raise LoginRefused(f"the ID token is for the audience {quoted(audience)}")
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise LoginRefused(f"the ID token was issued to {quoted(claims.get('azp'))}")
    if claims.get("nonce") != expected.nonce:
        raise LoginRefused("the ID token has another nonce: it is of another login")
    issued_at, expires_at = _seconds(claims, "iat"), _seconds(claims, "exp")
    if now >= expires_at + SKEW:
        raise LoginRefused("the ID token has expired")
    if not now - _OLDEST - SKEW < issued_at < now + SKEW:
        raise LoginRefused("the ID token was not issued just now: compare the clocks of provider and service")
    if expected.max_age is not None and now >= _seconds(claims, "auth_time") + expected.max_age + SKEW:
        raise LoginRefused("the login at the provider is older than the client demands")
    if expected.not_before is not None and _seconds(claims, "auth_time") + SKEW < expected.not_before:
        raise LoginRefused("the person has not logged in anew at the provider, as the client demands")


def person_of(
    claims: dict[str, Any], subject_claim: str, allowed: tuple[str, str] | None, now: EpochSeconds
) -> LoggedIn:
    """Return the person of judged claims, or raise LoginRefused for one who may not log in here.

    The subject is `user:VALUE`. No client has a colon in its name, so no person gets the name of a client.
    """
    if allowed is not None and not _has(claims, *allowed):
        raise LoginRefused(
            f"the claim {allowed[0]} of the ID token lacks the value that the operator demands"
        )
    value = claims.get(subject_claim)
    if not isinstance(value, str) or not _SUBJECT.match(value):
        raise LoginRefused(
            f"the claim {subject_claim} of the ID token is no word of ASCII, 255 characters at most: "
            "let another claim name the subject"
        )
    if subject_claim == "email" and claims.get("email_verified") is not True:
        raise LoginRefused("the e-mail address of the ID token is not verified")
    known = (claims.get(name) for name in ("name", "preferred_username", "email"))
    name = next((text for text in known if isinstance(text, str) and text), value)
    at = None if "auth_time" not in claims else EpochSeconds(int(min(_seconds(claims, "auth_time"), now)))
    return LoggedIn(f"user:{value}", name[:_LONGEST_NAME], at)


def _has(claims: dict[str, Any], claim: str, value: str) -> bool:
    """Return True if the claim is this text, or a list with it; a number or a truth is spelled as JSON."""
    found = claims.get(claim)
    if isinstance(found, bool):
        return value == ("true" if found else "false")
    return found == value or (isinstance(found, list) and value in found)


def _seconds(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise LoginRefused(f"the ID token has no usable {name}")
    return value
