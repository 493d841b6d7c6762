"""The service's own endpoints, for tokens that are bound to a DPoP key in place of a certificate."""

import pytest

from macaroon_cbat.macaroon.caveats import confirmation, key_confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.databases import NOW
from tests.support.dpop import jkt, key, proof
from tests.support.resource_server import register, token_for_service
from tests.support.service import API, ISSUER, refused

KEYS = "/resource/keys"
JKT = jkt(key())


@pytest.fixture
def served(service):
    register(service, "invoices", serves=(API,))
    return service


def proving(text, **claims):
    return proof(text, **({"htu": ISSUER + KEYS, "iat": NOW} | claims))


def ask(service, text, *proofs, scheme="DPoP", certificate=None):
    headers = [("Authorization", f"{scheme} {text}"), *(("DPoP", one) for one in proofs)]
    return service.open(KEYS, certificate, method="GET", headers=headers)


def test_a_key_stands_for_a_certificate(served):
    """A child of the token that its holder bound to a key passes with a proof, once."""
    text = attenuate(token_for_service(served), [key_confirmation(JKT)])
    used = proving(text)
    assert ask(served, text, used).status_code == 200
    answer = ask(served, text, used)
    assert "used before" in refused(answer, 401, "invalid_dpop_proof")
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('DPoP realm="macaroon_cbat", error="invalid_dpop_proof"')


BAD = {
    "no proof": lambda text: (),
    "another path's": lambda text: (proving(text, htu=f"{ISSUER}/resource/revocations"),),
    "another token's": lambda text: (proving("x"),),
    "another method's": lambda text: (proving(text, htm="POST"),),
    "forged": lambda text: (proving(text)[:-86] + "A" * 86,),
}


@pytest.mark.parametrize("proofs", BAD.values(), ids=BAD)
def test_a_proof_that_does_not_hold_is_refused(served, proofs):
    """A key-bound token without a proof for this very request opens nothing."""
    text = attenuate(token_for_service(served), [key_confirmation(JKT)])
    refused(ask(served, text, *proofs(text)), 401, "invalid_dpop_proof")


def test_no_other_token_passes_with_a_proof(served, certificate):
    """An unbound token and one that is bound to a certificate are refused with the scheme DPoP."""
    unbound = token_for_service(served)
    bound = attenuate(unbound, [confirmation(certificate.thumbprint)])
    for text in (unbound, bound):
        refused(ask(served, text, proving(text), certificate=certificate), 401, "invalid_token")


def test_a_key_bound_token_is_no_bearer_token(served, certificate):
    """A key-bound token is refused as Bearer, over whichever connection, with a proof or without."""
    text = attenuate(token_for_service(served), [key_confirmation(JKT)])
    for proofs in ((), (proving(text),)):
        answer = ask(served, text, *proofs, scheme="Bearer", certificate=certificate)
        refused(answer, 401, "invalid_token")


def test_a_nonce_is_told(start):
    """With DPOP_NONCES the service's own endpoints require the same nonces as its token endpoint."""
    service = start(dpop_nonces=1)
    register(service, "invoices", serves=(API,))
    text = attenuate(token_for_service(service), [key_confirmation(JKT)])
    answer = ask(service, text, proving(text))
    refused(answer, 401, "use_dpop_nonce")
    assert 'error="use_dpop_nonce"' in answer.headers["WWW-Authenticate"]
    assert ask(service, text, proving(text, nonce=answer.headers["DPoP-Nonce"])).status_code == 200
