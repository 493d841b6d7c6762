"""Apache with mod_oauth2 when the service cannot be asked: every request is refused."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.ports import free_port
from tests.support.proxies.clients import Ask, Reply
from tests.support.proxies.showing_upstream import showing_upstream
from tests.support.relying.apache_gateway import Gateway, NoService, apache_gateway
from tests.support.relying.realm import Realm

JSON = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
)
ACTIVE = {"active": True, "client_id": "billing", "sub": "billing", "scope": "read", "jti": "j"}


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run a server behind Apache that shows what arrives; give its port."""
    with showing_upstream(tmp_path_factory.mktemp("behind") / "socket") as showing:
        yield showing.port


@pytest.fixture(scope="module")
def no_service(realm: Realm) -> Iterator[NoService]:
    """Run what has the service's certificate and answers what a test says."""
    with NoService(realm.service.data).serving() as one:
        yield one


@pytest.fixture(scope="module")
def gateway(realm: Realm, upstream: int, no_service: NoService) -> Iterator[Gateway]:
    """Run Apache that asks it."""
    issuer = f"https://localhost:{no_service.port}"
    with apache_gateway(upstream, realm.service.ca, issuer, "x", "s" * 16, "--scope", "read") as one:
        yield one


@pytest.fixture(scope="module", autouse=True)
def unanswered(realm: Realm, upstream: int) -> Iterator[Future[list[tuple[Reply, int]]]]:
    """Let a service answer a call and be silent to the next, beside other tests: mod_oauth2 waits long."""
    with NoService(realm.service.data).serving() as silent, ThreadPoolExecutor(1) as thread:
        issuer = f"https://localhost:{silent.port}"
        with apache_gateway(upstream, realm.service.ca, issuer, "x", "s" * 16, "--scope", "read") as one:
            yield thread.submit(answered_and_not, one, realm, silent)


def answered_and_not(gateway: Gateway, realm: Realm, service: NoService) -> list[tuple[Reply, int]]:
    """Return the replies to two calls, each with how often the service had been asked by then."""
    answering(service, bound(realm))
    answered = call(gateway, realm), service.asked
    service.answer = None
    return [answered, (call(gateway, realm), service.asked)]


def call(gateway: Gateway, realm: Realm) -> Reply:
    """Call as the holder, with a token that is good."""
    return gateway.ask(Ask(headers=(("Authorization", f"Bearer {realm.child()}"),), client=realm.holder))


def answering(no_service: NoService, claims: object) -> None:
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    no_service.answer = JSON % (len(body), body)


def bound(realm: Realm) -> dict[str, object]:
    return ACTIVE | {"cnf": {"x5t#S256": thumbprint_of(DerCertificate(realm.holder.der))}}


def is_refused(reply: Reply) -> bool:
    return (reply.outcome in ("401", "403"), reply.seen) == (True, None)


def test_a_good_answer_lets_the_holder_in(realm: Realm, gateway: Gateway, no_service: NoService):
    """The stand can let in: what is refused below is refused for its answer."""
    answering(no_service, bound(realm))
    before = no_service.asked
    assert call(gateway, realm).outcome == "200"
    assert no_service.asked == before + 1


CHANGES: dict[str, dict[str, object]] = {
    "no cnf": {"cnf": None},
    "cnf without x5t": {"cnf": {}},
    "cnf of another kind": {"cnf": {"jkt": "A" * 43}},
    "cnf that is a text": {"cnf": "A" * 43},
    "another certificate": {"cnf": {"x5t#S256": "A" * 43}},
    "an empty thumbprint": {"cnf": {"x5t#S256": ""}},
    "active as text": {"active": "true"},
    "active as a number": {"active": 1},
    "inactive": {"active": False},
    "no scope": {"scope": ""},
    "a longer scope": {"scope": "reader"},
    "the scope in pieces": {"scope": "re ad"},
    "a scope of another spelling": {"scope": "Read"},
    "scopes as a list": {"scope": [["read"]]},
    "no client": {"client_id": None},
}


@pytest.mark.parametrize("change", CHANGES)
def test_an_answer_that_does_not_say_enough_is_refused(
    realm: Realm, gateway: Gateway, no_service: NoService, change: str
):
    """An answer about another certificate, another scope or nothing definite lets no request in."""
    answering(no_service, bound(realm) | CHANGES[change])
    assert is_refused(call(gateway, realm))


GARBAGE: dict[str, bytes] = {
    "nothing": b"",
    "no HTTP": b"active\r\n\r\n",
    "an empty body": JSON % (0, b""),
    "HTML": JSON % (13, b"<html></html>"),
    "half of it": JSON % (1000, b'{"active":true,"scope":"read"'),
    "a list": JSON % (16, b'[{"active":true}'),
    "true": JSON % (4, b"true"),
    "NUL": JSON % (16, b'{"active":true\0}'),
    "an error": b'HTTP/1.1 500 Oh\r\nContent-Length: 15\r\n\r\n{"active":true}',
    "401": b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
    "429": b"HTTP/1.1 429 Later\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n",
    "a redirection away": b"HTTP/1.1 302 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "a redirection to itself": b"HTTP/1.1 307 Go\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n",
    "two megabytes": JSON % (2_000_000, b'{"active":true,"x":"' + b"x" * 1_999_978 + b'"}'),
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_is_refused(realm: Realm, gateway: Gateway, no_service: NoService, garbage: str):
    """An answer that is no introspection answer lets no request in."""
    no_service.answer = GARBAGE[garbage]
    assert is_refused(call(gateway, realm))


def test_a_service_that_is_silent_is_refused(unanswered: Future[list[tuple[Reply, int]]]):
    """While the service says nothing mod_oauth2 waits 15 seconds and refuses: it has no shorter setting."""
    (answered, before), (refused, after) = unanswered.result()
    assert (answered.outcome, before, after) == ("200", 1, 2), "its answer let in, and it was asked again"
    assert is_refused(refused)


def test_a_service_that_is_down_is_refused(realm: Realm, upstream: int):
    """While the service does not run no request is let in."""
    issuer = f"https://localhost:{free_port()}"
    with apache_gateway(upstream, realm.service.ca, issuer, "x", "s" * 16, "--scope", "read") as gateway:
        assert is_refused(call(gateway, realm))


def test_a_service_of_another_ca_is_refused(
    realm: Realm, upstream: int, tmp_path_factory: pytest.TempPathFactory
):
    """A service whose certificate the system's CAs do not know is not believed."""
    other = development_certificates(tmp_path_factory.mktemp("other"))
    asking = (realm.service.issuer, "promising", realm.secrets["promising"])
    with apache_gateway(upstream, other.ca, *asking, "--scope", "read") as gateway:
        assert is_refused(call(gateway, realm))


def test_a_service_of_another_name_is_refused(realm: Realm, upstream: int):
    """A certificate of the right CA for another host is not believed: the token is not even sent."""
    with NoService(realm.service.data, "127.0.0.2").serving() as elsewhere:
        answering(elsewhere, bound(realm))
        issuer = f"https://127.0.0.2:{elsewhere.port}"
        with apache_gateway(upstream, realm.service.ca, issuer, "x", "s" * 16, "--scope", "read") as gateway:
            assert is_refused(call(gateway, realm))
            assert elsewhere.asked == 0


@pytest.mark.parametrize("wrong", ["client", "secret", "promise"])
def test_apache_under_another_registration_lets_nothing_in(realm: Realm, upstream: int, wrong: str):
    """An unknown client, a wrong secret, and a client that did not promise to compare: nothing is let in."""
    asking = {
        "client": ("unknown", realm.secrets["plain"]),
        "secret": ("promising", realm.secrets["plain"]),
        "promise": ("plain", realm.secrets["plain"]),
    }
    issuer = realm.service.issuer
    with apache_gateway(upstream, realm.service.ca, issuer, *asking[wrong], "--scope", "read") as gateway:
        assert is_refused(call(gateway, realm))
