"""Lists of live refresh families, as clients, subjects and operators see them."""

import re
from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from macaroon_cbat.errors import InvalidRequest
from macaroon_cbat.macaroon.identifier import TOKEN_ID_PATTERN
from macaroon_cbat.service.http.operations import Parameter
from macaroon_cbat.stores import ClientStore
from macaroon_cbat.stores.clients import CLIENT_NAME
from macaroon_cbat.stores.family import Family, Place

BEGINNING = "0"
FAMILY_NAME = TOKEN_ID_PATTERN
FAMILY_PAGE = 200
"""Families in one answer, at most."""
LONGEST_LABEL = 100
_PLACE = re.compile(r"([0-9]{1,12})\.([A-Za-z0-9_-]{22})\Z")
_CURSOR = r"^(?:0|[0-9]{1,12}\.[A-Za-z0-9_-]{22})\Z"
AFTER_FAMILY = Parameter(
    "the cursor of an earlier answer; 0 starts from the beginning",
    {"type": "string", "pattern": _CURSOR, "default": BEGINNING},
)


class FamilyRecord(Struct, frozen=True, kw_only=True):
    """A live refresh family. Times are seconds since 1970; `used_at` is that of the last refresh.

    `label` is the name that client or subject gave it. `certificate` is the thumbprint to which a public
    client's refresh tokens are bound.
    """

    family: str
    client_id: str
    client_name: str | None
    subject: str
    scope: str
    audience: str | tuple[str, ...] | None
    certificate: str | None
    label: str | None
    created_at: int
    used_at: int
    expires_at: int


class FamilyList(Struct, frozen=True):
    """Live refresh families, oldest first; further ones come after `cursor` unless it is null."""

    grants: list[FamilyRecord]
    cursor: str | None = None


class FamilyLabel(Struct, frozen=True, forbid_unknown_fields=True):
    """The name to show for a family in lists; null takes it away."""

    label: Annotated[str, Meta(min_length=1, max_length=LONGEST_LABEL)] | None


def family_list(found: Iterable[Family], last: Place | None, clients: ClientStore) -> FamilyList:
    """Return a page of families; `last` is the place after which the next page begins."""
    names: dict[str, str | None] = {}
    records = []
    for one in found:
        if one.client_id not in names:
            client = clients.find(one.client_id)
            names[one.client_id] = None if client is None else client.metadata.client_name
        records.append(family_record(one, names[one.client_id]))
    return FamilyList(records, None if last is None else f"{last[0]}.{last[1]}")


def family_record(family: Family, client_name: str | None) -> FamilyRecord:
    """Return a family as lists show it."""
    granted = family.granted
    return FamilyRecord(
        family=family.family,
        client_id=family.client_id,
        client_name=client_name,
        subject=family.subject,
        scope=granted.scope,
        audience=granted.audience,
        certificate=granted.certificate,
        label=granted.label,
        created_at=family.created_at,
        used_at=family.rotated_at,
        expires_at=family.expires_at,
    )


def place_after(cursor: str) -> Place:
    """Return the place that a cursor names, or raise InvalidRequest."""
    if cursor == BEGINNING:
        return 0, ""
    parts = _PLACE.match(cursor)
    if parts is None:
        raise InvalidRequest(
            f"after is not a cursor of an earlier answer: start again with after={BEGINNING}"
        )
    return int(parts[1]), parts[2]


def refuse_unnamed(client_id: str | None, subject: str | None) -> None:
    """Raise InvalidRequest for the name of a client or subject that none can have."""
    if client_id is not None and not re.match(CLIENT_NAME, client_id):
        raise InvalidRequest("client_id is no client's name: see the list of clients")
    if subject == "":
        raise InvalidRequest("subject is empty: name one, or leave it out")


def checked_label(label: str | None) -> str | None:
    """Return the label, or raise InvalidRequest for one with control characters, which a list would print."""
    if label is not None and not label.isprintable():
        raise InvalidRequest("label has control characters: leave them out")
    return label
