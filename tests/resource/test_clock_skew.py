"""The offset of two clocks, as a token shows that was minted between question and answer."""

import pytest

from macaroon_cbat.client.clock import seconds_ahead
from macaroon_cbat.errors import Refused, SettingsError, Unavailable
from macaroon_cbat.resource.clock_skew import checked_skew
from tests.support.tokens import ISSUER, NOW, token


def ahead(asked_at: float, answered_at: float, skew: int = 30) -> float:
    return seconds_ahead(token(iat=NOW), asked_at, answered_at, issuer=ISSUER, skew=skew)


@pytest.mark.parametrize(
    ("asked_at", "answered_at", "expected"),
    [
        (0.0, 0.0, 0),
        (0.9, 0.95, 0),
        (-3.0, 4.0, 0),  # a slow answer explains it
        (1.0, 1.5, 0),
        (-5.5, -5.0, 5),
        (6.0, 6.5, -5),
        (-30.0, -30.0, 30),
        (31.0, 31.0, -30),
    ],
)
def test_the_least_that_explains_the_token_is_taken(asked_at, answered_at, expected):
    """Neither the rounding of `iat` nor a slow answer makes a skew."""
    assert ahead(NOW + asked_at, NOW + answered_at) == expected


@pytest.mark.parametrize(
    ("asked_at", "skew", "words"),
    [(-30.1, 30, "ahead of"), (31.1, 30, "behind"), (-0.1, 0, "ahead of"), (1.1, 0, "behind")],
)
def test_more_is_said(asked_at, skew, words):
    """An offset beyond the setting gives no verdict, and the line says which clock is where."""
    with pytest.raises(Unavailable, match=f"s {words} this one, and more than {skew} s") as said:
        ahead(NOW + asked_at, NOW + asked_at, skew)
    assert ISSUER in str(said.value)


@pytest.mark.parametrize("text", ["", "rubbish", "AgEA" * 9])
def test_what_is_no_token_is_refused(text):
    """A service that gives something else is not one of this kind."""
    with pytest.raises(Refused, match="not of its kind"):
        seconds_ahead(text, NOW, NOW, issuer=ISSUER, skew=30)


def test_settings_have_bounds():
    """A skew is 0 to 300 seconds."""
    assert [checked_skew(0), checked_skew(300)] == [0, 300]
    for seconds in (-1, 301):
        with pytest.raises(SettingsError, match="0 to 300"):
            checked_skew(seconds)
