"""Apache with mod_oauth2 under requests of several clients at once, and of one over one connection."""

import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection

import pytest

from tests.support.proxies.clients import Ask, tls_context
from tests.support.proxies.showing_upstream import showing_upstream
from tests.support.relying.apache_gateway import Gateway, apache_gateway
from tests.support.relying.realm import Realm
from tests.support.tls_servers import SECONDS

ROUNDS = 40


@pytest.fixture(scope="module", params=["0", "30"], ids=["no cache", "cache"])
def gateway(
    request: pytest.FixtureRequest, realm: Realm, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Run Apache with a cache and without."""
    asking = (realm.service.issuer, "promising", realm.secrets["promising"])
    options = ("--scope", "read", "--cache-seconds", request.param)
    socket = tmp_path_factory.mktemp("behind") / "socket"
    with (
        showing_upstream(socket) as upstream,
        apache_gateway(upstream.port, realm.service.ca, *asking, *options) as one,
    ):
        yield one


def test_holder_and_thief_at_once(realm: Realm, gateway: Gateway):
    """The holder is let in every time and a thief with the same child never, whatever happens at once."""
    child = realm.child()
    headers = (("Authorization", f"Bearer {child}"),)
    clients = [realm.holder, realm.thief, None, realm.holder] * ROUNDS
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda client: gateway.ask(Ask(headers=headers, client=client)), clients))
    outcomes = [reply.outcome for reply in replies]
    assert outcomes == ["200", "401", "401", "200"] * ROUNDS


def test_each_request_of_a_connection_needs_its_token(realm: Realm, gateway: Gateway):
    """Each request over the holder's connection is refused without a good token of its own."""
    good, another_s = realm.child(), realm.child_of(realm.thief)
    context: ssl.SSLContext = tls_context(gateway.folder / "ca.pem", realm.holder)
    connection = HTTPSConnection("localhost", gateway.tls, context=context, timeout=SECONDS)
    statuses = []
    for token in (good, None, another_s, good, realm.token(), good):
        connection.request("GET", "/", headers={} if token is None else {"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses == [200, 401, 401, 200, 401, 200]
