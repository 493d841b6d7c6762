"""The values that can be revoked, and the time for which a revocation is kept."""

import re

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.claims import NEVER, EpochSeconds
from macaroon_cbat.macaroon.identifier import TOKEN_ID_PATTERN
from macaroon_cbat.macaroon.revocation import EVERY_TOKEN, KINDS, RevocationKind
from macaroon_cbat.service.settings import LASTING

_TOKEN_ID = re.compile(TOKEN_ID_PATTERN)
_SINGLE_CASE = re.compile(r"(?:[A-Z0-9_-]{43}|[a-z0-9_-]{43})\Z")


def expiry_of(kind: RevocationKind, now: EpochSeconds) -> int:
    """Return when the last token has expired that a revocation of this kind, made now, can concern.

    A holder can bind new tokens to a certificate at any time, so a certificate stays revoked.
    """
    return NEVER if KINDS[kind].outlives_tokens else now + LASTING


def revocable(kind: RevocationKind, value: str) -> str:
    """Return the value if it can name something of this kind, else raise InvalidRequest.

    A mistyped value would be acknowledged and revoke nothing. A thumbprint in a single letter case has lost
    its case on the way (the chance of a real one is 4 in 10^10). The store checks the form of a thumbprint.
    """
    if kind == "certificate":
        if _SINGLE_CASE.match(value):
            raise InvalidRequest(
                "value: this thumbprint has lost its letter case: copy it from macaroon-cbat thumbprint"
            )
    elif kind == "all":
        if value != EVERY_TOKEN:
            raise InvalidRequest(f"value: every token is revoked by the value {EVERY_TOKEN}: send that")
    elif kind == "token" and not _TOKEN_ID.match(value):
        raise InvalidRequest(
            "value: this is not the id of a token: send its jti, 22 characters, and never its text"
        )
    elif kind == "family" and not _TOKEN_ID.match(value):
        raise InvalidRequest(
            "value: this is no name of a family: send the 22 characters that grant list shows"
        )
    elif not value.isprintable():
        raise InvalidRequest("value: this name has control characters: leave them out")
    return value
