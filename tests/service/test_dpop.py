"""DPoP at the token endpoint: what a proof binds, and the proofs that are refused (RFC 9449 5, 8)."""

import pytest

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.macaroon.caveats import (
    Confirmation,
    KeyConfirmation,
    confirmation,
    key_confirmation,
    read_caveats,
)
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.audit_events import events
from tests.support.databases import NOW, execute
from tests.support.dpop import jkt, key, proof
from tests.support.refresh import WEB, begun, web_metadata
from tests.support.service import API, GRANT_TYPE, ISSUER, SECRETS, basic, client_metadata, refused, seconds

TOKEN_URL = f"{ISSUER}/oauth2/token"
JKT = jkt(key())
THIEF = key("ES256", "thief")
PHONE = "phone"


def proving(**claims):
    """Return a proof for a token request, changed as told."""
    return proof(**({"htm": "POST", "htu": TOKEN_URL, "iat": NOW} | claims))


def ask(service, *proofs, client="billing", certificate=None, **form):
    """Ask for a token with these proofs."""
    headers = [("Authorization", basic(client, SECRETS[client])), *(("DPoP", one) for one in proofs)]
    return service.open("/oauth2/token", certificate, data={**GRANT_TYPE, **form}, headers=headers)


def confirmed(token):
    """Return the thumbprints of certificates and keys that a token is bound to."""
    caveats = [one for text in read_macaroon(token).caveats for one in read_caveats(text)]
    return (
        [one.cnf.thumbprint for one in caveats if isinstance(one, Confirmation)],
        [one.cnf.jkt for one in caveats if isinstance(one, KeyConfirmation)],
    )


def registered(service, name, secret=SECRETS["billing"], **changes):
    """Register a client, which tests authenticate with the secret of billing."""
    service.stores.clients.add(name, client_metadata(**changes), secret=secret, now=seconds(service.now))


def test_a_proof_binds_the_token(service, tmp_path):
    """A token request with a proof gets a token of type DPoP that is bound to the key, and audited so."""
    write_log_to(str(tmp_path / "audit.jsonl"))
    answer = ask(service, proving())
    assert (answer.status_code, answer.json["token_type"]) == (200, "DPoP")
    assert confirmed(answer.json["access_token"]) == ([], [JKT])
    [minted] = [one for one in events(tmp_path / "audit.jsonl") if one["event"] == "token.minted"]
    assert minted["proof_key"] == JKT


def test_without_a_proof_the_token_is_bearer(service):
    """A token request without a proof is answered as before."""
    answer = ask(service)
    assert (answer.status_code, answer.json["token_type"]) == (200, "Bearer")
    assert confirmed(answer.json["access_token"]) == ([], [])


def test_a_certificate_and_a_key_bind_both(service, certificate):
    """A client that is registered as certificate-bound and sends a proof gets a token that needs both."""
    registered(service, "both", tls_client_certificate_bound_access_tokens=True)
    form = {"client_id": "both", "client_secret": SECRETS["billing"], **GRANT_TYPE}
    headers = [("DPoP", proving())]
    answer = service.open("/oauth2/token", certificate, data=form, headers=headers)
    assert answer.json["token_type"] == "DPoP"
    assert confirmed(answer.json["access_token"]) == ([certificate.thumbprint], [JKT])
    refused(service.open("/oauth2/token", data=form, headers=[("DPoP", proving())]), 400, "invalid_request")


def test_a_client_that_must_prove_is_refused_without(service):
    """A client with dpop_bound_access_tokens gets no token without a proof (RFC 9449 5.2)."""
    registered(service, "prover", dpop_bound_access_tokens=True)
    form = {"client_id": "prover", "client_secret": SECRETS["billing"], **GRANT_TYPE}
    assert "send a proof" in refused(service.open("/oauth2/token", data=form), 400, "invalid_dpop_proof")
    answer = service.open("/oauth2/token", data=form, headers=[("DPoP", proving())])
    assert answer.json["token_type"] == "DPoP"


BAD = {
    "two": lambda: (proving(), proving()),
    "empty": lambda: ("",),
    "rubbish": lambda: ("rubbish",),
    "of another method": lambda: (proving(htm="GET"),),
    "of another endpoint": lambda: (proving(htu=f"{ISSUER}/oauth2/introspect"),),
    "of another issuer": lambda: (proving(htu="https://evil.example/oauth2/token"),),
    "old": lambda: (proving(iat=NOW - 91),),
    "of the future": lambda: (proving(iat=NOW + 31),),
    "alg none": lambda: (proving(header={"alg": "none"}),),
    "a private key": lambda: (proving(header={"jwk": {"kty": "EC", "d": "AA"}}),),
    "crit": lambda: (proving(header={"crit": ["x"], "x": 1}),),
    "unsigned": lambda: (proving()[:-86] + "A" * 86,),
    "oversized": lambda: (proving(x="x" * 5000),),
}


@pytest.mark.parametrize("proofs", BAD.values(), ids=BAD)
def test_a_bad_proof_is_refused(service, tmp_path, proofs):
    """A proof that does not hold is 400 invalid_dpop_proof, with one audit line, and no token is minted."""
    write_log_to(str(tmp_path / "audit.jsonl"))
    refused(ask(service, *proofs()), 400, "invalid_dpop_proof")
    [event] = events(tmp_path / "audit.jsonl")
    assert (event["event"], event["error"]) == ("token.refused", "invalid_dpop_proof")


def test_a_proof_is_used_once_in_all_processes(service, start):
    """A proof that another process has seen used is refused: the database decides."""
    used = proving()
    assert ask(service, used).status_code == 200
    assert "used before" in refused(ask(service, used), 400, "invalid_dpop_proof")
    service.app.extensions["macaroon_cbat"].forget()
    refused(ask(service, used), 400, "invalid_dpop_proof")
    service.now += 90
    refused(ask(service, used), 400, "invalid_dpop_proof")


def test_who_is_no_client_uses_no_proof_up(service):
    """A request that authenticates no client leaves nothing in the database."""
    mine = proving()
    headers = [("Authorization", basic("billing", "wrong")), ("DPoP", mine)]
    refused(service.open("/oauth2/token", data=GRANT_TYPE, headers=headers), 401, "invalid_client")
    assert ask(service, mine).status_code == 200


def test_the_url_for_certificates_is_a_target_too(start):
    """A client that reaches the endpoint below the URL for mutual TLS proves that URL."""
    service = start(mtls_url="https://mtls.as.example:8443")
    for base in (ISSUER, "https://mtls.as.example:8443"):
        assert ask(service, proving(htu=f"{base}/oauth2/token")).status_code == 200
    refused(ask(service, proving(htu="https://mtls.as.example/oauth2/token")), 400, "invalid_dpop_proof")


def test_a_nonce_is_required_if_the_operator_says_so(start):
    """With DPOP_NONCES a proof without a nonce of the service is told one, for every process alike."""
    service = start(dpop_nonces=1)
    answer = ask(service, proving())
    refused(answer, 400, "use_dpop_nonce")
    nonce = answer.headers["DPoP-Nonce"]
    assert ask(service, proving(nonce=nonce)).status_code == 200
    service.app.extensions["macaroon_cbat"].forget()
    assert ask(service, proving(nonce=nonce)).status_code == 200
    service.now += 120
    late = ask(service, proving(nonce=nonce, iat=NOW + 120))
    refused(late, 400, "use_dpop_nonce")
    assert late.headers["DPoP-Nonce"] != nonce


@pytest.fixture
def phone(service):
    """Register a public client whose tokens are bound to a DPoP key."""
    members = {"token_endpoint_auth_method": "none", "dpop_bound_access_tokens": True}
    service.stores.clients.add(PHONE, web_metadata(**members), secret=None, now=seconds(service.now))
    return service


def refresh(service, token, *proofs, client_id=PHONE):
    named = {"client_id": client_id} | ({"client_secret": SECRETS["billing"]} if client_id == WEB else {})
    form = {"grant_type": "refresh_token", "refresh_token": token, **named}
    return service.open("/oauth2/token", data=form, headers=[("DPoP", one) for one in proofs])


def test_a_public_client_refreshes_by_its_key_alone(phone):
    """A public client's refresh token is bound to the key of its first proof (RFC 9449 5)."""
    token = begun(phone, PHONE, proof_key=JKT)
    assert confirmed(token) == ([], [JKT])
    refused(refresh(phone, token), 400, "invalid_dpop_proof")
    refused(refresh(phone, token, proving(private=THIEF)), 400, "invalid_grant")
    answer = refresh(phone, token, proving())
    assert (answer.status_code, answer.json["token_type"]) == (200, "DPoP")
    assert confirmed(answer.json["access_token"]) == ([], [JKT])
    assert refresh(phone, answer.json["refresh_token"], proving()).status_code == 200


def test_a_confidential_client_may_come_with_another_key(service):
    """A confidential client may refresh with any key, to which its access token is bound then."""
    service.stores.clients.add(WEB, web_metadata(), secret=SECRETS["billing"], now=seconds(service.now))
    token = begun(service, WEB, proof_key=JKT)
    assert confirmed(token) == ([], [])
    answer = refresh(service, token, proving(private=THIEF), client_id=WEB)
    assert confirmed(answer.json["access_token"]) == ([], [jkt(THIEF)])


def test_a_holder_binds_its_refresh_token_itself(service):
    """A key that the holder appended to its refresh token is needed for each access token."""
    service.stores.clients.add(WEB, web_metadata(), secret=SECRETS["billing"], now=seconds(service.now))
    token = attenuate(begun(service, WEB), [key_confirmation(JKT)])
    refused(refresh(service, token, client_id=WEB), 400, "invalid_grant")
    refused(refresh(service, token, proving(private=THIEF), client_id=WEB), 400, "invalid_grant")
    answer = refresh(service, token, proving(), client_id=WEB)
    assert confirmed(answer.json["access_token"]) == ([], [JKT])


INTROSPECTED = {
    "naming the key": ("api", {"dpop_jkt": JKT}, True),
    "naming none": ("api", {}, False),
    "naming another": ("api", {"dpop_jkt": jkt(THIEF)}, False),
    "comparing certificates alone": ("comparing-api", {}, False),
    "verifying proofs itself": ("proving-api", {}, True),
}


@pytest.mark.parametrize(("caller", "form", "active"), INTROSPECTED.values(), ids=INTROSPECTED)
def test_a_key_bound_token_is_active_for_who_verifies(service, caller, form, active):
    """A key-bound token is active for a caller that names the key it verified, or promises to verify."""
    metadata = client_metadata(scope=None, audiences=(), serves=(API,), checks_proofs=True)
    secret = SECRETS["knowing-api"]
    service.stores.clients.add("proving-api", metadata, secret=secret, now=seconds(service.now))
    token = ask(service, proving()).json["access_token"]
    headers = {"Authorization": basic(caller, SECRETS.get(caller, secret))}
    answer = service.open("/oauth2/introspect", data={"token": token, **form}, headers=headers)
    assert answer.json["active"] is active
    assert (answer.json.get("cnf"), answer.json.get("token_type")) == (
        ({"jkt": JKT}, "DPoP") if active else (None, None)
    )


def test_a_token_of_both_shows_both(service, certificate):
    """A token that is bound to both is active for a caller that names both, which learns both."""
    bound = {"token": service.minted(confirmation(certificate.thumbprint), key_confirmation(JKT))}
    answer = service.introspect(**bound, client_certificate=certificate.thumbprint, dpop_jkt=JKT)
    assert answer["cnf"] == {"x5t#S256": certificate.thumbprint, "jkt": JKT}
    assert answer["token_type"] == "DPoP"
    assert service.introspect(**bound, client_certificate=certificate.thumbprint) == {"active": False}
    assert service.introspect(**bound, dpop_jkt=JKT) == {"active": False}


def test_a_thumbprint_that_is_none_is_a_bad_request(service):
    """A malformed dpop_jkt is the caller's mistake."""
    headers = {"Authorization": basic("api", SECRETS["api"])}
    answer = service.open("/oauth2/introspect", data={"token": "x", "dpop_jkt": "x"}, headers=headers)
    assert "dpop_jkt" in refused(answer, 400, "invalid_request")


def test_a_proof_from_before_a_restore_is_refused(service, start):
    """After a restore, which forgot which proofs were used, a proof from before it is refused."""
    execute(service.stores, "INSERT INTO service_facts VALUES ('restored_at', :at)", at=str(NOW))
    restored = start(dpop_nonces=0, token_lifetime=601)
    restored.now = NOW + 31
    for issued in (NOW, NOW + 30):
        assert "restored" in str(refused(ask(restored, proving(iat=issued)), 400, "invalid_dpop_proof"))
    assert ask(restored, proving(iat=NOW + 31)).status_code == 200
