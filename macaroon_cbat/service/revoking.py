"""Take a token back (RFC 7009 2.1): after its MAC is verified, and by its own client only."""

import re

from macaroon_cbat.claims import LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.errors import InvalidGrant, InvalidRequest, InvalidToken
from macaroon_cbat.revocation import KEPT_LONGER_SECONDS, RevocationKind
from macaroon_cbat.service.answers import log
from macaroon_cbat.service.auditing import record_revoked
from macaroon_cbat.service.issuing import Issuer
from macaroon_cbat.service.settings import LONGEST_LIFETIME
from macaroon_cbat.stores import Client, RevocationStore
from macaroon_cbat.thumbprint import parse_thumbprint

NEVER = 253_402_300_799
"""The last second of the year 9999."""

_TOKEN_ID = re.compile(r"[A-Za-z0-9_-]{22}\Z")


def expiry_of(kind: RevocationKind, now: EpochSeconds) -> int:
    """Return when the last token has expired that a revocation of this kind, made now, can concern.

    Tokens can always be bound to a certificate anew, so a certificate stays revoked.
    """
    return NEVER if kind in ("certificate", "family") else now + LONGEST_LIFETIME + LONGEST_CLOCK_SKEW


def revocable(kind: RevocationKind, value: str) -> str:
    """Return the value when it can name something of this kind, else raise InvalidRequest.

    A revocation with a slip of the pen would be acknowledged and take nothing back. A base64url hash
    with all its letters in one case (4 of 10,000,000,000) was written so by somebody else.
    """
    if kind == "certificate":
        try:
            parse_thumbprint(value)
        except ValueError as error:
            raise InvalidRequest(f"value: {error}") from error
        if value in (value.lower(), value.upper()):
            raise InvalidRequest("value: a thumbprint is case-sensitive, and this one has lost its case")
    elif kind == "token" and not _TOKEN_ID.match(value):
        raise InvalidRequest("value: a token is named by its id, jti: 22 characters, never by its text")
    elif not value.isprintable():
        raise InvalidRequest("value: a name has no control characters")
    return value


def revoke(
    text: str, client: Client, issuer: Issuer, revocations: RevocationStore, now: EpochSeconds
) -> None:
    """Revoke the token and every child of it, or raise InvalidGrant for another client's token.

    A token that is no good anyway is revoked already (RFC 7009 2.2). An identifier that anybody can
    write proves nothing, so nothing happens before the signature is verified.
    """
    try:
        grant, _ = issuer.authentic(text)
    except InvalidToken as error:
        log.info("nothing to revoke for %s: %s", client.client_id, error)
        return
    if grant.client_id != client.client_id:
        raise InvalidGrant("this token was issued to another client")
    expires_at = grant.exp + LONGEST_CLOCK_SKEW  # somewhere that much is allowed
    if expires_at + KEPT_LONGER_SECONDS > now:
        revocations.revoke("token", grant.jti, now=now, expires_at=expires_at, audience=grant.audience)
        record_revoked(grant)
