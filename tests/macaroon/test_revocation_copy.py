"""Revocations as a whole: what they hold, and a copy that later ones do not change."""

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.revocation import Revocation, Revocations

KINDS = ("token", "client", "subject", "family", "key", "certificate")


def decided(kind, value="x", revoked_at=5, expires_at=9):
    return Revocation(kind=kind, value=value, revoked_at=revoked_at, expires_at=expires_at)


def test_each_decision_is_held_once():
    """Every kind is there once, with its longest life and, where it matters, its latest moment."""
    known = Revocations(decided(kind, revoked_at=at, expires_at=9) for kind in KINDS for at in (5, 7))
    assert len(list(known)) == len(known) == 6
    for one in known:
        when = 7 if one.kind in ("client", "subject") else 0
        assert one == decided(one.kind, revoked_at=when)


def test_a_copy_stays_as_it_is():
    """Neither more decisions nor forgetting changes a copy, or the other way round."""
    known = Revocations(decided(kind) for kind in KINDS)
    copied = known.copy()
    before = set(copied)
    for kind in KINDS:
        known.apply(decided(kind, "y", expires_at=20))
    known.forget(EpochSeconds(10))
    assert set(copied) == before
    copied.apply(decided("token", "z"))
    assert "z" not in {one.value for one in known}
