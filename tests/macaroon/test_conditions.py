"""The bakery's conditions, which are understood in discharges alone."""

import pytest

from macaroon_cbat.errors import CaveatsNotMet
from macaroon_cbat.macaroon.caveats import Expiry
from macaroon_cbat.macaroon.conditions import Declared, read_condition
from macaroon_cbat.macaroon.verification import Principal, verify
from tests.support.discharging import asking, saying
from tests.support.tokens import ACCESS, BOUND, KEYS, NOW, appended, token

TOKEN = asking(token(BOUND))
TWO = asking(TOKEN, b"y")


def discharged(*conditions: str) -> Principal:
    """Return the principal of a token whose discharge says this."""
    return verify(TOKEN, KEYS, ACCESS, discharges=[saying(TOKEN, *conditions)])


MOMENTS = {
    "1970-01-01T00:00:00Z": 0,
    "2026-01-01T00:00:00Z": 1_767_225_600,
    "2026-01-01t00:00:00z": 1_767_225_600,
    "2026-01-01T00:00:00.999999999Z": 1_767_225_600,
    "2026-01-01T01:30:00.5+01:30": 1_767_225_600,
    "2025-12-31T23:00:00-01:00": 1_767_225_600,
    "9999-12-31T23:59:59Z": 253_402_300_799,
    "0001-01-01T00:00:00Z": 0,
    "0001-01-01T00:00:00+23:59": 0,
}


@pytest.mark.parametrize(("text", "seconds"), MOMENTS.items(), ids=MOMENTS)
def test_time_before_is_an_expiry(text, seconds):
    """A moment of RFC 3339 is a whole second, never a later one."""
    assert read_condition(f"time-before {text}".encode()) == Expiry(seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("time-before", "time-before ", "time-before 2026-01-01", "time-before 2026-01-01T00:00:00"),
        *("time-before 2026-01-01T00:00:60Z", "time-before 2026-02-30T00:00:00Z", "time-before 1767225600"),
        *(
            "time-before 2026-01-01 00:00:00Z",
            "time-before 2026-01-01T00:00:00Z ",
            "time-before  2026-01-01T00:00:00Z",
        ),
        *("time-before 2026-01-01T00:00:00+25:00", "time-before \u0662026-01-01T00:00:00Z"),
        *(
            "time-before 2026-01-01T00:00:00.Z",
            "Time-Before 2026-01-01T00:00:00Z",
        ),
        *(
            "std:time-before 2026-01-01T00:00:00Z",
            "declared",
            "declared ",
            "declared name",
            "declared  value",
        ),
        *("", " ", "error bad", "allow read", "deny read", "client-ip-addr 192.0.2.7", "origin x"),
    ],
)
def test_other_text_is_no_condition(text):
    """Text that is not exactly one of the two conditions is unknown, or malformed."""
    with pytest.raises(ValueError, match=r"(unknown|malformed) caveat"):
        read_condition(text.encode())


def test_bytes_that_are_no_text_are_no_condition():
    """A caveat that is not UTF-8 is unknown."""
    with pytest.raises(ValueError, match="unknown caveat"):
        read_condition(b"declared \xff x")


@pytest.mark.parametrize("value", ["alice", "", "two words", "a  b ", "\u00e9"])
def test_declared_has_any_value(value):
    """The name ends at the first space, and the value is the rest."""
    assert read_condition(f"declared user {value}".encode()) == Declared("user", value)


def test_time_before_ends_the_discharge():
    """The moment of a discharge is the expiry of the token that it is sent with."""
    assert discharged("time-before 2025-12-31T23:00:05Z").expires_at == NOW + 5
    with pytest.raises(CaveatsNotMet, match="exp: expired"):
        discharged("time-before 2025-12-31T23:00:00Z")


def test_what_is_declared_is_told_and_grants_nothing():
    """An attribute is told to the resource server; scope, client and subject stay those of the token."""
    principal = discharged("declared username mallory", "declared scope root", "declared username mallory")
    assert principal.declared == (("scope", "root"), ("username", "mallory"))
    plain = verify(token(BOUND), KEYS, ACCESS)
    assert (principal.scope, principal.subject, principal.client_id) == (
        plain.scope,
        plain.subject,
        plain.client_id,
    )
    assert plain.declared == ()


def test_two_declarations_that_differ_refuse():
    """An attribute that two discharges, or one, declare with two values refuses the request."""
    with pytest.raises(CaveatsNotMet, match="declared: 'user' has 2 values"):
        discharged("declared user alice", "declared user bob")
    second = saying(TWO, "declared user bob", name=b"y")
    with pytest.raises(CaveatsNotMet, match="declared: 'user' has 2 values"):
        verify(TWO, KEYS, ACCESS, discharges=[saying(TWO, "declared user alice"), second])
    same = [saying(TWO, "declared user bob"), second]
    assert verify(TWO, KEYS, ACCESS, discharges=same).declared == (("user", "bob"),)


@pytest.mark.parametrize(
    "condition",
    [
        "allow read",
        "error no",
        "client-ip-addr 192.0.2.7",
        '{"unknown":1}',
        '{"exp":"x"}',
        "time-before soon",
    ],
)
def test_an_unknown_condition_prohibits(condition):
    """Unknown means no in a discharge, too, and the reason names the condition."""
    with pytest.raises(CaveatsNotMet, match=r"(unknown|malformed) caveat"):
        discharged(condition)


@pytest.mark.parametrize("condition", ["time-before 2030-01-01T00:00:00Z", "declared user alice"])
def test_outside_of_discharges_they_are_unknown(condition):
    """A holder can append the bakery's words to the token itself, where they prohibit."""
    with pytest.raises(CaveatsNotMet, match="caveat"):
        verify(appended(token(BOUND), condition.encode()), KEYS, ACCESS)
    child = asking(appended(token(BOUND), condition.encode()))
    with pytest.raises(CaveatsNotMet, match="caveat"):
        verify(child, KEYS, ACCESS, discharges=[saying(child, condition)])
