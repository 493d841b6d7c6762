"""Cursors of the revocations, from which a reader resumes; each fits one database and one view of it."""

import hashlib
import re
from collections.abc import Iterable
from typing import Annotated

import msgspec

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.service.http.operations import Parameter
from macaroon_cbat.stores import Stores
from macaroon_cbat.text.base64url import encode

BEGINNING = "0"

CURSOR_PATTERN = rf"^(?:{BEGINNING}|[A-Za-z0-9_-]{{16}}\.[0-9]{{1,18}})\Z"
"""The pattern of every cursor, the one of the beginning included."""

CursorText = Annotated[str, msgspec.Meta(pattern=CURSOR_PATTERN)]
AFTER = Parameter(
    "the cursor of an earlier answer; 0 starts from the beginning",
    {"type": "string", "pattern": CURSOR_PATTERN, "default": BEGINNING},
)

_CURSOR = re.compile(r"([A-Za-z0-9_-]{16})\.([0-9]{1,18})\Z")
_ADVICE = f"start again with after={BEGINNING}"
OTHER_VIEW = f"this cursor is for another database or other audiences: {_ADVICE}"


def view_name(instance: str, seen: Iterable[str]) -> str:
    """Return the name of a view of this database, such as the revocations of these audiences."""
    digest = hashlib.sha256(msgspec.json.encode([instance, sorted(seen)])).digest()
    return encode(digest[:12])


def write_cursor(view: str, sequence: int) -> str:
    """Return the cursor of a sequence in this view."""
    return f"{view}.{sequence}"


def read_cursor(text: str, view: str, stores: Stores) -> int:
    """Return the sequence to resume from, or raise InvalidRequest for what is not a cursor of this view."""
    if text == BEGINNING:
        return 0
    parts = _CURSOR.match(text)
    if parts is None:
        raise InvalidRequest(f"after is not a cursor of an earlier answer: {_ADVICE}")
    if parts[1] != view:
        raise InvalidRequest(OTHER_VIEW)
    if int(parts[2]) > stores.revocations.newest():
        raise InvalidRequest(f"this cursor is beyond the newest revocation: {_ADVICE}")
    return int(parts[2])
