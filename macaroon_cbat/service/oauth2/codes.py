"""Authorization codes (RFC 6749 4.1.2): random, stored as hashes, used once, bound to their request.

A code draws the family of its tokens before any token exists. So the second use of a code revokes all tokens
of the first, even if both happen at the same instant and the first one has not answered yet.
"""

import os
from typing import Final

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.errors.people import CodeUsedTwice, UnknownCode
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.oauth2.entitlements import Audience
from macaroon_cbat.stores import ExpiringStore, NewRecord, RecordChange
from macaroon_cbat.text.base64url import encode

CODE_SECONDS = 60
"""Seconds that a code is valid; a client exchanges it at once. RFC 6749 4.1.2 allows ten minutes."""

REMEMBERED_SECONDS = 86_400
"""Seconds for which a used code is known, as long as an access token lives at most."""

_KIND: Final = "code"
_BYTES = 32


class Approval(Struct, frozen=True, kw_only=True):
    """The request that a person approved, as the token request of its code must match it."""

    client_id: str
    redirect_uri: str | None
    """The redirect URI as the request named it, and the token request repeats it; None if it named none."""
    code_challenge: str
    scope: str
    audience: Audience
    subject: str
    approved_at: EpochSeconds
    family: str
    """The family of every token that the code leads to."""
    carried: tuple[bytes, ...] = ()
    """Caveats that the token carries: that of the authorization details (RFC 9396)."""
    certificate: str | None = None
    """The thumbprint of the certificate over which a public client pushed the request."""
    dpop_jkt: str | None = None
    is_renewed: bool = True
    """True if the person allowed the client to renew its token; the client may be changed meanwhile."""
    is_used: bool = False


class Codes:
    """The authorization codes of all processes."""

    def __init__(self, expiring: ExpiringStore) -> None:
        """Keep them in this store."""
        self._expiring = expiring

    def issue(self, approval: Approval) -> str:
        """Return a new code of this approval. Raises Unavailable."""
        code, record = new_code(approval)
        now = approval.approved_at
        self._expiring.add(_KIND, code, record.content, expires_at=record.expires_at, now=now)
        return code

    def find(self, code: str, now: EpochSeconds) -> Approval:
        """Return the approval of a code that was not used yet.

        Raises UnknownCode for a code that is unknown or over, and CodeUsedTwice for one that was used.
        """
        content = self._expiring.find(_KIND, code, now)
        if content is None:
            raise UnknownCode("the code is unknown, or was issued long ago")
        approval = _unused(content)
        if now >= approval.approved_at + CODE_SECONDS:
            raise UnknownCode(f"the code of {approval.client_id} is older than {CODE_SECONDS} s")
        return approval

    def use(self, code: str, now: EpochSeconds) -> None:
        """Use a code that was found, or raise CodeUsedTwice."""
        self._expiring.change(_KIND, code, _used, now)


def new_code(approval: Approval) -> tuple[str, NewRecord]:
    """Return a new code of this approval, and the record of it that is to be added."""
    code = encode(os.urandom(_BYTES))
    content = msgspec.json.encode(approval)
    return code, NewRecord(_KIND, code, content, approval.approved_at + REMEMBERED_SECONDS)


def use_of(code: str) -> RecordChange:
    """Return the change that uses a code, or raises CodeUsedTwice and so ends its transaction."""
    return RecordChange(_KIND, code, _used)


def _used(content: bytes) -> bytes:
    """Return the record of a used code, or raise CodeUsedTwice: the transaction then changes nothing."""
    return msgspec.json.encode(replace(_unused(content), is_used=True))


def _unused(content: bytes) -> Approval:
    approval = msgspec.json.decode(content, type=Approval)
    if approval.is_used:
        raise CodeUsedTwice(approval.client_id, approval.subject, approval.family)
    return approval
