"""Tokens with third-party caveats, their discharges, and the headers that they come in."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any

from pymacaroons import Macaroon
from pymacaroons.serializers.json_serializer import JsonSerializer

from macaroon_cbat.macaroon.caveats import Caveat
from macaroon_cbat.macaroon.minting import add_third_party_caveat, bind_discharge, mint_discharge

THERE = "https://third.example"
SECRET = b"k" * 32
NAME = b"x"

Headers = tuple[tuple[str, str], ...]


def asking(token: str, name: bytes = NAME, *, location: str = THERE, secret: bytes = SECRET) -> str:
    """Return a child that asks for a discharge of this name."""
    return add_third_party_caveat(token, location, secret, name)


def discharge(
    root: str, *caveats: Caveat, name: bytes = NAME, secret: bytes = SECRET, asked: Iterable[bytes] = ()
) -> str:
    """Return a discharge of this name, bound to the root; it may itself ask for others."""
    text = mint_discharge(THERE, secret, name, caveats)
    for other in asked:
        text = asking(text, other)
    return bind_discharge(root, text)


def saying(root: str, *conditions: str, name: bytes = NAME, secret: bytes = SECRET) -> str:
    """Return a bound discharge with these texts as caveats, as a discharger of the bakery writes it."""
    macaroon = Macaroon(location=THERE, identifier=name, key=secret, version=2)
    for condition in conditions:
        macaroon.add_first_party_caveat(condition)
    text: str = Macaroon.deserialize(root).prepare_for_request(macaroon).serialize()
    return text


def in_json(text: str) -> Any:
    """Return the macaroon as the bakery's clients write it."""
    return json.loads(Macaroon.deserialize(text).serialize(JsonSerializer()))


def array(*macaroons: Any) -> str:
    """Return the value of a `Macaroons` header with these elements."""
    return b64encode(json.dumps(macaroons).encode()).decode()


def macaroons(token: str, *discharges: str) -> Headers:
    """Return the header that a client of the bakery sends."""
    return (("Macaroons", array(*map(in_json, (token, *discharges)))),)


def bearer(token: str) -> Headers:
    return (("Authorization", f"Bearer {token}"),)


def each_by_itself(token: str, *discharges: str) -> Headers:
    return (*bearer(token), *(("X-Discharge-Macaroon", one) for one in discharges))


def in_one_header(token: str, *discharges: str) -> Headers:
    return (*bearer(token), ("X-Discharge-Macaroon", ", ".join(discharges)))


def token_twice(token: str, *discharges: str) -> Headers:
    return (*bearer(token), *macaroons(token, *discharges))


def in_either(token: str, first: str, *others: str) -> Headers:
    return (*bearer(token), *macaroons(token, *others), ("X-Discharge-Macaroon", first))


def as_strings(token: str, *discharges: str) -> Headers:
    return (("Macaroons", array(token, *discharges)),)


FORMS: dict[str, Callable[..., Headers]] = {
    "a header each": each_by_itself,
    "one header with commas": in_one_header,
    "the bakery's header alone": macaroons,
    "the bakery's header and the token": token_twice,
    "both headers": in_either,
    "the bakery's header with binary macaroons": as_strings,
}
"""Every form in which a token and its discharges may come."""
