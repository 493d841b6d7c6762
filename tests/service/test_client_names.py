"""Refusals of client authentication do not tell which names are registered: the same steps for each."""

import sys
from types import FrameType

import pytest

from macaroon_cbat.service.oauth2 import client_certificates
from macaroon_cbat.stores import client_secrets, client_store, database
from tests.support.certificates import certified
from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, basic, client_metadata

COSTLY = {
    client_store.ClientStore.remembered.__code__: "memory",
    client_store.ClientStore.look_up.__code__: "database",
    database.Database.reading.__wrapped__.__code__: "connection",
    database.Database.rows.__code__: "connection",
    client_secrets.secret_hash.__code__: "hash",
    client_certificates.ClientTrust.verified.__code__: "chain",
    client_certificates.ClientTrust.spiffe_id.__code__: "SVID",
}
KNOWN = {
    "by-secret": {},
    "by-its-own": {"token_endpoint_auth_method": "self_signed_tls_client_auth", "certificates": ("A" * 43,)},
    "by-a-name": {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.example"},
    "by-its-id": {
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_spiffe_id": "spiffe://prod.example/*",
    },
}


@pytest.fixture(scope="module")
def strangers(ca):
    return {"no certificate": None, "self-signed": certified("CN=x"), "of the CA": certified("CN=x", ca)}


@pytest.fixture
def trusting(trusting_ca, lasting_memory):
    """Return a service with these clients; what it has in memory stays there, however slow the machine is."""
    service = trusting_ca
    for name, members in KNOWN.items():
        secret = None if members else "right" * 8
        service.stores.clients.add(name, client_metadata(**members), secret=secret, now=NOW)
    return service


def steps(service, name, secret, certificate):
    """Return the status of a token request, and the costly steps that it took, sorted."""
    taken = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in COSTLY:
            taken.append(COSTLY[frame.f_code])

    form = GRANT_TYPE | ({"client_id": name} if secret is None else {})
    headers = {} if secret is None else {"Authorization": basic(name, secret)}
    sys.setprofile(note)
    try:
        answer = service.open("/oauth2/token", certificate, data=form, headers=headers)
    finally:
        sys.setprofile(None)
    return answer.status_code, sorted(taken)


@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("shown", ["no certificate", "self-signed", "of the CA"])
@pytest.mark.parametrize("secret", [None, "wrong"], ids=["no secret", "a wrong secret"])
def test_a_refusal_takes_the_same_steps(trusting, strangers, known, shown, secret):
    """A known name costs the service what an unknown one costs, when it is in memory and when it is not."""
    one = strangers[shown]
    steps(trusting, "unknown", secret, one)  # from now on it is in memory that the certificate is not revoked
    refusal = steps(trusting, "unknown", secret, one)
    from_the_database, from_memory = (steps(trusting, known, secret, one) for _ in range(2))
    assert refusal == from_the_database == from_memory
    assert refusal[0] == 401


@pytest.mark.parametrize("secret", [None, "wrong"], ids=["no secret", "a wrong secret"])
def test_the_steps_are_seen(trusting, strangers, secret):
    """The steps that are compared are those that take time: memory, database, hash and chain."""
    steps(trusting, "unknown", secret, strangers["of the CA"])
    _, taken = steps(trusting, "unknown", secret, strangers["of the CA"])
    told = {None: ["SVID", "chain", "connection", "database", "memory"]}
    assert taken == told.get(secret, ["connection", "database", "hash", "hash", "memory"])


@pytest.mark.parametrize("secret", [None, "wrong"], ids=["no secret", "a wrong secret"])
def test_a_long_name_does_not_fill_the_log(audited, file, secret):
    """The audit log quotes no more of an unknown name than a name can have."""
    form = {"client_id": "x" * 60_000} | ({} if secret is None else {"client_secret": secret})
    assert audited.post("/oauth2/token", GRANT_TYPE | form).status_code == 401
    line = file.read_bytes()
    assert b"unknown client" in line
    assert len(line) < 1_000
