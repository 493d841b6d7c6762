"""The metadata of the service (RFC 8414, RFC 8705 3.3 and 5)."""

from urllib.parse import urlsplit

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from tests.support.service import GRANT_TYPE, ISSUER, refused

PATH = "/.well-known/oauth-authorization-server"
ENDPOINTS = (
    *("token_endpoint", "introspection_endpoint", "revocation_endpoint", "audience_keys_endpoint"),
    *("revocation_feed_endpoint", "macaroon_discharge_endpoint", "macaroon_grants_endpoint"),
    *("macaroon_inspection_endpoint", "macaroon_restriction_endpoint", "registration_endpoint"),
)
SECRET_METHODS = {"client_secret_basic", "client_secret_post"}


def metadata_of(service, **request) -> dict:
    answer = service.open(PATH, method="GET", **request)
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    document: dict = answer.json
    return document


@pytest.fixture
def service(new_service):
    """Start a service that remembers no scopes of another test."""
    return new_service


@pytest.fixture
def trusting(start, ca, tmp_path):
    file = tmp_path / "ca.pem"
    file.write_bytes(ca.pem)
    return start(client_ca=file)


def test_the_issuer_comes_from_the_settings(service):
    """No header of a request changes a word of the metadata."""
    expected = metadata_of(service)
    assert expected["issuer"] == ISSUER
    headers = {
        "Host": "evil.example",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "Forwarded": "host=evil.example;proto=http",
    }
    assert metadata_of(service, headers=headers) == expected
    assert metadata_of(service, base_url="http://evil.example:81/prefix") == expected
    assert "evil" not in str(expected)


def test_the_document_is_as_authlib_reads_it(service, trusting):
    """Authlib's reader of RFC 8414 finds no fault with the document, but for what only browsers need."""
    for one in (service, trusting):
        document = AuthorizationServerMetadata(metadata_of(one))
        for key in AuthorizationServerMetadata.REGISTRY_KEYS:
            if key not in {"response_types_supported", "authorization_endpoint"}:
                getattr(document, f"validate_{key}")()
        assert document["response_types_supported"] == []


def test_every_endpoint_exists(service):
    """Every endpoint in the metadata is one that this service answers at."""
    document = metadata_of(service)
    urls = [value for name, value in document.items() if name.endswith("_endpoint")]
    urls += document["mtls_endpoint_aliases"].values()
    assert len(urls) == 2 * len(ENDPOINTS)
    for url in urls:
        assert url.startswith(ISSUER + "/")
        answers = {service.open(urlsplit(url).path, method=method).status_code for method in ("GET", "POST")}
        assert 405 in answers
        assert answers & {400, 401, 415}


def test_the_aliases_are_elsewhere_when_set(start):
    """The aliases alone name another address at which client certificates are taken (RFC 8705 5)."""
    document = metadata_of(start(mtls_url="https://mtls.as.example:8444"))
    assert document["mtls_endpoint_aliases"] == {
        name: document[name].replace(ISSUER, "https://mtls.as.example:8444") for name in ENDPOINTS
    }
    assert document["token_endpoint"] == ISSUER + "/oauth2/token"


def test_bound_tokens_are_announced(service):
    """The service says that it mints certificate-bound tokens (RFC 8705 3.3)."""
    assert metadata_of(service)["tls_client_certificate_bound_access_tokens"] is True


def test_methods_are_announced_as_they_are(service, trusting):
    """tls_client_auth is offered only where a CA is trusted; a public client can do nothing but revoke."""
    methods = SECRET_METHODS | {"private_key_jwt", "self_signed_tls_client_auth"}
    for one, expected in ((service, methods), (trusting, methods | {"tls_client_auth"})):
        document = metadata_of(one)
        assert set(document["token_endpoint_auth_methods_supported"]) == expected
        assert set(document["introspection_endpoint_auth_methods_supported"]) == expected
        assert set(document["revocation_endpoint_auth_methods_supported"]) == expected | {"none"}


@pytest.mark.parametrize("endpoint", ["token", "introspection", "revocation"])
def test_algorithms_of_assertions_are_announced(service, endpoint):
    """The algorithms of client assertions are those with a public key, at each endpoint (RFC 8414 2)."""
    announced = metadata_of(service)[f"{endpoint}_endpoint_auth_signing_alg_values_supported"]
    assert {"RS256", "PS256", "ES256", "EdDSA"} <= set(announced)
    assert not {"none", "HS256", "HS384", "HS512"} & set(announced)


def test_the_grant_types_are_those_that_work(service):
    """Exactly the announced grant types are answered with a token."""
    named = metadata_of(service)["grant_types_supported"]
    assert GRANT_TYPE["grant_type"] in named
    for grant_type in set(named) - {GRANT_TYPE["grant_type"]}:
        assert service.ask_token(grant_type=grant_type).json["error"] != "unsupported_grant_type"
    assert service.ask_token().status_code == 200
    for grant_type in ("implicit", "password"):
        refused(service.ask_token(grant_type=grant_type), 400, "unsupported_grant_type")


def test_the_document_may_be_kept_for_a_while(service):
    """The metadata are the same for everybody, and may be cached for five minutes."""
    assert service.open(PATH, method="GET").headers["Cache-Control"] == "max-age=300"
    assert service.open(PATH, method="HEAD").status_code == 200


def test_the_issuer_is_remembered(start, tmp_path):
    """A service without an issuer setting is the issuer that ran on this database before."""
    assert metadata_of(start(issuer=None))["issuer"] == ISSUER
    assert metadata_of(start(issuer="https://new.example"))["issuer"] == "https://new.example"
    assert metadata_of(start(issuer=None))["issuer"] == "https://new.example"
