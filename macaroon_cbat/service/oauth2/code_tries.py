"""Tries of user codes (RFC 8628 5.1): a person who enters wrong ones waits, in every process and session."""

from macaroon_cbat.errors import TooManyRequests
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.oauth2.device_codes import LIFETIME
from macaroon_cbat.stores import ExpiringStore

_MOST_WRONG = 10


def count_try(records: ExpiringStore, subject: str, now: EpochSeconds) -> None:
    """Count a try of this person before its code is looked up: of many at once no more pass.

    Raises TooManyRequests after too many wrong ones; they are over after the lifetime of a code.
    """
    if not records.add("wrong_codes", subject, b"1", expires_at=now + LIFETIME, now=now):
        records.change("wrong_codes", subject, _one_more, now)


def forgive_try(records: ExpiringStore, subject: str, now: EpochSeconds) -> None:
    """Count a try of this person no more, for its code was right."""
    records.change("wrong_codes", subject, lambda count: b"%d" % max(0, int(count) - 1), now)


def _one_more(count: bytes) -> bytes:
    if int(count) >= _MOST_WRONG:
        raise TooManyRequests(
            f"{_MOST_WRONG} wrong codes were tried: wait {LIFETIME // 60} minutes", retry_after=LIFETIME
        )
    return b"%d" % (int(count) + 1)
