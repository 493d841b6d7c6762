import json

import pytest

from macaroon_cbat.audit.file import write_log_to
from tests.support.administrator import administrator
from tests.support.databases import NOW
from tests.support.federated import IDP, KEYS, PEOPLE, WORKLOAD, a_jwt, bear, register, trust
from tests.support.foreign_tokens import key_set
from tests.support.resource_server import token_for_service
from tests.support.service import API, ISSUER, refused

TRUST = "/admin/trusted-issuers"
NEW = {"name": "idp", **WORKLOAD}


@pytest.fixture
def ops(service, certificate):
    """Return what asks as an administrator of a service with the client of a workload."""
    register(service, "deployer", token_endpoint_auth_method="private_key_jwt")
    return administrator(service, certificate)


def forget(ops) -> None:
    ops.service.app.extensions["macaroon_cbat"].forget()


def test_an_issuer_is_trusted_until_it_is_removed(ops):
    """An issuer that an administrator adds is trusted at once, and one that is removed no more."""
    answer = ops("POST", TRUST, json=NEW)
    assert answer.status_code == 201, answer.text
    assert (
        answer.json.items() >= {"name": "idp", "created_at": NOW, "issuer": IDP, "client": "deployer"}.items()
    )
    assert ops("GET", f"{TRUST}/idp").json == answer.json
    assert ops("GET", TRUST).json == [answer.json]
    assert bear(ops.service, a_jwt()).status_code == 200
    assert ops("DELETE", f"{TRUST}/idp").status_code == 204
    refused(bear(ops.service, a_jwt()), 400, "invalid_grant")
    refused(ops("GET", f"{TRUST}/idp"), 404, "not_found")
    refused(ops("DELETE", f"{TRUST}/idp"), 404, "not_found")


def test_a_name_is_taken_once(ops):
    """A second trust of the same name is a conflict, and changes nothing."""
    ops("POST", TRUST, json=NEW)
    refused(ops("POST", TRUST, json=NEW | {"scope": "write"}), 409, "conflict")
    assert ops("GET", f"{TRUST}/idp").json["scope"] == "read write"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "http://idp.example"}, "https://"),
        ({"issuer": "https://user@idp.example"}, "https://HOST"),
        ({"issuer": "https://idp.example/../x"}, "segment"),
        ({"issuer": "spiffe://prod.example", "jwks": None}, "jwks"),
        ({"issuer": ISSUER}, "itself"),
        ({"issuer": f"{ISSUER}/"}, "itself"),
        ({"audiences": []}, "audiences"),
        ({"audiences": None}, "audiences"),
        ({"claims": {}}, "claims"),
        ({"claims": {"sub": "*"}}, "any value"),
        ({"claims": {"aud": "x"}}, "a rule of its own"),
        ({"claims": {"/a~b": "x"}}, "stray ~"),
        ({"claims": {"sub": ["x"]}}, "claims"),
        ({"client": None}, "neither client nor subject"),
        ({"client": "a b"}, "client"),
        ({"uses": []}, "uses"),
        ({"uses": ["password"]}, "uses"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"scope": None}, "bounds"),
        ({"resources": []}, "bounds"),
        ({"resources": ["api"]}, "absolute URI"),
        ({"scope": "admin"}, "service itself"),
        ({"subject": "sub", "scope": "admin", "resources": [ISSUER]}, "for clients alone"),
        ({"subject": "sub", "uses": ["client-authentication"]}, "names no subject"),
        ({"jwks_uri": "https://idp.example/jwks"}, "two places"),
        ({"jwks": None, "jwks_uri": "http://idp.example/jwks"}, "https://"),
        ({"jwks": {}}, "no JWK Set"),
        ({"jwks": key_set()}, "no usable key"),
        ({"jwks": key_set({"kty": "oct", "k": "AAAA"})}, "no usable key"),
        ({"jwks": {"keys": KEYS["keys"], "x": "x" * 50_000}}, "larger than"),
        ({"jwks": None, "issuer_ca": "x"}, "issuer_ca"),
        ({"jwks": None, "issuer_ca": ""}, "issuer_ca"),
        ({"jwks": None, "issuer_ca": "\u00e9"}, "issuer_ca"),
        ({"issuer": f"{IDP}?a=b"}, "query"),
        ({"private_addresses": True}, "nothing is fetched"),
        ({"name": "user"}, "people who log in"),
        ({"name": "a b"}, "name"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_trust_that_could_only_fail(ops, changes, words):
    """Trust that is malformed, contradicts itself, or is wider than it looks, is refused by name."""
    asked = {name: value for name, value in {**NEW, **changes}.items() if value is not None}
    assert words in refused(ops("POST", TRUST, json=asked), 400, "invalid_request")
    assert ops("GET", TRUST).json == []


def test_an_unknown_client(ops):
    """Trust for a client that is not registered is refused: its name is mistyped."""
    refused(ops("POST", TRUST, json=NEW | {"client": "deployr"}), 404, "not_found")


def test_a_client_that_may_use_no_door(ops):
    """Trust for a client that may use none of its doors is refused, with the remedy."""
    register(ops.service, "other", grant_types=("client_credentials",))
    words = refused(ops("POST", TRUST, json=NEW | {"client": "other"}), 400, "invalid_request")
    assert "register it for" in words
    by_jwt = {"client": "other", "uses": ["client-authentication"]}
    assert "private_key_jwt" in refused(ops("POST", TRUST, json=NEW | by_jwt), 400, "invalid_request")


def test_a_workload_may_administer(ops):
    """A workload gets an administrator's token if its client and the trust both say so."""
    register(ops.service, "ci", scope="admin", audiences=(), token_endpoint_auth_method="private_key_jwt")
    by_ci = {"name": "ci", "client": "ci", "scope": "admin", "resources": [ISSUER]}
    assert ops("POST", TRUST, json=NEW | by_ci).status_code == 201
    assert bear(ops.service, a_jwt(), resource=ISSUER).json["scope"] == "admin"


def test_the_audit_log_has_each_change(audited, certificate, file):
    """Each change is one line with administrator, name, issuer and rights; each token names its trust."""
    register(audited, "deployer", token_endpoint_auth_method="private_key_jwt")
    register(audited, "web")
    ops = administrator(audited, certificate)
    ops("POST", TRUST, json=NEW)
    ops("POST", TRUST, json={"name": "people", **PEOPLE, "audiences": ["people"]})
    forget(ops)
    bear(audited, a_jwt())
    bear(audited, a_jwt(sub="alice", aud="people"), "web")
    bear(audited, a_jwt(exp=NOW), "web")
    ops("DELETE", f"{TRUST}/idp")
    write_log_to(None)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    [added, _] = [line for line in lines if line["event"] == "trust.added"]
    assert added["who"] == "ops"
    rights = {"trust": "idp", "issuer": IDP, "client_id": "deployer", "scope": "read write", "audience": API}
    assert added.items() >= rights.items()
    [removed] = [line for line in lines if line["event"] == "trust.removed"]
    assert (removed["who"], removed["trust"]) == ("ops", "idp")
    through = [line for line in lines if line["event"] == "token.minted" and "trust" in line]
    assert [(line["who"], line["trust"], line.get("subject")) for line in through] == [
        ("deployer", "idp", None),
        ("web", "people", "people:alice"),
    ]
    [refusal] = [line for line in lines if line["event"] == "token.refused"]
    assert (refusal["error"], "expired" in refusal["reason"]) == ("invalid_grant", True)


def test_trust_that_cannot_be_audited(audited, certificate, file):
    """Trust that cannot be audited is not added: an attacker would get a right without a trace."""
    register(audited, "deployer", token_endpoint_auth_method="private_key_jwt")
    ops = administrator(audited, certificate)
    token = token_for_service(audited, "ops")
    write_log_to("/dev/full")
    assert ops("POST", TRUST, token=token, json=NEW).status_code == 503
    write_log_to(str(file))
    assert ops("GET", TRUST).json == []


def test_a_subject_of_a_trusted_issuer_is_revoked(ops):
    """The tokens so far of a subject are revoked by its name, without force; those of another live on."""
    register(ops.service, "web")
    trust(ops.service, "people", PEOPLE)
    alice, bob = (bear(ops.service, a_jwt(sub=name), "web").json["access_token"] for name in ("alice", "bob"))
    wanted = {"kind": "subject", "value": "people:alice"}
    assert ops("POST", "/admin/revocations", json=wanted).status_code == 201
    ops.service.now += 1
    assert not ops.service.introspect(alice)["active"]
    assert ops.service.introspect(bob)["active"]
    refused(ops("POST", "/admin/revocations", json=wanted | {"value": "alice"}), 404, "not_found")
