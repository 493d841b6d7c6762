"""The pages of the revocation feed, as followers read them."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from macaroon_cbat.macaroon.revocation import Revocation, RevocationRow, row_of
from macaroon_cbat.service.cursors import CursorText, write_cursor

LINES = "application/x-ndjson"
"""The type of a stream of pages, each on a line."""


class RevocationFeedPage(Struct):
    """The revocations after a cursor: kind, value, revoked_at, expires_at. Resume from `cursor`.

    The last page is complete as of `complete_after` seconds after the request arrived. A reader asks again
    within `ask_within` seconds, at a moment of its own: as many others read the same page.
    """

    cursor: CursorText
    is_last: bool
    decisions: list[RevocationRow]
    complete_after: int
    ask_within: int


class _EncodedPage(Struct):
    cursor: str
    is_last: bool
    decisions: msgspec.Raw
    complete_after: int
    ask_within: int


_encode = msgspec.json.Encoder().encode
_NONE = msgspec.Raw(b"[]")


def page_text(
    view: str,
    position: int,
    decisions: msgspec.Raw = _NONE,
    *,
    is_last: bool = True,
    complete_after: float = 0,
    ask_within: int = 0,
) -> bytes:
    """Return the JSON of the page that ends at this position of a view.

    The seconds are rounded down: a follower must not take the page for more recent than it is.
    """
    cursor = write_cursor(view, position)
    return _encode(_EncodedPage(cursor, is_last, decisions, max(0, int(complete_after)), ask_within))


def encoded(decisions: Iterable[Revocation]) -> msgspec.Raw:
    """Return the decisions as pages have them: once for all pages with the same ones."""
    return msgspec.Raw(_encode([row_of(each) for each in decisions]))
