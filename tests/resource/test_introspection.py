"""Introspection against the real service over TLS."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from flask import Flask
from pymacaroons import Macaroon

from macaroon_cbat import Caveat, Expiry, Scope, attenuate, confirmation, thumbprint_of
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.caveats import ClientAddress, Method, PathPrefix, TargetUri
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.minting import add_third_party_caveat
from macaroon_cbat.resource import Introspection
from tests.support.discharging import asking as third_party
from tests.support.discharging import discharge, in_one_header
from tests.support.forged_tokens import forged
from tests.support.guarded_app import CERTIFICATE, THIEF, call, document, make_app
from tests.support.ports import free_port
from tests.support.service_process import API, Service
from tests.support.tls_servers import Client, make_client
from tests.support.tokens import token as make_token

BOUND = confirmation(thumbprint_of(DerCertificate(CERTIFICATE)))


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Client:
    return make_client(tmp_path_factory.mktemp("api"), "api-by-certificate")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = Service(tmp_path_factory.mktemp("service"), free_port())
    with service.running():
        yield service


@pytest.fixture(scope="module")
def secrets(service: Service, api: Client) -> dict[str, str]:
    calls, serves = ("--scope", "read write", "--audience", API), ("--serves", API)
    registered = ("--auth", "self_signed_tls_client_auth", "--certificate", api.file)
    return {
        "billing": service.add("billing", *calls, "--audience", "https://other.example"),
        "api": service.add("api", *serves, "--understands-caveats"),
        "simple": service.add("simple", *serves),
        "stranger": service.add("stranger", *calls, "--serves", "https://other.example"),
        "by-certificate": service.add("by-certificate", *serves, *registered),
    }


@pytest.fixture
def token(service: Service, secrets: dict[str, str]) -> str:
    return service.client("billing", secrets["billing"], resource=API)()


def asking(service: Service, name: str, secret: str | None, **settings: Any) -> Flask:
    """Return an application that asks the service about every token, at the real time."""
    introspection = Introspection(service.issuer, API, name, secret, ca=service.ca, **settings)
    return make_app(verifier=introspection, clock=time.time)


@pytest.fixture
def app(service: Service, secrets: dict[str, str]) -> Flask:
    return asking(service, "api", secrets["api"])


def test_an_active_token_passes(app: Flask, token: str):
    """A token that the service calls active passes over the connection it is bound to."""
    response = call(app, attenuate(token, [BOUND]))
    assert response.status_code == 200
    assert response.json == {"client": "billing", "scope": ["read", "write"], "rest": ""}


def test_scope_caveats_narrow(app: Flask, token: str):
    """The principal has what the caveats leave of the scope."""
    assert call(app, attenuate(token, [BOUND, Scope("read")])).json["scope"] == ["read"]  # type: ignore[index]
    assert call(app, attenuate(token, [BOUND, Scope("read")]), path="/both").status_code == 403


def test_the_certificate_is_compared_here(app: Flask, token: str):
    """The service calls a bound token active over any connection: the guard compares the certificate."""
    child = attenuate(token, [BOUND])
    assert call(app, child).status_code == 200
    assert call(app, child, certificate=THIEF).status_code == 401
    assert call(app, child, certificate=None).status_code == 401


def test_an_unbound_token_is_refused(app: Flask, token: str):
    """A token that the service calls active is refused without a confirmation."""
    assert call(app, token).status_code == 401


def test_a_revoked_token_is_refused(app: Flask, service: Service, secrets: dict[str, str], token: str):
    """A token is refused from the moment at which its client revoked it, and so are its children."""
    child = attenuate(token, [BOUND])
    assert call(app, child).status_code == 200
    response = requests.post(
        service.issuer + "/oauth2/revoke",
        data={"token": token, "client_id": "billing", "client_secret": secrets["billing"]},
        verify=str(service.ca),
        timeout=5,
    )
    assert response.status_code == 200
    assert call(app, child).status_code == 401


REFUSED: dict[str, list[Caveat]] = {
    "expired child": [Expiry(EpochSeconds(1))],
    "nothing left of the scope": [Scope("admin")],
    "another certificate before": [confirmation(thumbprint_of(DerCertificate(THIEF)))],
}


@pytest.mark.parametrize("caveats", REFUSED.values(), ids=REFUSED)
def test_what_the_caveats_refuse_is_refused(app: Flask, token: str, caveats: list[Caveat]):
    """A restricted token is refused where its caveats say so."""
    assert call(app, attenuate(token, [*caveats, BOUND])).status_code == 401
    assert call(app, attenuate(token, [BOUND, *caveats])).status_code == 401


OF_THE_REQUEST: dict[str, tuple[Caveat, Caveat]] = {
    "htm": (Method("GET"), Method("POST")),
    "htu": (TargetUri("https://api.example/invoices"), TargetUri("https://api.example/other")),
    "path": (PathPrefix("/invoices"), PathPrefix("/other")),
    "ip": (ClientAddress("192.0.2.0/24"), ClientAddress("10.0.0.0/8")),
}


@pytest.mark.parametrize(("met", "unmet"), OF_THE_REQUEST.values(), ids=OF_THE_REQUEST)
def test_caveats_about_the_request_are_judged_here(app: Flask, token: str, met: Caveat, unmet: Caveat):
    """A resource server that understands caveats judges those about the request itself."""
    assert call(app, attenuate(token, [BOUND, met])).status_code == 200
    assert call(app, attenuate(token, [BOUND, unmet])).status_code == 401
    assert call(app, attenuate(token, [unmet, BOUND, met])).status_code == 401


@pytest.mark.parametrize(("met", "unmet"), OF_THE_REQUEST.values(), ids=OF_THE_REQUEST)
def test_caveats_without_a_judge_are_refused(
    service: Service, secrets: dict[str, str], token: str, met: Caveat, unmet: Caveat
):
    """For one that is not registered as understanding caveats, such a token is inactive, met or not."""
    simple = asking(service, "simple", secrets["simple"])
    assert call(simple, attenuate(token, [BOUND])).status_code == 200
    assert call(simple, attenuate(token, [BOUND, met])).status_code == 401
    assert call(simple, attenuate(token, [BOUND, unmet])).status_code == 401


def test_an_unknown_caveat_is_refused(app: Flask, token: str):
    """An unknown caveat makes the token inactive."""
    macaroon = Macaroon.deserialize(attenuate(token, [BOUND]))
    macaroon.add_first_party_caveat(b'{"color":"blue"}')
    assert call(app, macaroon.serialize()).status_code == 401


def test_a_third_party_caveat_is_refused(app: Flask, token: str):
    """A third-party caveat without its discharge is refused by name."""
    child = add_third_party_caveat(attenuate(token, [BOUND]), "https://third.example", bytes(32), b"who")
    response = call(app, child)
    assert response.status_code == 401
    assert "third-party caveat 2 at 'https://third.example' has no" in response.json["error_description"]


def test_a_forged_token_is_refused(app: Flask, token: str):
    """A token of another issuer, or with another signature, is inactive."""
    assert call(app, make_token(BOUND, exp=4_000_000_000)).status_code == 401
    child = attenuate(token, [BOUND])
    assert call(app, forged(child)).status_code == 401


def test_another_audience_s_token_is_refused(app: Flask, service: Service, secrets: dict[str, str]):
    """A token for another resource server is refused, though it is good there."""
    other = service.client("billing", secrets["billing"], resource="https://other.example")()
    assert call(app, attenuate(other, [BOUND])).status_code == 401


def test_malformed_text_is_never_sent(token: str):
    """A text that is no macaroon is refused here, without a call: no service is there to answer one."""
    down = Service(Path("/nowhere"), free_port())
    introspection = Introspection(down.issuer, API, "api", "s")
    app = make_app(verifier=introspection, clock=time.time)
    assert call(app, "rubbish").status_code == 401
    assert call(app, token[:-1] + "=").status_code == 401
    assert call(app, attenuate(token, [BOUND])).status_code == 503


def test_a_refresh_token_is_no_access_token():
    """A refresh token is refused here, without a call: its own client's question has the answer active."""
    down = Service(Path("/nowhere"), free_port())
    app = make_app(verifier=Introspection(down.issuer, API, "api", "s"), require_certificate=False)
    assert call(app, make_token(fam="family", kid="family")).status_code == 401
    assert call(app, make_token(fam="family")).status_code == 503


@pytest.mark.parametrize("name", ["api", "unknown"])
def test_wrong_credentials_of_ours_are_503(service: Service, secrets: dict[str, str], token: str, name: str):
    """A service that does not know the resource server gives no verdict: that is not the caller's fault."""
    assert call(asking(service, name, "wrong"), attenuate(token, [BOUND])).status_code == 503


def test_a_resource_server_may_authenticate_by_certificate(
    service: Service, secrets: dict[str, str], token: str, api: Client
):
    """A resource server may authenticate with its certificate instead of a secret."""
    app = asking(service, "by-certificate", None, certificate=api.file)
    assert call(app, attenuate(token, [BOUND])).status_code == 200


def test_another_certificate_of_ours_is_503(
    service: Service, secrets: dict[str, str], token: str, tmp_path: Path
):
    """With a certificate that is not registered the service does not know us, and gives no verdict."""
    other = make_client(tmp_path, "other")
    app = asking(service, "by-certificate", None, certificate=other.file)
    assert call(app, attenuate(token, [BOUND])).status_code == 503


def test_one_that_serves_another_audience_learns_nothing(
    service: Service, secrets: dict[str, str], token: str
):
    """A resource server that is registered for another audience gets inactive, and refuses."""
    app = asking(service, "stranger", secrets["stranger"])
    assert call(app, attenuate(token, [BOUND])).status_code == 401


def test_the_metadata_say_what_is_enforced(app: Flask, service: Service):
    """The metadata name the service as the authorization server, and that bound tokens are demanded."""
    found = document(app)
    assert found["authorization_servers"] == [service.issuer]
    assert found["tls_client_certificate_bound_access_tokens"] is True


def test_a_service_that_goes_down_is_503(service: Service, tmp_path: Path):
    """A service that is down gives no verdict, over a kept connection too; later it is asked again."""
    mortal = Service(tmp_path / "data", free_port())
    mortal.data.mkdir()
    with mortal.running():
        secret = mortal.add("billing", "--scope", "read", "--audience", API, "--serves", API)
        child = attenuate(mortal.client("billing", secret)(), [BOUND])
        app = asking(mortal, "billing", secret)
        assert call(app, child).status_code == 200
    assert call(app, child).status_code == 503
    with mortal.running():
        assert call(app, child).status_code == 200


@pytest.mark.parametrize("given", [{}, {"client_secret": "s", "certificate": "c.pem", "key": "c.key"}])
def test_one_way_to_authenticate_is_named(given):
    """A resource server authenticates by a secret or a certificate: neither and both are said at start-up."""
    with pytest.raises(SettingsError, match="a client secret or a client certificate: give one of them"):
        Introspection("https://as.example", "https://api.example", "api", **given)


def test_discharges_are_introspected_and_judged_here(service: Service, secrets: dict[str, str], token: str):
    """Discharges go to the service with the token, and their caveats are judged as the token's own."""
    app = asking(service, "api", secrets["api"], cache_seconds=60)
    child = third_party(attenuate(token, [BOUND]))
    headers = {method: in_one_header(child, discharge(child, Method(method))) for method in ("GET", "POST")}
    for _ in range(2):  # the second answer is remembered, for this token with these discharges
        assert call(app, headers=headers["GET"]).status_code == 200
        assert call(app, headers=headers["POST"]).status_code == 401
    forged = in_one_header(child, discharge(child, secret=b"j" * 32))
    assert call(app, headers=forged).status_code == 401
    assert call(app, child).status_code == 401
