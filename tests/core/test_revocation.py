from macaroon_cbat.revocation import NOTHING_REVOKED, Revocations
from tests.core.material import GRANT, grant


def test_nothing_is_revoked_by_default():
    """Without revocations, no grant is revoked."""
    assert NOTHING_REVOKED.reason(GRANT) is None


def test_a_revoked_jti_is_named():
    """A grant whose jti is on the list is revoked, and the reason names it; its neighbours are not."""
    revocations = Revocations(frozenset({GRANT.jti, "x" * 22}))
    assert GRANT.jti in revocations.reason(GRANT)
    assert revocations.reason(grant(jti="y" * 22)) is None
    assert revocations.reason(grant(jti=GRANT.jti.swapcase())) is None
