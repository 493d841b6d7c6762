"""OAuth clients in Python that others wrote, Authlib and requests_oauth2client, over mutual TLS."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from authlib.integrations.base_client import OAuthError
from requests_oauth2client import DPoPToken
from requests_oauth2client.exceptions import EndpointError

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.errors import CaveatsNotMet
from macaroon_cbat.macaroon.caveats import Access
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.keys import read_key_file
from macaroon_cbat.macaroon.verification import verify
from tests.support.relying.oidc_provider import WalkingBrowser
from tests.support.relying.python_clients import (
    CALLBACK,
    AuthlibClient,
    PythonClient,
    RequestsClient,
    Walk,
    refused_as,
)
from tests.support.service_process import API, Service
from tests.support.tls_servers import Client, make_client

REFUSED = (OAuthError, EndpointError)
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
LOGIN = ["--grant", "authorization_code", "--grant", "refresh_token", "--redirect-uri", CALLBACK]
RIGHTS = ["--scope", "read write", "--audience", API, "--checks-certificates"]

Made = Callable[[str], PythonClient]
"""Makes a client of the library of this test: the confidential `web`, or the public `native`."""


@pytest.fixture(scope="module")
def secrets(service: Service) -> dict[str, str]:
    """Register the clients; those with a secret may do more."""
    more = ["--grant", "client_credentials", "--grant", "token-exchange", *LOGIN]
    public = ["--auth", "none", "--scope", "read write", "--audience", API, *LOGIN]
    return {
        "web": service.add("web", *RIGHTS, "--bound", *more),
        "native": service.add("native", *public, "--bound"),
        "tablet": service.add("tablet", *public, "--dpop", "--grant", "device_code"),
    }


@pytest.fixture(scope="module")
def certificate(service: Service) -> Client:
    """Make the certificate of all connections."""
    return make_client(service.data, "python")


@pytest.fixture(params=[AuthlibClient, RequestsClient], ids=["Authlib", "requests_oauth2client"])
def made(request: pytest.FixtureRequest, service: Service, certificate: Client, secrets) -> Made:
    """Return what makes a client of each library, which discovers the service."""
    return lambda name: request.param(service.issuer, service.ca, certificate.file, name, secrets[name])


@pytest.fixture(scope="module")
def tablet(service: Service, certificate: Client, secrets: dict[str, str]) -> RequestsClient:
    """Return a public client with DPoP, which Authlib does not know."""
    return RequestsClient(
        service.issuer,
        service.ca,
        certificate.file,
        "tablet",
        secrets["tablet"],
        dpop_bound_access_tokens=True,
    )


@pytest.fixture
def walk(browser: WalkingBrowser) -> Walk:
    """Log in as alice, and return where the browser is led in the end."""
    return lambda url: f"{CALLBACK}?{urlencode(browser.walk(url, CALLBACK, 'alice'))}"


@pytest.fixture(scope="module")
def keys(service: Service, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Export the keys of the resource server."""
    return service.export(tmp_path_factory.mktemp("keys") / "keys.json").read_bytes()


def subject_of(token: str, keys: bytes, certificate: bytes) -> str:
    """Return the subject of a token that comes over a connection with this certificate."""
    access = Access(
        now=EpochSeconds(int(time.time())),
        audience=API,
        certificate=thumbprint_of(DerCertificate(certificate)),
    )
    return verify(token, read_key_file(keys), access).subject


def test_client_credentials(made, keys, certificate, tmp_path: Path):
    """A client gets a token that is good over its own connection alone."""
    token = made("web").client_credentials(scope="read", resource=API)
    assert (token["token_type"], token["scope"]) == ("Bearer", "read")
    assert subject_of(token["access_token"], keys, certificate.der) == "web"
    with pytest.raises(CaveatsNotMet):
        subject_of(token["access_token"], keys, make_client(tmp_path, "thief").der)


@pytest.mark.parametrize(
    ("form", "code"),
    [({"scope": "root"}, "invalid_scope"), ({"resource": "https://other.example"}, "invalid_target")],
    ids=["scope", "audience"],
)
def test_a_refusal_is_understood(made, form, code):
    """A client learns the code of the RFC from a refusal."""
    with pytest.raises(REFUSED) as refused:
        made("web").client_credentials(**form)
    assert refused_as(refused.value) == code


def test_introspection_and_revocation(made, certificate):
    """A bound token is active, with its confirmation, until its client revokes it."""
    client = made("web")
    token = client.client_credentials(resource=API)["access_token"]
    told = client.introspect(token)
    thumbprint = str(thumbprint_of(DerCertificate(certificate.der)))
    assert (told["active"], told["cnf"]) == (True, {"x5t#S256": thumbprint})
    client.revoke(token)
    assert client.introspect(token) == {"active": False}


@pytest.mark.parametrize("name", ["web", "native"], ids=["confidential", "public"])
def test_a_person_logs_in(made, name, walk, keys, certificate):
    """Authorization code with PKCE, a bound token, its refresh, the end of its family."""
    client = made(name)
    token = client.log_in(walk, scope="read", resource=API)
    renewed = client.refresh(token["refresh_token"])
    assert renewed["refresh_token"] != token["refresh_token"]
    subjects = {subject_of(one["access_token"], keys, certificate.der) for one in (token, renewed)}
    assert subjects == {"user:alice"}
    client.revoke(renewed["refresh_token"])
    with pytest.raises(REFUSED) as refused:
        client.refresh(renewed["refresh_token"])
    assert refused_as(refused.value) == "invalid_grant"


@pytest.mark.parametrize("pushed", [False, True], ids=["in the URL", "pushed"])
def test_a_login_with_a_dpop_key(tablet, walk, pushed):
    """requests_oauth2client carries one key from the request over code and refresh (RFC 9126, RFC 9449)."""
    token = tablet.token_of_a_person(walk, pushed=pushed, scope="read", resource=API)
    renewed = tablet.library.refresh_token(token)
    assert isinstance(renewed, DPoPToken)
    assert renewed.refresh_token != token.refresh_token
    with pytest.raises(EndpointError) as refused:
        tablet.refresh(renewed.refresh_token)  # the text alone, as a thief has it
    assert refused_as(refused.value) == "invalid_grant"


def test_a_pushed_request_of_a_confidential_client(service, certificate, secrets, walk):
    """requests_oauth2client authenticates where it pushes its request."""
    client = RequestsClient(service.issuer, service.ca, certificate.file, "web", secrets["web"])
    token = client.token_of_a_person(walk, pushed=True, scope="write", resource=API)
    assert (token.token_type, token.scope) == ("Bearer", "write")


def test_a_token_is_exchanged_for_a_narrower_one(service, certificate, secrets):
    """requests_oauth2client exchanges a macaroon for one with less scope (RFC 8693)."""
    client = RequestsClient(service.issuer, service.ca, certificate.file, "web", secrets["web"])
    token = client.client_credentials(resource=API)["access_token"]
    narrower = client.library.token_exchange(
        subject_token=token, subject_token_type=ACCESS_TOKEN, scope="read", resource=API
    )
    assert narrower.scope == "read"


def test_a_device_is_approved(tablet, browser):
    """requests_oauth2client gets its token once a person has approved the device (RFC 8628)."""
    device = tablet.library.authorize_device(scope="read", resource=API)
    assert "is connected" in browser.finish(device.verification_uri_complete, "alice")
    token = tablet.library.device_code(device, dpop=True)
    assert (token.token_type, token.scope) == ("DPoP", "read")
