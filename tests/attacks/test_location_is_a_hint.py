"""The location lies outside the MAC: its holder can write another one, and that changes nothing (law 6)."""

import ast
from pathlib import Path

import msgspec
import pytest

import macaroon_cbat
from macaroon_cbat.client.children import ChildTerms, request_child
from macaroon_cbat.errors import Revoked
from macaroon_cbat.macaroon.revocation import Revocations
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.command_line import out
from tests.support.tokens import (
    BOUND,
    CERTIFICATE,
    GRANT,
    KEYS,
    NOW,
    access,
    judged,
    spell,
    token,
    token_revocation,
)

PACKAGE = Path(macaroon_cbat.__file__).parent
LOCATIONS = {"none": None, "another service": b"https://evil.example", "a path": b"../../etc", "empty": b""}
READERS = {
    "macaroon/wire.py",
    "macaroon/inspection.py",
    "cli/inspection.py",
    "macaroon/discharges.py",
    "macaroon/json_form.py",
    "client/discharges.py",
    "client/dischargers.py",
    "macaroon/signature.py",
    "macaroon/minting.py",
}
"""The reader itself, what shows to people what is not verified, what carries a caveat on or spells it in
JSON, the refusal of what is not discharged, and the holder, who compares it with those that it trusts."""


def relocated(text: str, location: bytes | None) -> str:
    """Return the same macaroon under another location, as its holder can write it."""
    return spell(msgspec.structs.replace(read_macaroon(text), location=location))


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
def test_another_location_is_the_same_token(location):
    """A token under another location is another text and the same principal with the same token id."""
    text = token(BOUND)
    other = relocated(text, location)
    assert other != text
    assert judged(other) == judged(text)


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
def test_another_location_does_not_escape_revocation(location):
    """A revoked token is revoked under every location: it is named by its id, never by its text."""
    revocations = Revocations([token_revocation(GRANT.jti)])
    with pytest.raises(Revoked):
        verify(relocated(token(BOUND), location), KEYS, access(), revocations=revocations)


@pytest.mark.parametrize("location", LOCATIONS.values(), ids=LOCATIONS)
def test_a_holder_is_not_led_elsewhere(location):
    """The child that a holder makes for a request has the audience of the identifier, not of the hint."""
    child = request_child(
        relocated(token(), location), CERTIFICATE, ChildTerms(), "GET", "https://api.example/", now=NOW
    )
    assert judged(child).audience == "https://api.example"
    assert read_macaroon(child).caveats == read_macaroon(relocated(child, b"x")).caveats


def test_a_person_is_told_that_it_is_a_hint():
    """`token inspect` says beside the location that every holder of the token can change it."""
    lines = out("token", "inspect", stdin=relocated(token(), b"https://evil.example")).splitlines()
    assert lines[0] == "location    https://evil.example (a hint: any holder can change it)"


def test_nothing_else_reads_it():
    """No module but the reader and those that show it to people looks at a location."""
    readers = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "location"
    }
    assert readers <= READERS
