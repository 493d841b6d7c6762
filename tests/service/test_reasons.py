"""Refusals as the operator of a service reads them, and a service that no client certificate reaches."""

import logging

import pytest
from werkzeug.test import TestResponse

from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.stores import ClientMetadata
from tests.support.certificates import Identity
from tests.support.databases import NOW
from tests.support.forged_tokens import forged
from tests.support.resource_server import register, token_for_service
from tests.support.service import API, ISSUER, SECRETS, Service, basic


@pytest.fixture
def invoices(service: Service) -> Service:
    """Return a service with a resource server registered."""
    register(service, "invoices", serves=(API,))
    return service


def told(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    """Return what the service's ordinary log has of this level."""
    named = [record for record in caplog.records if record.name == "macaroon_cbat.service"]
    return [record.getMessage() for record in named if record.levelno == level]


def test_a_wrong_secret_is_a_warning(service: Service, caplog):
    """Without an audit log a refusal of the token endpoint is one warning with its true reason."""
    answer = service.open(
        "/oauth2/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": basic("billing", "wrong")},
    )
    assert answer.status_code == 401
    assert "wrong secret" not in answer.text
    [line] = told(caplog)
    assert line.startswith(
        "a request for a token is refused with 401 invalid_client: wrong secret of billing"
    )


def test_an_inactive_token_is_a_warning(service: Service, caplog, certificate: Identity):
    """Introspection answers `{"active": false}` and no more; the service's log has the reason."""
    bound = attenuate(service.token(), [confirmation(certificate.thumbprint)])
    caplog.clear()
    assert service.introspect(bound) == {"active": False}
    assert service.introspect("rubbish") == {"active": False}
    first, second = told(caplog)
    assert "a token is called inactive: api does not compare certificate" in first
    assert "a token is called inactive: " in second
    assert bound[-30:] not in caplog.text


def test_what_is_done_is_no_warning(service: Service, caplog):
    """A token that is minted and one that is active leave the ordinary log as quiet as before."""
    token = service.token()
    assert service.introspect(token)["active"] is True
    assert told(caplog) == []


def test_the_service_names_the_failed_caveat(invoices: Service, certificate, other_certificate):
    """The service's own endpoints say to the bearer which caveat failed, as every resource server does."""
    bound = attenuate(token_for_service(invoices), [confirmation(certificate.thumbprint)])
    headers = {"Authorization": f"Bearer {bound}"}
    answer = invoices.open("/resource/keys", other_certificate, method="GET", headers=headers)
    assert answer.status_code == 401
    assert "cnf names another client certificate" in answer.text
    assert "cnf names another client certificate" in answer.headers["WWW-Authenticate"]


def hidden(service: Service, path: str, **request) -> TestResponse:
    """Send a request over a connection of a server that shows no client certificates."""
    return service.app.test_client().open(path, **request)


def test_a_bound_token_over_a_server_without_certificates(invoices: Service, caplog, certificate):
    """Under such a server the service's own endpoints are 503, with the remedy once in the log."""
    bound = attenuate(token_for_service(invoices), [confirmation(certificate.thumbprint)])
    caplog.clear()
    for _ in range(3):
        answer = hidden(invoices, "/resource/keys", headers={"Authorization": f"Bearer {bound}"})
        assert (answer.status_code, answer.json["error"]) == (503, "server_misconfigured")
    [line] = told(caplog, logging.ERROR)
    assert line.startswith("no client certificate reaches the service, because this server shows none")
    assert "MACAROON_CBAT_CERTIFICATE_FORMAT and MACAROON_CBAT_TRUSTED_PROXIES" in line
    altered = {"Authorization": f"Bearer {forged(bound)}"}
    assert hidden(invoices, "/resource/keys", headers=altered).status_code == 401


def test_a_bound_client_over_a_server_without_certificates(service: Service):
    """A client that gets bound tokens alone is not told to present what can never arrive: 503."""
    metadata = ClientMetadata(scope="read", tls_client_certificate_bound_access_tokens=True)
    service.stores.clients.add("bound", metadata, secret=SECRETS["billing"], now=NOW)
    form = {"grant_type": "client_credentials"}
    headers = {"Authorization": basic("bound", SECRETS["billing"])}
    answer = hidden(service, "/oauth2/token", method="POST", data=form, headers=headers)
    assert (answer.status_code, answer.json["error"]) == (503, "server_misconfigured")
    assert service.open("/oauth2/token", data=form, headers=headers).status_code == 400


def test_a_certificate_client_over_a_server_without_certificates(service: Service, caplog, certificate):
    """A client of a certificate gets the answer that an unknown one gets; the log has the remedy."""
    metadata = ClientMetadata(
        scope="read",
        token_endpoint_auth_method="self_signed_tls_client_auth",
        certificates=(certificate.thumbprint,),
    )
    service.stores.clients.add("certified", metadata, secret=None, now=NOW)
    answers = {
        hidden(
            service,
            "/oauth2/token",
            method="POST",
            data={"grant_type": "client_credentials", "client_id": name, "resource": ISSUER},
        ).data
        for name in ("certified", "unknown")
    }
    assert len(answers) == 1
    assert "certified needs a client certificate on the connection, where none can arrive" in told(caplog)[0]
