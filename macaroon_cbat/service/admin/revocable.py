"""Values that can be revoked, and the time for which a revocation is kept."""

import re

from macaroon_cbat.certificate.thumbprint import parse_thumbprint
from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.claims import LONGEST_CLOCK_SKEW, EpochSeconds
from macaroon_cbat.macaroon.identifier import TOKEN_ID_PATTERN
from macaroon_cbat.macaroon.revocation import KINDS, RevocationKind
from macaroon_cbat.service.settings import LONGEST_LIFETIME

NEVER = 253_402_300_799
"""The last second of the year 9999."""

LASTING = LONGEST_LIFETIME + 2 * LONGEST_CLOCK_SKEW
"""Seconds after which no token issued before is left: a guard may be so lenient, and its clock so slow."""

_TOKEN_ID = re.compile(TOKEN_ID_PATTERN)


def expiry_of(kind: RevocationKind, now: EpochSeconds) -> int:
    """Return when the last token has expired that a revocation of this kind, made now, can concern.

    Tokens can always be bound to a certificate anew, so a certificate stays revoked.
    """
    return NEVER if KINDS[kind].outlives_tokens else now + LASTING


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
