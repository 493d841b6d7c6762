"""The pages of the revocation feed, as followers read them."""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from macaroon_cbat.macaroon.revocation import Revocation, RevocationRow, row_of
from macaroon_cbat.service.cursors import CursorText, write_cursor


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


def page_text(
    view: str,
    position: int,
    decisions: Iterable[Revocation] = (),
    *,
    is_last: bool = True,
    complete_after: float = 0,
    ask_within: int = 0,
) -> bytes:
    """Return the JSON of the page that ends at this position of a view.

    The seconds are rounded down: a follower must not take the page for more recent than it is.
    """
    cursor, rows = write_cursor(view, position), [row_of(each) for each in decisions]
    return _encode(RevocationFeedPage(cursor, is_last, rows, max(0, int(complete_after)), ask_within))


_encode = msgspec.json.Encoder().encode
