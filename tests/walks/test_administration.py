"""A walk of administration: an operator takes a client back over HTTP, and resource servers follow."""

import requests

from macaroon_cbat.client import attenuate
from macaroon_cbat.client import requests as for_requests
from macaroon_cbat.macaroon.caveats import PathPrefix
from tests.support.holders import House
from tests.support.service_process import API
from tests.support.tls_servers import Server


def status_of(house: House, server: Server, token: str) -> int:
    """Ask the resource server with a fresh child over a connection with the holder's certificate."""
    auth = for_requests.MacaroonAuth(token, house.certificate())
    with for_requests.certificate_session(auth, server.folder / "ca.pem") as session:
        return session.get(f"https://localhost:{server.port}/invoices/7", timeout=60).status_code


def test_an_operator_registers_and_takes_back(house: House, asking: Server):
    """A client registered over HTTP is let in, until the operator takes its tokens back over HTTP."""
    service = house.service
    operator = service.client("ops", service.add("ops", "--scope", "admin"), resource=service.issuer)
    certificate = house.certificate()
    session = for_requests.certificate_session(for_requests.MacaroonAuth(operator, certificate), service.ca)
    with session:
        wanted = {"client_id": "walker", "scope": "read", "audiences": [API]}
        added = session.post(service.issuer + "/admin/clients", json=wanted, timeout=60)
        assert added.status_code == 201
        walker = service.client("walker", added.json()["client_secret"], resource=API)
        token = walker()
        assert status_of(house, asking, token) == 200
        taken = {"kind": "client", "value": "walker"}
        assert session.post(service.issuer + "/admin/revocations", json=taken, timeout=60).status_code == 201
        assert status_of(house, asking, token) == 401


def test_a_child_for_the_keys_opens_no_clients(house: House):
    """An operator hands out a child for one path, which does there what it may and nothing elsewhere."""
    service = house.service
    secret = service.add("delegating", "--scope", "admin")
    token = service.client("delegating", secret, resource=service.issuer)()
    child = attenuate(token, [PathPrefix("/admin/keys")])
    auth = for_requests.MacaroonAuth(child, house.certificate())
    with for_requests.certificate_session(auth, service.ca) as session:
        assert session.get(service.issuer + "/admin/keys", timeout=60).status_code == 200
        assert session.get(service.issuer + "/admin/clients", timeout=60).status_code == 401
    bearer = {"Authorization": f"Bearer {child}"}
    answer = requests.get(service.issuer + "/admin/keys", headers=bearer, verify=service.ca, timeout=60)
    assert answer.status_code == 401
