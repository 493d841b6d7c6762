"""The main job, end to end: mint over HTTP, bind at the holder's, verify against the connection."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client import httpx as for_httpx
from macaroon_cbat.client import requests as for_requests
from macaroon_cbat.errors import Refused
from macaroon_cbat.macaroon.inspection import confirmations
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.holders import House
from tests.support.service_process import API
from tests.support.tls_servers import Server

Call = Callable[..., tuple[int, dict[str, Any]]]


def by_requests(server: Server, source: Any, certificate: ClientCertificate, **terms: Any) -> tuple[int, Any]:
    auth = for_requests.MacaroonAuth(source, certificate, **terms)
    with for_requests.certificate_session(auth, server.folder / "ca.pem") as session:
        response = session.get(f"https://localhost:{server.port}/invoices/7", timeout=60)
        return response.status_code, response.json()


def by_httpx(server: Server, source: Any, certificate: ClientCertificate, **terms: Any) -> tuple[int, Any]:
    auth = for_httpx.MacaroonAuth(source, certificate, **terms)
    transport = for_httpx.CertificateTransport(certificate, server.folder / "ca.pem")
    with httpx.Client(auth=auth, transport=transport) as client:
        response = client.get(f"https://localhost:{server.port}/invoices/7")
        return response.status_code, response.json()


ADAPTERS = {"requests": by_requests, "httpx": by_httpx}


@pytest.mark.parametrize("call", ADAPTERS.values(), ids=ADAPTERS)
@pytest.mark.parametrize("kind", ["P-256", "RSA", "Ed25519", "expired", "CA-signed", "of an unknown CA"])
def test_every_certificate_binds(house: House, guarded: Server, kind: str, call: Call):
    """A token minted unbound is good over any certificate's connection, once bound to it just before use."""
    status, principal = call(guarded, house.source(scope="read"), house.certificate(kind))
    assert status == 200
    assert principal["certificate"] == house.thumbprint(kind)
    assert (principal["client_id"], principal["subject"], principal["scope"]) == ("basic", "basic", ["read"])


CLIENTS = {
    "client_secret_basic": ("basic", "P-256"),
    "bound at minting": ("bound", "P-256"),
    "self_signed_tls_client_auth": ("self-signed", "P-256"),
    "tls_client_auth": ("of-a-ca", "CA-signed"),
    "bound at minting, with Ed25519": ("bound", "Ed25519"),
}


@pytest.mark.parametrize(("name", "kind"), CLIENTS.values(), ids=CLIENTS)
def test_every_client_authentication_walks(house: House, guarded: Server, name: str, kind: str):
    """A client of each authentication method mints, binds and calls; some tokens are minted bound."""
    source = house.source(name, kind)
    is_bound = name == "bound"
    assert confirmations(read_macaroon(source())) == ({house.thumbprint(kind)} if is_bound else frozenset())
    status, principal = by_requests(guarded, source, house.certificate(kind))
    assert (status, principal["client_id"]) == (200, name)
    assert principal["certificate"] == house.thumbprint(kind)


def test_client_secret_post_walks(house: House, guarded: Server):
    """A secret in the form, as client_secret_post sends it, gets a token that walks."""
    form = {"grant_type": "client_credentials", "client_id": "post", "client_secret": house.secrets["post"]}
    url, trust = house.service.issuer + "/oauth2/token", str(house.service.ca)
    answer = requests.post(url, data=form, verify=trust, timeout=60)
    assert answer.status_code == 200
    assert by_httpx(guarded, answer.json()["access_token"], house.certificate())[0] == 200


REFUSED = {
    "a wrong secret": ("basic", "wrong", "P-256"),
    "another certificate than registered": ("self-signed", None, "RSA"),
    "a certificate of an unknown CA": ("of-a-ca", None, "of an unknown CA"),
    "a certificate for another name": ("of-a-ca", None, "CA-signed for another"),
    "a certificate where a secret is registered": ("basic", None, "P-256"),
}


@pytest.mark.parametrize(("name", "secret", "kind"), REFUSED.values(), ids=REFUSED)
def test_wrong_credentials_get_no_token(house: House, name: str, secret: str | None, kind: str):
    """A client that does not authenticate gets no token."""
    source = house.service.client(name, secret, certificate=house.certificate(kind), resource=API)
    with pytest.raises(Refused) as refused:
        source()
    assert refused.value.code == "invalid_client"


def test_a_bound_client_without_a_certificate_gets_no_token(house: House):
    """A client that gets bound tokens only gets an error without a certificate, not an unbound token."""
    with pytest.raises(Refused) as refused:
        house.source("bound")()
    assert refused.value.code == "invalid_request"


@pytest.mark.parametrize("call", ADAPTERS.values(), ids=ADAPTERS)
def test_a_child_for_one_request_walks(house: House, guarded: Server, call: Call):
    """A child that is good for the method and target of its request only is good for that request."""
    assert call(guarded, house.source(), house.certificate(), bind_request=True)[0] == 200


def test_a_child_for_another_target_is_refused(house: House, guarded: Server):
    """A child that was made for one request is refused for another one, whatever its headers say."""
    auth = for_requests.MacaroonAuth(house.source(), house.certificate(), bind_request=True)
    request = requests.Request("GET", f"https://localhost:{guarded.port}/invoices/7", auth=auth).prepare()
    headers = {"Authorization": str(request.headers["Authorization"])}
    context = guarded.context(house.holders["P-256"])
    assert guarded.ask("/invoices/7?page=2", context, headers=headers).status == 200
    assert guarded.ask("/invoices/8", context, headers=headers).status == 401
    assert guarded.ask("/invoices/7", context, headers=headers, method="POST").status == 401
    evil = {**headers, "Host": "evil.example"}
    assert guarded.ask("/invoices/7", context, headers=evil).status == 200
    assert (
        guarded.ask("/invoices/8", context, headers={**evil, "X-Original-URL": "/invoices/7"}).status == 401
    )


def test_too_little_scope_is_403(house: House, guarded: Server):
    """A good token without the resource's scope is 403 and learns which one it needs."""
    auth = for_requests.MacaroonAuth(house.source(), house.certificate())
    with for_requests.certificate_session(auth, guarded.folder / "ca.pem") as session:
        response = session.get(f"https://localhost:{guarded.port}/admin", timeout=60)
    assert response.status_code == 403
    assert 'scope="admin"' in response.headers["WWW-Authenticate"]
