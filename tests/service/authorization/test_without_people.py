"""A service without an upstream provider, and the metadata of one that has it."""

import pytest

from tests.support.browsers import Browser, request_of
from tests.support.service import ISSUER, refused

METADATA = "/.well-known/oauth-authorization-server"
OF_PEOPLE = {
    "authorization_endpoint": f"{ISSUER}/oauth2/authorize",
    "pushed_authorization_request_endpoint": f"{ISSUER}/oauth2/par",
    "require_pushed_authorization_requests": False,
    "response_types_supported": ["code"],
    "response_modes_supported": ["query"],
    "code_challenge_methods_supported": ["S256"],
    "authorization_response_iss_parameter_supported": True,
}


def test_a_service_without_a_provider_says_so(service):
    """Without an upstream provider the authorization endpoint is a page that tells the operator's remedy."""
    answer = Browser(service, None).get("/oauth2/authorize", request_of())
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "MACAROON_CBAT_UPSTREAM_ISSUER" in answer.text


def test_a_service_without_a_provider_has_no_grant_of_people(service):
    """Without an upstream provider the grant is unsupported, and nothing else of people is there."""
    form = {"grant_type": "authorization_code", "code": "x", "code_verifier": "x" * 43}
    refused(service.post("/oauth2/token", form, "billing"), 400, "unsupported_grant_type")
    for path in ("/oauth2/par", "/oauth2/consent", "/oauth2/callback", "/oauth2/logout"):
        assert service.open(path, method="GET").status_code == 404


def test_the_metadata_name_no_more_than_there_is(service):
    """Metadata and OpenAPI document of a service without a provider name no endpoint of people."""
    members = service.open(METADATA, method="GET").json
    assert not (OF_PEOPLE.keys() - {"response_types_supported"}) & members.keys()
    assert members["response_types_supported"] == []
    assert "authorization_code" not in members["grant_types_supported"]
    assert "/oauth2/par" not in service.open("/openapi.json", method="GET").json["paths"]


def test_the_metadata_name_what_there_is(with_people):
    """Metadata and OpenAPI document of a service with a provider name its endpoints and rules."""
    members = with_people.open(METADATA, method="GET").json
    assert OF_PEOPLE.items() <= members.items()
    assert "authorization_code" in members["grant_types_supported"]
    assert "pushed_authorization_request_endpoint" in members["mtls_endpoint_aliases"]
    assert "authorization_endpoint" not in members["mtls_endpoint_aliases"]
    operation = with_people.open("/openapi.json", method="GET").json["paths"]["/oauth2/par"]["post"]
    assert "201" in operation["responses"]


@pytest.mark.parametrize(
    "path", ["/oauth2/authorize", "/oauth2/consent", "/oauth2/callback", "/oauth2/logout"]
)
def test_the_pages_are_below_the_path_of_the_issuer(start, upstream, path):
    """The pages of an issuer with a path are below it, and nowhere else."""
    service = start(is_kept=True, issuer=f"{ISSUER}/auth", people=upstream.settings())
    assert service.open(path, method="GET").status_code == 404
    assert service.open(f"/auth{path}", method="GET").status_code in (200, 400, 403)
