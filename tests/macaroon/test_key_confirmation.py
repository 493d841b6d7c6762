"""The confirmation by a DPoP key, beside that by a certificate."""

import pytest

from macaroon_cbat.errors import CaveatsNotMet, NotCertificateBound
from macaroon_cbat.errors.dpop import NotBound, NotKeyBound
from macaroon_cbat.macaroon.caveats import (
    caveat_text,
    confirmation,
    key_confirmation,
    read_caveats,
)
from macaroon_cbat.macaroon.inspection import assessed, confirmations, inspected, key_confirmations
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint, parse_key_thumbprint
from macaroon_cbat.macaroon.verification import require_confirmation, require_key
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.tokens import BOUND, CERTIFICATE, NOW, OTHER_CERTIFICATE, judged, signed, token

JKT = parse_key_thumbprint("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
OTHER_JKT = KeyThumbprint("A" * 43)
KEYED = key_confirmation(JKT)
BOTH = b'{"cnf":{"x5t#S256":"%s","jkt":"%s"}}' % (CERTIFICATE.encode(), JKT.encode())
TURNED = b'{ "cnf" : {"jkt":"%s", "x5t#S256":"%s"} }' % (JKT.encode(), CERTIFICATE.encode())

REFUSED = {
    "another key": ([KEYED], CERTIFICATE, OTHER_JKT),
    "no proof": ([KEYED], CERTIFICATE, None),
    "a second cnf for another key": ([KEYED, key_confirmation(OTHER_JKT)], None, JKT),
    "a first cnf for another key": ([key_confirmation(OTHER_JKT), KEYED], None, JKT),
    "both, and the key alone": ([BOUND, KEYED], None, JKT),
    "both, and the certificate alone": ([BOUND, KEYED], CERTIFICATE, None),
    "both, and another key": ([BOUND, KEYED], CERTIFICATE, OTHER_JKT),
    "both, and another certificate": ([BOUND, KEYED], OTHER_CERTIFICATE, JKT),
    "a certificate's thumbprint as jkt": ([BOUND], None, KeyThumbprint(CERTIFICATE)),
    "the other letter case": ([key_confirmation(KeyThumbprint(JKT[:-1].swapcase() + JKT[-1]))], None, JKT),
}


@pytest.mark.parametrize(("caveats", "certificate", "proof_key"), REFUSED.values(), ids=REFUSED)
def test_every_confirmation_must_hold(caveats, certificate, proof_key):
    """Each cnf must hold: two of one kind conflict, and a certificate stands for no key, nor a key for it."""
    with pytest.raises(CaveatsNotMet, match="bound to"):
        judged(token(*caveats), certificate=certificate, proof_key=proof_key, require_certificate=False)


@pytest.mark.parametrize("text", [BOTH, TURNED], ids=["compact", "spelled otherwise"])
@pytest.mark.parametrize(
    ("certificate", "proof_key"),
    [(CERTIFICATE, None), (None, JKT), (OTHER_CERTIFICATE, JKT), (CERTIFICATE, OTHER_JKT)],
    ids=["certificate alone", "key alone", "another certificate", "another key"],
)
def test_both_members_of_one_cnf_must_hold(text, certificate, proof_key):
    """A cnf with both members is two confirmations (law 2)."""
    assert judged(signed(text), proof_key=JKT).proof_key == JKT
    with pytest.raises(CaveatsNotMet):
        judged(signed(text), certificate=certificate, proof_key=proof_key)


def test_a_cnf_with_both_members_reads_as_two():
    """The caveats of such a text are those that are written one by one."""
    assert sorted(map(caveat_text, read_caveats(BOTH))) == sorted(map(caveat_text, [BOUND, KEYED]))


def test_the_principal_says_what_the_token_is_bound_to():
    """Certificate and key stand in the principal if the token is bound to them, and only then."""
    keyed = judged(token(KEYED), proof_key=JKT, require_certificate=False)
    assert (keyed.certificate, keyed.proof_key, keyed.is_attenuated) == (None, JKT, False)
    both = judged(token(BOUND, KEYED), proof_key=JKT)
    assert (both.certificate, both.proof_key, both.is_attenuated) == (CERTIFICATE, JKT, False)
    unbound = judged(token(), proof_key=JKT, require_certificate=False)
    assert (unbound.certificate, unbound.proof_key, unbound.is_attenuated) == (None, None, False)


def test_a_key_is_no_certificate():
    """A token that is bound to a key alone is refused if a certificate is required."""
    with pytest.raises(NotCertificateBound):
        judged(token(KEYED), proof_key=JKT)


def test_what_a_resource_server_requires():
    """A guard with "dpop" wants a key, with "either" one of the two; the scheme DPoP always wants a key."""
    keyed = judged(token(KEYED), proof_key=JKT, require_certificate=False)
    bound, unbound = judged(token(BOUND)), judged(token(), require_certificate=False)
    require_confirmation(keyed, "dpop")
    require_confirmation(keyed, "either")
    require_confirmation(bound, "either")
    require_key(keyed)
    with pytest.raises(NotKeyBound):
        require_confirmation(bound, "dpop")
    with pytest.raises(NotBound) as refusal:
        require_confirmation(unbound, "either")
    assert refusal.value.grant is not None
    with pytest.raises(NotKeyBound):
        require_key(bound)


def test_the_refusal_says_what_to_send():
    """The holder learns that a proof is missing, or that it is another key's."""
    with pytest.raises(CaveatsNotMet) as missing:
        judged(token(KEYED))
    assert "a proof as DPoP" in missing.value.description
    with pytest.raises(CaveatsNotMet) as other:
        judged(token(KEYED), proof_key=OTHER_JKT)
    assert "another key than the one of the DPoP proof" in other.value.description


def test_inspection_shows_both():
    """`inspect` shows what a token is bound to, and that two keys leave no use."""
    macaroon = read_macaroon(token(BOUND, KEYED))
    shown = inspected(macaroon, NOW)["effective"]
    assert shown["cnf"] == {"x5t#S256": CERTIFICATE, "jkt": JKT}
    assert "jkt" not in shown
    assert (confirmations(macaroon), key_confirmations(macaroon)) == ({CERTIFICATE}, {JKT})
    assert inspected(read_macaroon(token(KEYED)), NOW)["effective"]["cnf"] == {"jkt": JKT}
    conflict = assessed(read_macaroon(token(KEYED, key_confirmation(OTHER_JKT))), NOW)
    assert conflict.is_dead
    assert "another key" in conflict.remarks[0].text


def test_a_certificate_and_a_key_confirm_apart():
    """The two kinds of caveat never equal each other, though their thumbprints look alike."""
    assert confirmation(CERTIFICATE) != key_confirmation(KeyThumbprint(CERTIFICATE))
