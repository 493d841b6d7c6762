"""A stolen certificate-bound token at resource servers that introspect and ignore `cnf`: never let in."""

from collections.abc import Iterator

import pytest

from tests.support.forged_tokens import forged
from tests.support.relying.realm import Realm
from tests.support.relying.resource_servers import KINDS, Bed, bed

LET_IN = 200
REFUSALS = (401, 403)  # django-oauth-toolkit says 403 to any bad token


@pytest.fixture(scope="module", params=KINDS)
def plain(request: pytest.FixtureRequest, realm: Realm) -> Iterator[Bed]:
    """Run each resource server, registered as what it is."""
    with bed(request.param, realm.service, "plain", realm.secrets["plain"]) as one:
        yield one


@pytest.fixture(scope="module", params=KINDS)
def promising(request: pytest.FixtureRequest, realm: Realm) -> Iterator[Bed]:
    """Run each resource server, registered with the false promise that it compares certificates."""
    with bed(request.param, realm.service, "promising", realm.secrets["promising"]) as one:
        yield one


@pytest.fixture(scope="module")
def naming(realm: Realm) -> Iterator[Bed]:
    """Run a resource server with Authlib that tells the service which certificate each connection has."""
    with bed("Authlib", realm.service, "plain", realm.secrets["plain"], names_certificate=True) as one:
        yield one


def test_an_unbound_token_is_let_in(realm: Realm, plain: Bed):
    """Each lets an honest unbound token in, and nothing without one: it does ask the service."""
    token = realm.token()
    assert plain.ask(token) == LET_IN
    assert plain.ask(token, realm.holder) == LET_IN
    assert plain.ask(None) in REFUSALS
    assert plain.ask(forged(token)) in REFUSALS
    assert plain.ask(realm.token("write")) in REFUSALS


@pytest.mark.parametrize("who", ["thief", "no certificate"])
def test_a_stolen_bound_token_is_never_let_in(realm: Realm, plain: Bed, who: str):
    """A stolen child is refused over the thief's own TLS connection, and without a certificate."""
    presented = realm.thief if who == "thief" else None
    assert plain.ask(realm.child(), presented) in REFUSALS


def test_a_stolen_token_is_not_let_in_by_what_was_said_of_another(realm: Realm, plain: Bed):
    """A child stays refused after its parent was let in, and after the holder tried it: no cache helps."""
    token = realm.token()
    child = realm.child(token)
    assert plain.ask(token) == LET_IN
    assert plain.ask(child, realm.holder) in REFUSALS
    assert plain.ask(child, realm.thief) in REFUSALS


def test_a_false_promise_lets_the_thief_in(realm: Realm, promising: Bed):
    """An operator who registers such a server with --checks-certificates opens it to thieves."""
    child = realm.child()
    assert promising.ask(child, realm.thief) == LET_IN
    assert promising.ask(child) == LET_IN


def test_a_server_that_names_the_certificate_lets_the_holder_in_alone(realm: Realm, naming: Bed):
    """With `client_certificate` the service compares: the holder is let in, the thief never is."""
    child = realm.child()
    assert naming.ask(child, realm.holder) == LET_IN
    assert naming.ask(child, realm.thief) in REFUSALS
    assert naming.ask(child) in REFUSALS
    assert naming.ask(child, realm.holder) == LET_IN
