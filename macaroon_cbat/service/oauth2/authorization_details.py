"""Rich authorization requests (RFC 9396): the details that a client asks for, which become a caveat.

Details restrict here, as every caveat does: one of them has to allow a request, besides the scope. They reach
the token as one of the carried caveats, and so every later token of its family, which can only have fewer.
"""

import json
from collections.abc import Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from macaroon_cbat.errors import InvalidAuthorizationDetails
from macaroon_cbat.macaroon.claims import several
from macaroon_cbat.macaroon.custom import AUTHORIZATION_DETAILS, CustomCaveat, any_text, read_any_caveats
from macaroon_cbat.service.detail_types import Types
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.form_request import FormRequest
from macaroon_cbat.stores import Client
from macaroon_cbat.text.json_text import UnusableJson, read_members
from macaroon_cbat.text.printable import quoted

MOST_DETAILS, LONGEST_DETAILS, DEEPEST_DETAILS = 16, 3000, 16
"""Details in one request, characters of all of them, and levels: a token has 8,000 characters in all."""


class Details(Struct, frozen=True):
    """The authorization details that a client may have: each an object, with its type."""

    elements: tuple[dict[str, Any], ...]

    @property
    def caveat(self) -> bytes:
        """The text of the caveat that the details become, for `Authorization.carried`."""
        return any_text(CustomCaveat(AUTHORIZATION_DETAILS, list(self.elements)))

    def consent_lines(self, types: Types) -> tuple[str, ...]:
        """Return a line for each detail that tells a person what it allows; not yet made printable."""
        return tuple(
            f"{types[one['type']].description}: "
            + json.dumps({name: value for name, value in one.items() if name != "type"}, ensure_ascii=False)
            for one in self.elements
            if one["type"] in types
        )


def read_authorization_details(text: str | None, client: Client, types: Types) -> Details | None:
    """Return the details that the parameter `authorization_details` spells; None for an absent one.

    Raises InvalidAuthorizationDetails for text that is no list of details, for a type that the operator does
    not describe or that the client is not registered for, and for a detail that is not of its type (RFC 9396
    5).
    """
    if text is None:
        return None
    if len(text) > LONGEST_DETAILS:
        raise _invalid(f"has {len(text)} characters: send {LONGEST_DETAILS} at most")
    try:
        members = read_members(b'{"authorization_details":%b}' % text.encode(errors="surrogateescape"))
    except UnusableJson as error:
        raise _invalid(f"is not usable: {error}") from error
    elements = members[AUTHORIZATION_DETAILS]
    if members.keys() != {AUTHORIZATION_DETAILS} or not isinstance(elements, list) or not elements:
        raise _invalid("is no list of objects: send a JSON array with one detail at least")
    if _is_deeper(elements, DEEPEST_DETAILS):
        raise _invalid(f"is nested more than {DEEPEST_DETAILS} deep: send flatter objects")
    if len(elements) > MOST_DETAILS:
        raise _invalid(f"has {len(elements)} details: send {MOST_DETAILS} at most")
    for number, element in enumerate(elements, 1):
        _check(number, element, client, types)
    return Details(tuple(elements))


def detailed(request: FormRequest, authorization: Authorization) -> Authorization:
    """Return the authorization with the details that the token request asks for, as one more carried caveat.

    Raises InvalidAuthorizationDetails as `read_authorization_details`, for a type that no audience of the
    token judges, and for a detail that was not granted before, unless this request is the grant.
    """
    text = request.form.get(AUTHORIZATION_DETAILS)
    if text is None:
        return authorization
    types = request.detail_types.current()
    wanted = read_authorization_details(text, authorization.client, types)
    if wanted is None or wanted.caveat in authorization.carried:
        return authorization
    _refuse_misdirected(wanted, authorization.audience, types)
    before = carried_details(authorization.carried)
    if before is None and not authorization.is_a_beginning:  # a person has approved none of them
        raise _invalid("names a detail, and the grant has none: ask for it where the grant begins")
    if before is not None and any(one not in before for one in wanted.elements):
        raise _invalid("names a detail that was not granted: ask for those of the grant")
    return replace(authorization, carried=(*authorization.carried, wanted.caveat))


def requested_details(
    text: str | None, client: Client, audience: str | tuple[str, ...] | None, types: Types
) -> Details | None:
    """Return the details of a request that a person decides, each for an audience of the request; or None.

    Raises InvalidAuthorizationDetails as `read_authorization_details`, and for a type that none judges.
    """
    details = read_authorization_details(text, client, types)
    if details is not None:
        _refuse_misdirected(details, audience, types)
    return details


def _refuse_misdirected(details: Details, audience: str | tuple[str, ...] | None, types: Types) -> None:
    """Raise InvalidAuthorizationDetails for a type that no audience of the token judges."""
    for one in details.elements:
        judging = types[one["type"]].audiences
        if judging and not set(judging) & set(several(audience or ())):
            raise _invalid(
                f"has type {quoted(one['type'])}, which {' '.join(judging)} judges: name it as resource"
            )


def carried_details(carried: Iterable[object]) -> list[dict[str, Any]] | None:
    """Return the details that all such caveats among these allow, or None without any such caveat."""
    found: list[dict[str, Any]] | None = None
    for text in carried:
        for value in _values_in(text):
            found = value if found is None else [one for one in found if one in value]
    return found


def _values_in(text: object) -> list[list[dict[str, Any]]]:
    if not isinstance(text, bytes) or AUTHORIZATION_DETAILS.encode() not in text:
        return []
    try:
        caveats = read_any_caveats(text)
    except ValueError:
        return []
    return [
        one.value for one in caveats if isinstance(one, CustomCaveat) and one.name == AUTHORIZATION_DETAILS
    ]


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(one, levels - 1) for one in inner)


def _check(number: int, element: object, client: Client, types: Types) -> None:
    kind = element.get("type") if isinstance(element, dict) else None
    if not isinstance(element, dict) or not isinstance(kind, str):
        raise _invalid(f"has no type in detail {number}: send objects with a type")
    if kind not in types:
        raise _invalid(f"has the unknown type {quoted(kind)}: the metadata of the service name the types")
    if kind not in client.metadata.authorization_details_types:
        raise _invalid(f"has type {quoted(kind)}, for which this client is not registered: register it")
    if mistake := types[kind].mistake(element):
        raise _invalid(f"is wrong in detail {number} of type {quoted(kind)}: {mistake}")


def _invalid(reason: str) -> InvalidAuthorizationDetails:
    return InvalidAuthorizationDetails(f"authorization_details {reason}")
