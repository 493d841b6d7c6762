from macaroon_cbat.revocation import Revocations
from tests.core.material import GRANT, grant, token_revocation


def test_nothing_is_revoked_by_default():
    """Without revocations, no grant is revoked."""
    assert Revocations().reason(GRANT, None) is None


def test_a_revoked_jti_is_named():
    """A grant whose jti is on the list is revoked, and the reason names it; its neighbours are not."""
    revocations = Revocations([token_revocation(GRANT.jti), token_revocation("x" * 22)])
    assert GRANT.jti in revocations.reason(GRANT, None)
    assert revocations.reason(grant(jti="y" * 22), None) is None
    assert revocations.reason(grant(jti=GRANT.jti.swapcase()), None) is None
