"""The clocks of service and resource server may differ: by 30 seconds unless the guard says otherwise."""

from typing import Any

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.caveats import Access, Expiry, NotBefore
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.resource import Guard
from tests.support.guarded_app import bound, call, make_app
from tests.support.tokens import NOW


def status(at: float, *caveats: Any, **settings: Any) -> int:
    app = make_app(clock=lambda: NOW + at, **settings)
    return call(app, bound(*caveats, exp=NOW)).status_code


@pytest.mark.parametrize(
    ("at", "settings", "expected"),
    [
        (-1, {}, 200),
        (29, {}, 200),
        (30, {}, 401),
        (-1, {"clock_skew": 0}, 200),
        (0, {"clock_skew": 0}, 401),
        (299, {"clock_skew": 300}, 200),
        (300, {"clock_skew": 300}, 401),
    ],
)
def test_exp_is_judged_with_the_skew(at: float, settings: dict[str, int], expected: int):
    """A token lives for the skew longer here, and not a second more."""
    assert status(at, **settings) == expected
    child = NOW + 60
    assert status(at - 60, Expiry(EpochSeconds(child - 60)), **settings) in (200, expected)


@pytest.mark.parametrize(
    ("early", "skew", "expected"), [(30, 30, 200), (31, 30, 401), (0, 0, 200), (1, 0, 401)]
)
def test_nbf_is_judged_with_the_skew(early: int, skew: int, expected: int):
    """A token is good for the skew earlier here, and not a second more."""
    app = make_app(clock=lambda: NOW, clock_skew=skew)
    assert call(app, bound(NotBefore(NOW + early))).status_code == expected


def test_the_core_knows_no_skew_by_itself():
    """Without being told an access has no skew."""
    assert Expiry(NOW).prohibits(Access(now=NOW)) is not None
    assert NotBefore(NOW + 1).prohibits(Access(now=NOW)) is not None


@pytest.mark.parametrize("seconds", [-1, 301])
def test_a_skew_out_of_bounds_is_refused(seconds: int):
    """More than five minutes is no skew but a wrong clock."""
    with pytest.raises(SettingsError, match="0 to 300"):
        Guard(clock_skew=seconds)


def test_the_log_says_by_how_much(log: Any):
    """Beyond the skew the log says how long ago the token expired by this clock."""
    assert status(45) == 401
    assert "45 s ago" in log.text
