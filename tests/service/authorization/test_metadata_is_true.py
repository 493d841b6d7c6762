"""The metadata say all that is on and nothing more: each claim is tried, and each that is missing."""

import json
from typing import Any, get_args
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from macaroon_cbat.macaroon.proof_keys import SIGNING_ALGORITHMS
from macaroon_cbat.service.parts import ALWAYS_ON
from macaroon_cbat.stores.clients import ClientAuthMethod
from macaroon_cbat.stores.grant_types import GrantType
from tests.support import dpop
from tests.support.certificates import certified
from tests.support.databases import NOW
from tests.support.foreign_tokens import ec_key, key_set, public_jwk, signed_jwt
from tests.support.service import API, GRANT_TYPE, ISSUER, SECRETS, Service, basic, client_metadata

PATH = "/.well-known/oauth-authorization-server"
TOKEN = "/oauth2/token"
OTHER_PAGES = {
    *("home", "guide", "guide chapter", "document", "authorization_server_metadata"),
    *("consent", "decision", "callback", "logout", "logged_out", "device", "device decision"),
    *("approval", "approval decision", "discharge info", "discharge public key", "discharge wait"),
}
"""The views that the metadata need not name: pages, documents, and what an endpoint leads to."""
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(params=["without people", "with people", "trusting a CA"])
def one(request: pytest.FixtureRequest) -> Service:
    """Each service in turn: what it offers differs."""
    names = {"without people": "service", "with people": "with_people", "trusting a CA": "trusting_ca"}
    service: Service = request.getfixturevalue(names[request.param])
    return service


def document(service: Service) -> dict[str, Any]:
    return dict(service.open(PATH, method="GET").json)


def endpoints(service: Service) -> dict[str, str]:
    found = document(service)
    return {name: url for name, url in found.items() if name.endswith("_endpoint")}


def test_every_endpoint_is_there(one):
    """Each URL that is named, an alias too, is that of a view: a method that it lacks is 405, not 404."""
    urls = [*endpoints(one).values(), *document(one)["mtls_endpoint_aliases"].values()]
    for url in urls:
        assert url.startswith(ISSUER + "/")
        answers = {one.open(urlsplit(url).path, method=method).status_code for method in ("GET", "DELETE")}
        assert 404 not in answers
        assert answers & {405, 401, 400}


def test_every_view_is_named(one):
    """A view that programs use is at a named endpoint, or below one: nothing is on that is not said."""
    named = [urlsplit(url).path for url in endpoints(one).values()]
    off = {"authorize"} if "authorization_endpoint" not in endpoints(one) else set()
    unnamed = {
        rule.endpoint
        for rule in one.app.url_map.iter_rules()
        if not any(rule.rule == path or rule.rule.startswith(path + "/") for path in named)
        and not rule.rule.startswith("/admin/")
    }
    assert unnamed - OTHER_PAGES - off == set()


def test_endpoints_have_aliases(one):
    """Each endpoint of clients has an alias for mutual TLS (RFC 8705 5); browsers get none."""
    found = document(one)
    assert found["mtls_endpoint_aliases"].keys() == endpoints(one).keys() - {"authorization_endpoint"}


def test_parts_do_not_contradict_each_other():
    """No two parts that are always on contribute the same member."""
    names = [name for part in ALWAYS_ON for name in part(ISSUER)]
    assert len(names) == len(set(names))


def by_secret(service: Service, **form: str) -> int:
    return service.ask_token(**form).status_code


def in_the_form(service: Service) -> int:
    credentials = {"client_id": "billing", "client_secret": SECRETS["billing"]}
    return service.post(TOKEN, {**GRANT_TYPE, **credentials}).status_code


def by_own_key(service: Service) -> int:
    key = ec_key(77)
    keys = key_set(public_jwk(key, "mine"))
    metadata = client_metadata(token_endpoint_auth_method="private_key_jwt", jwks=keys)
    service.stores.clients.add("robot", metadata, secret=None, now=NOW)
    claims = {"iss": "robot", "sub": "robot", "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": "one"}
    assertion = signed_jwt({"alg": "ES256", "kid": "mine"}, claims, key)
    form = {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
    return service.post(TOKEN, {**GRANT_TYPE, "resource": API, **form}).status_code


def by_certificate(service: Service, certificate: Any, **metadata: Any) -> int:
    name = metadata["token_endpoint_auth_method"]
    service.stores.clients.add(name, client_metadata(**metadata), secret=None, now=NOW)
    return service.post(TOKEN, {**GRANT_TYPE, "client_id": name}, None, certificate).status_code


def by_own_certificate(service: Service, ca: Any) -> int:
    certificate = certified("CN=own", ca)
    method = {"token_endpoint_auth_method": "self_signed_tls_client_auth"}
    return by_certificate(service, certificate, certificates=(certificate.thumbprint,), **method)


def by_named_certificate(service: Service, ca: Any) -> int:
    certificate = certified("CN=named", ca, names=(x509.DNSName("named.example"),))
    method = {"token_endpoint_auth_method": "tls_client_auth"}
    return by_certificate(service, certificate, tls_client_auth_san_dns="named.example", **method)


def by_nothing(service: Service) -> int:
    """Return 200 if a public client is not refused as unauthenticated."""
    bound = {"token_endpoint_auth_method": "none", "dpop_bound_access_tokens": True}
    grants = ("authorization_code", "refresh_token")
    metadata = client_metadata(grant_types=grants, redirect_uris=("https://a.example/cb",), **bound)
    service.stores.clients.add("public", metadata, secret=None, now=NOW)
    form = {"grant_type": "authorization_code", "client_id": "public", "code": "x" * 43}
    form |= {"code_verifier": "v" * 43, "redirect_uri": "https://a.example/cb"}
    proof = dpop.proof(htm="POST", htu=ISSUER + TOKEN)
    answer = service.open(TOKEN, data=form, headers={"DPoP": proof})
    return 200 if answer.json["error"] == "invalid_grant" else answer.status_code


def test_each_method_of_authentication_works(one, ca):
    """Exactly the methods that are named authenticate a client at the token endpoint."""
    ways = {
        "client_secret_basic": lambda: by_secret(one),
        "client_secret_post": lambda: in_the_form(one),
        "private_key_jwt": lambda: by_own_key(one),
        "self_signed_tls_client_auth": lambda: by_own_certificate(one, ca),
        "tls_client_auth": lambda: by_named_certificate(one, ca),
        "none": lambda: by_nothing(one),
    }
    assert set(ways) == set(get_args(ClientAuthMethod))
    named = set(document(one)["token_endpoint_auth_methods_supported"])
    worked = {method: way() for method, way in ways.items()}
    assert {method for method, status in worked.items() if status == 200} == named


def test_each_grant_type_is_offered(one):
    """Exactly the grant types that are named are grants of the token endpoint."""
    named = set(document(one)["grant_types_supported"])
    types = {*get_args(GrantType), "implicit", "password", "urn:ietf:params:oauth:grant-type:saml2-bearer"}
    errors = {one_type: one.ask_token(grant_type=one_type).json.get("error") for one_type in types}
    assert {one_type for one_type, error in errors.items() if error != "unsupported_grant_type"} == named


def test_each_signing_algorithm_of_proofs_works(one):
    """Exactly the algorithms that are named sign DPoP proofs (RFC 9449 5.1)."""
    named = document(one)["dpop_signing_alg_values_supported"]
    assert named == list(SIGNING_ALGORITHMS)
    headers = {"Authorization": basic("billing", SECRETS["billing"])}
    for algorithm in named:
        sent = headers | {"DPoP": dpop.proof(algorithm=algorithm, htm="POST", htu=ISSUER + TOKEN)}
        assert one.open(TOKEN, data=GRANT_TYPE, headers=sent).json["token_type"] == "DPoP"
    for algorithm in ("none", "HS256", "RS1", "ES256K"):
        proof = dpop.proof(header={"alg": algorithm}, htm="POST", htu=ISSUER + TOKEN)
        answer = one.open(TOKEN, data=GRANT_TYPE, headers=headers | {"DPoP": proof})
        assert answer.json["error"] == "invalid_dpop_proof"


def test_each_scope_is_that_of_a_client(one):
    """The scopes that are named are those that clients may ask for at resource servers."""
    assert set(document(one)["scopes_supported"]) >= {"read", "write", "audit"}
    assert not {"admin", "keys", "revocations"} & set(document(one)["scopes_supported"])


def test_browsers_get_what_is_said(with_people):
    """The metadata of a service with logins say code with S256 and `iss`, as the tests of requests hold."""
    found = document(with_people)
    assert found["response_types_supported"] == ["code"]
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["authorization_response_iss_parameter_supported"] is True
    assert found["pushed_authorization_request_endpoint"] == ISSUER + "/oauth2/par"


BROWSERS = {
    *("authorization_endpoint", "pushed_authorization_request_endpoint", "code_challenge_methods_supported"),
    *("require_pushed_authorization_requests", "authorization_response_iss_parameter_supported"),
    *("device_authorization_endpoint", "response_modes_supported"),
}


def test_without_people_nothing_of_theirs_is_named(service):
    """A service without logins names no endpoint of browsers and devices, and has none."""
    found = document(service)
    assert found.keys() & BROWSERS == set()
    assert found["response_types_supported"] == []
    assert "none" not in found["token_endpoint_auth_methods_supported"]
    for path in ("/oauth2/par", "/oauth2/device_authorization"):
        assert service.open(path).status_code == 404


OF_PROVIDERS = ("/.well-known/openid-configuration", "/.well-known/webfinger", "/oauth2/userinfo")


@pytest.mark.parametrize("path", OF_PROVIDERS)
def test_it_is_no_openid_provider(one, path):
    """The service gives no ID tokens, and does not look like a provider that does."""
    answer = one.open(path, method="GET")
    assert (answer.status_code, answer.json["error"]) == (404, "not_found")
    names = document(one).keys()
    assert not names & {"jwks_uri", "userinfo_endpoint", "subject_types_supported"}
    assert "id_token" not in json.dumps(document(one))


def test_an_issuer_with_a_path_has_two_documents(start):
    """An issuer with a path has its document before the path (RFC 8414 3.1) and below it, the same."""
    service = start(issuer=ISSUER + "/tenant", root_path="/tenant")
    before = service.open(PATH + "/tenant", method="GET").json
    assert before == service.open("/tenant" + PATH, method="GET").json
    assert before["issuer"] == ISSUER + "/tenant"
    for name in endpoints_of(before):
        assert before[name].startswith(ISSUER + "/tenant/")
    assert service.open(PATH, method="GET").status_code == 404


def endpoints_of(found: dict[str, Any]) -> list[str]:
    return [name for name in found if name.endswith("_endpoint")]
