"""The pages of the revocation feed, as a follower reads them."""

from typing import Annotated

from msgspec import Meta, Struct

from macaroon_cbat.macaroon.revocation import RevocationRow


class Page(Struct, frozen=True):
    """The revocations after a cursor, with another cursor to resume from."""

    cursor: str
    is_last: bool
    decisions: list[RevocationRow]
    complete_after: Annotated[int, Meta(ge=0)] = 0
    """The page is complete as of so many seconds after the request arrived at the service."""
    ask_within: Annotated[int, Meta(ge=0)] = 0
    """So many others read it that the service wants each to ask again at a moment within these seconds."""


def goes_back(before: str, cursor: str) -> bool:
    """Return True unless this cursor is of the same view, and not before the other one."""
    (view, _, since), (same_view, _, position) = before.rpartition("."), cursor.rpartition(".")
    are_numbers = since.isdecimal() and position.isdecimal()
    return view != same_view or (are_numbers and int(position) < int(since))
