import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from macaroon_cbat.audit.event import MAX_MEMBER, AuditEvent, Utc, audit_line

AT = Utc("2026-01-01T00:00:00Z")


def line(**members) -> str:
    return audit_line(AuditEvent(at=AT, event="request.refused", **members))


def test_an_event_is_one_object_with_the_members_that_it_has():
    """A line holds the members that are known, in a fixed order, and no null."""
    text = line(reason="no", status=401, who="billing", active=False)
    assert text == (
        '{"at":"2026-01-01T00:00:00Z","event":"request.refused","who":"billing","active":false,'
        '"status":401,"reason":"no"}'
    )


@pytest.mark.parametrize(
    "hostile",
    [
        'x","who":"operator',
        "x\n" + '{"at":"2026-01-01T00:00:00Z","event":"token.minted"}',
        "x\r\u2028\u0085\x00\x1b[2J\x7f\u202e",
        "\ud800 a lone surrogate",
        'x\\","who":"operator","y":"\\',
    ],
)
def test_no_text_forges_a_line_or_a_member(hostile):
    """A line stays one line of printable ASCII with the same members, whatever a member holds."""
    text = line(reason=hostile, address=hostile)
    assert text.isascii()
    assert text.isprintable()
    assert list(json.loads(text)) == ["at", "event", "reason", "address"]
    assert json.loads(text)["reason"] == hostile


def test_a_member_is_bounded():
    """A member is cut off after so many characters, so that no request floods the log."""
    read = json.loads(line(reason="x" * MAX_MEMBER, address="\U0001f600" * 100_000))
    assert read["reason"] == "x" * MAX_MEMBER
    assert len(read["address"]) == MAX_MEMBER
    assert len(line(reason="\U0001f600" * 100_000)) < 12 * MAX_MEMBER + 100


TEXTS = st.text(st.characters(exclude_categories=()), max_size=40) | st.text('\x00\x1f\x7f"\\/\n\u2028é')


@given(reason=TEXTS, who=TEXTS, repeated=st.integers(1, MAX_MEMBER))
def test_short_events_are_spelled_as_long_ones(reason, who, repeated):
    """A line does not depend on the way that it was made: short events take a shorter one."""
    short = line(reason=reason, who=who, counts={who: 1})
    padded = line(reason=reason, who=who, counts={who: 1}, error="x" * MAX_MEMBER, count=repeated)
    padding = f',"error":"{"x" * MAX_MEMBER}"'
    start, _, end = padded.partition(padding)
    assert short == start + end.replace(f'"count":{repeated},', "")
