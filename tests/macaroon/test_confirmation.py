import pytest

from macaroon_cbat.errors import CaveatsNotMet, NotCertificateBound
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.signature import AuthenticCaveats
from macaroon_cbat.macaroon.verification import judge, verify
from tests.support.tokens import (
    BOUND,
    CERTIFICATE,
    GRANT,
    KEYS,
    OTHER_CERTIFICATE,
    access,
    judged,
    token,
)

CNF_CASES = {
    "another certificate": ([BOUND], OTHER_CERTIFICATE),
    "no certificate": ([BOUND], None),
    "a second cnf for another certificate": ([BOUND, confirmation(OTHER_CERTIFICATE)], CERTIFICATE),
    "a first cnf for another certificate": ([confirmation(OTHER_CERTIFICATE), BOUND], CERTIFICATE),
    "two cnf, presenting the second": ([BOUND, confirmation(OTHER_CERTIFICATE)], OTHER_CERTIFICATE),
    "the other letter case": ([confirmation(CERTIFICATE.swapcase())], CERTIFICATE),
}


@pytest.mark.parametrize(("caveats", "certificate"), CNF_CASES.values(), ids=CNF_CASES)
@pytest.mark.parametrize("required", [True, False], ids=["required", "not required"])
def test_every_cnf_must_match(caveats, certificate, required):
    """Each cnf caveat must match this connection, whether certificates are required or not."""
    with pytest.raises(CaveatsNotMet, match="bound to certificate"):
        judged(token(*caveats), certificate=certificate, require_certificate=required)


def test_two_equal_cnf_are_one():
    """The same certificate bound twice is bound."""
    assert judged(token(BOUND, BOUND)).certificate == CERTIFICATE


def test_an_unbound_token_is_refused_by_default():
    """A token without cnf is refused, with a certificate on the connection or without."""
    for certificate in (CERTIFICATE, None):
        with pytest.raises(NotCertificateBound):
            verify(token(), KEYS, access(certificate=certificate))
        with pytest.raises(NotCertificateBound):
            judge(GRANT, AuthenticCaveats(()), access(certificate=certificate))


def test_an_unbound_token_is_accepted_only_where_written_down():
    """With require_certificate=False an unbound token is accepted, and its principal has no certificate."""
    for certificate in (CERTIFICATE, None):
        assert judged(token(), certificate=certificate, require_certificate=False).certificate is None
