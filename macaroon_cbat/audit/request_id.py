"""The request id: one name of a request in the log, the audit log and the answer."""

import random
import re
from contextvars import ContextVar, Token

REQUEST_ID = "macaroon_cbat.request_id"
"""Environment key of the id. A header cannot write it."""

_HERE: ContextVar[str | None] = ContextVar(REQUEST_ID, default=None)
_WELL_FORMED = re.compile(r"[A-Za-z0-9._=+/-]{1,64}")
"""The ids that proxies write: hexadecimal digits, UUIDs, base64. Nothing of it is syntax in a log."""


def is_well_formed(text: str) -> bool:
    """Return True for an id that may stand in logs and headers as it is."""
    return _WELL_FORMED.fullmatch(text) is not None


def new_request_id() -> str:
    """Return 16 random hexadecimal digits, which name a request and protect nothing."""
    return f"{random.getrandbits(64):016x}"  # seeded anew in each forked process; no secret


def begin_request(request_id: str) -> Token[str | None]:
    """Let the lines of this thread or task name the request, until `end_request`."""
    return _HERE.set(request_id)


def end_request(begun: Token[str | None]) -> None:
    """Let further lines name no request."""
    _HERE.reset(begun)


def request_at_work() -> str | None:
    """Return the id of the request that this thread or task answers, or None."""
    return _HERE.get()
