"""Apache with mod_oauth2 as a gateway: a bound token over its certificate's connection, and nothing else."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, Thumbprint, thumbprint_of
from macaroon_cbat.macaroon.caveats import ClientAddress, Expiry, Method, PathPrefix, Scope, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.followed_service import jti_of
from tests.support.forged_tokens import forged
from tests.support.proxies.clients import Ask, Reply, send
from tests.support.proxies.showing_upstream import showing_upstream
from tests.support.relying.apache_gateway import Gateway, apache_gateway
from tests.support.relying.realm import Realm
from tests.support.tls_servers import SECONDS, Client, make_client

SPOOFED = (
    "Principalclient",
    "principalsubject",
    "PRINCIPALSCOPE",
    "Principaltokenid",
    "Principalcertificate",
)


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Run a server behind Apache that shows what arrives; give its port."""
    with showing_upstream(tmp_path_factory.mktemp("behind") / "socket") as showing:
        yield showing.port


@pytest.fixture(scope="module")
def gateway(realm: Realm, upstream: int) -> Iterator[Gateway]:
    """Run Apache that asks the real service about each token anew."""
    realm.add_resource_server("apache", "--checks-certificates")
    asking = (realm.service.issuer, "apache", realm.secrets["apache"])
    with apache_gateway(upstream, realm.service.ca, *asking, "--scope", "read") as one:
        yield one


@pytest.fixture(scope="module")
def remembering(realm: Realm, upstream: int) -> Iterator[Gateway]:
    """Run Apache that remembers an answer for two seconds, and wants two scopes."""
    realm.add_resource_server("apache-2", "--checks-certificates")
    asking = (realm.service.issuer, "apache-2", realm.secrets["apache-2"])
    options = ("--scope", "write read", "--cache-seconds", "2")
    with apache_gateway(upstream, realm.service.ca, *asking, *options) as one:
        yield one


def with_token(token: str, client: Client | None, *headers: tuple[str, str], **more: object) -> Ask:
    return replace(Ask(headers=(("Authorization", f"Bearer {token}"), *headers), client=client), **more)  # type: ignore[arg-type] # its own members


def thumbprint(client: Client) -> Thumbprint:
    return thumbprint_of(DerCertificate(client.der))


def is_refused(reply: Reply, status: str = "401") -> bool:
    return (reply.outcome, reply.seen) == (status, None)


@pytest.mark.parametrize("is_h2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
def test_the_holder_is_let_in(realm: Realm, gateway: Gateway, *, is_h2: bool):
    """The holder is let in over its own connection; the server behind learns who it is, and no token."""
    token = realm.token("read write")
    child = realm.child(token)
    reply = gateway.ask(with_token(child, realm.holder, is_h2=is_h2))
    assert reply.outcome == "200"
    assert reply.arrived("Principalclient") == reply.arrived("Principalsubject") == ["billing"]
    assert reply.arrived("Principalscope") == ["read write"]
    assert reply.arrived("Principaltokenid") == [jti_of(token)]
    assert reply.arrived("Principalcertificate") == [thumbprint(realm.holder)]
    assert reply.arrived("Authorization") == []
    assert child not in str(reply.seen)
    assert realm.secrets["apache"] not in str(reply.seen)


@pytest.mark.parametrize("is_h2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("who", ["thief", "no certificate"])
def test_a_thief_is_refused(realm: Realm, gateway: Gateway, who: str, *, is_h2: bool):
    """A stolen child is refused over another connection, with a certificate and without."""
    child = realm.child()
    presented = realm.thief if who == "thief" else None
    assert gateway.ask(with_token(child, realm.holder)).outcome == "200"
    reply = gateway.ask(with_token(child, presented, is_h2=is_h2))
    assert is_refused(reply)
    assert 'error="invalid_token"' in reply.challenge


def test_what_is_remembered_lets_no_thief_in(realm: Realm, remembering: Gateway):
    """While the service's answer is remembered the certificate is compared at each request."""
    child = realm.child(realm.token("read write"))
    assert remembering.ask(with_token(child, realm.holder)).outcome == "200"
    assert is_refused(remembering.ask(with_token(child, realm.thief)))
    assert is_refused(remembering.ask(with_token(child, None)))
    assert remembering.ask(with_token(child, realm.holder)).outcome == "200"


@pytest.mark.parametrize("client", ["holder", "no certificate"])
def test_an_unbound_token_is_refused(realm: Realm, gateway: Gateway, client: str):
    """A token that is bound to nothing opens nothing."""
    presented = realm.holder if client == "holder" else None
    assert is_refused(gateway.ask(with_token(realm.token(), presented)))


SPOILED: dict[str, Callable[[Realm], str]] = {
    "expired": lambda realm: attenuate(realm.child(), [Expiry(int(time.time()) - 1)]),
    "forged": lambda realm: forged(realm.child()),
    "its caveat cut off": lambda realm: realm.token()[:-43] + realm.child()[-43:],
    "bound twice": lambda realm: attenuate(realm.child(), [confirmation(thumbprint(realm.thief))]),
    "of no scope": lambda realm: attenuate(realm.child(), [Scope("none")]),
    "about the method": lambda realm: attenuate(realm.child(), [Method("GET")]),
    "about the path": lambda realm: attenuate(realm.child(), [PathPrefix("/invoices")]),
    "about the address": lambda realm: attenuate(realm.child(), [ClientAddress("127.0.0.1")]),
    "not a token": lambda realm: "x",
    "empty": lambda realm: "",
    "a form": lambda realm: realm.child() + "&client_certificate=" + thumbprint(realm.holder),
}


@pytest.mark.parametrize("how", SPOILED)
def test_a_spoiled_token_is_refused(realm: Realm, gateway: Gateway, how: str):
    """A token that is expired, forged, or restricted by what nothing judges is refused to its holder."""
    assert is_refused(gateway.ask(with_token(SPOILED[how](realm), realm.holder)))


@pytest.mark.parametrize("who", ["holder", "thief"])
@pytest.mark.parametrize("name", [*SPOOFED, "OAUTH2-CLAIM-scope", "Clientcert"])
def test_spoofed_headers_are_overwritten(realm: Realm, gateway: Gateway, name: str, who: str):
    """Headers of ours that a client writes never reach the server behind, and open nothing."""
    ask = with_token(realm.child(), getattr(realm, who), (name, "root"), (name, "root"))
    reply = gateway.ask(ask)
    assert reply.outcome == {"holder": "200", "thief": "401"}[who]
    assert "root" not in [value for _, value in (reply.seen or {}).get("headers", [])]


@pytest.mark.parametrize("who", ["holder", "thief"])
@pytest.mark.parametrize("name", ["OAUTH2_CLAIM_scope", "OAUTH2-CLAIM-client_id", "Principal.client"])
def test_a_name_that_servers_take_for_another_is_400(realm: Realm, gateway: Gateway, name: str, who: str):
    """A header with `_` or `.` in its name, which a server could take for one of mod_oauth2's, is refused."""
    reply = gateway.ask(with_token(realm.child(), getattr(realm, who), (name, "root")))
    assert (reply.outcome, reply.seen) == ("400", None)


@pytest.mark.parametrize("name", ["Principalclient", "Authorization", "Principalcertificate"])
def test_apache_is_not_told_to_drop_its_own_headers(realm: Realm, gateway: Gateway, name: str):
    """A client that names a header in Connection does not have it dropped, nor gets in."""
    reply = gateway.ask(with_token(realm.child(), realm.holder, ("Connection", f"close, {name}")))
    assert reply.outcome == "200"
    assert reply.arrived("Principalclient") == ["billing"]
    assert is_refused(gateway.ask(with_token(realm.child(), realm.thief, ("Connection", f"close, {name}"))))


@pytest.mark.parametrize("claimed", ["OAUTH2-CLAIM-scope", "Principalscope"])
def test_too_little_scope_is_403(realm: Realm, gateway: Gateway, claimed: str):
    """A token without the scope is 403 with its challenge, whatever the client says of its scope."""
    ask = with_token(realm.child(realm.token("write")), realm.holder, (claimed, "read"))
    reply = gateway.ask(ask)
    assert is_refused(reply, "403")
    assert reply.challenge == 'Bearer realm="macaroon_cbat", error="insufficient_scope", scope="read"'


@pytest.mark.parametrize(("scope", "status"), [("read", "403"), ("write", "403"), ("read write", "200")])
def test_each_scope_is_required(realm: Realm, remembering: Gateway, scope: str, status: str):
    """Of two scopes that are required, one is too little."""
    reply = remembering.ask(with_token(realm.child(realm.token(scope)), realm.holder))
    assert reply.outcome == status


def test_a_revoked_token_is_refused_at_once(realm: Realm, gateway: Gateway):
    """Without a cache a revoked token is refused at the next request."""
    token = realm.token()
    child = realm.child(token)
    assert gateway.ask(with_token(child, realm.holder)).outcome == "200"
    realm.service.command("revoke", "token", jti_of(token))
    assert is_refused(gateway.ask(with_token(child, realm.holder)))


def test_a_revoked_token_is_refused_after_the_cache(realm: Realm, remembering: Gateway):
    """With a cache a revoked token is refused once the answer is too old."""
    token = realm.token("read write")
    child = realm.child(token)
    assert remembering.ask(with_token(child, realm.holder)).outcome == "200"
    realm.service.command("revoke", "token", jti_of(token))
    deadline = time.monotonic() + SECONDS
    while not is_refused(remembering.ask(with_token(child, realm.holder))):
        assert time.monotonic() < deadline
        time.sleep(0.2)


PLACES = {
    "nowhere": {},
    "the query": {"path": "/invoices?access_token={}"},
    "a cookie": {"headers": (("Cookie", "access_token={}"),)},
    "a form": {
        "method": "POST",
        "body": "access_token={}",
        "headers": (("Content-Type", "application/x-www-form-urlencoded"),),
    },
    "another scheme": {"headers": (("Authorization", "Token {}"),)},
    "no scheme": {"headers": (("Authorization", "{}"),)},
    "another header": {"headers": (("X-Authorization", "Bearer {}"), ("Proxy-Authorization", "Bearer {}"))},
    "two headers": {"headers": (("Authorization", "Bearer x"), ("Authorization", "Bearer {}"))},
    "the same header twice": {"headers": (("Authorization", "Bearer {}"), ("Authorization", "Bearer {}"))},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_token_counts_in_its_header_alone(realm: Realm, gateway: Gateway, place: str):
    """A good token in any other place, or twice, lets nothing in."""
    child = realm.child()
    ask = Ask(client=realm.holder, **PLACES[place])  # type: ignore[arg-type] # its own members
    headers = tuple((name, value.format(child)) for name, value in ask.headers)
    ask = replace(ask, path=ask.path.format(child), body=ask.body.format(child), headers=headers)
    reply = gateway.ask(ask)
    assert (reply.outcome in ("400", "401"), reply.seen) == (True, None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PROPFIND", "TRACE", "get", "XYZZY"])
@pytest.mark.parametrize(
    "path",
    ["/", "//invoices", "/%2e%2e/invoices", "/invoices;x", "http://localhost/invoices", "/.well-known/x"],
)
def test_nothing_is_public(gateway: Gateway, method: str, path: str):
    """No method and no path reaches the server behind without a token."""
    reply = gateway.ask(Ask(method=method, path=path))
    assert reply.seen is None
    assert reply.outcome in ("400", "401", "403", "404", "405", "501")


def test_the_clear_listener_forwards_nothing(realm: Realm, gateway: Gateway):
    """A token over plain HTTP is 403."""
    assert is_refused(send(gateway.clear, with_token(realm.child(), None), None)[0], "403")


def test_a_revoked_certificate_lets_nothing_in(realm: Realm, gateway: Gateway, tmp_path: Path):
    """A token that is bound to a revoked certificate is refused to who has its key."""
    other = make_client(tmp_path, "other")
    child = attenuate(realm.token(), [confirmation(thumbprint(other))])
    assert gateway.ask(with_token(child, other)).outcome == "200"
    realm.service.command("revoke", "certificate", thumbprint(other))
    assert is_refused(gateway.ask(with_token(child, other)))
