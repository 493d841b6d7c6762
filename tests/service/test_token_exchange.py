"""The exchange of a macaroon of this service (RFC 8693): narrower or for another audience, never more."""

from typing import Any

import pytest

from macaroon_cbat.errors import CaveatsNotMet
from macaroon_cbat.macaroon.caveats import (
    Access,
    Audience,
    Expiry,
    Method,
    NotBefore,
    Scope,
    caveat_text,
    confirmation,
    key_confirmation,
)
from macaroon_cbat.macaroon.identifier import Actor
from macaroon_cbat.macaroon.minting import add_third_party_caveat, attenuate
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import ThirdPartyCaveat, read_macaroon
from macaroon_cbat.service.oauth2.macaroon_exchange import MOST_ACTORS
from tests.support.databases import NOW
from tests.support.refresh import WEB, begun, refreshed, web_metadata
from tests.support.service import API, ISSUER, OTHER_API, SECRETS, client_metadata, grant_of, refused
from tests.support.tokens import appended

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
BOTH = ("client_credentials", EXCHANGE)
APP, BACKEND, STRANGER = "app", "backend", "stranger"


@pytest.fixture(autouse=True)
def _registered(service):
    """Register an application, a backend that may act for its users, and one that may not."""
    rights = {"grant_types": BOTH, "audiences": (API, OTHER_API), "scope": "read write audit"}
    for name, changes in ((APP, {"may_act": (APP, BACKEND)}), (BACKEND, {}), (STRANGER, {})):
        metadata = client_metadata(**(rights | changes))
        service.stores.clients.add(name, metadata, secret=SECRETS["billing"], now=NOW)


def subject_token(service, *caveats, **changes: Any) -> str:
    """Return a token that the application got for alice."""
    grant = {"client_id": APP, "sub": "user:alice", "scope": "read write", "aud": API} | changes
    return attenuate(service.minted(**grant), caveats)


def ask(service, token, client=APP, certificate=None, **form):
    members = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": ACCESS_TOKEN}
    members |= {"client_id": client, "client_secret": SECRETS["billing"]}
    return service.open("/oauth2/token", certificate, data=members | form)


def exchanged(service, token, *arguments, **form):
    answer = ask(service, token, *arguments, **form)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_client_narrows_its_own_token(service):
    """A client gets a token of the same subject with fewer scopes, and no refresh token."""
    answer = exchanged(service, subject_token(service), scope="read")
    assert set(answer) == {"access_token", "issued_token_type", "token_type", "expires_in", "scope"}
    assert (answer["issued_token_type"], answer["token_type"]) == (ACCESS_TOKEN, "Bearer")
    grant = grant_of(answer["access_token"])
    assert (grant.client_id, grant.sub, grant.scope, grant.aud) == (APP, "user:alice", "read", API)
    assert (answer["scope"], answer["expires_in"]) == ("read", 600)


def test_an_exchanged_token_verifies_offline(service):
    """The new token is verified by its own audience's keys, as any token is."""
    text = exchanged(service, subject_token(service), resource=OTHER_API)["access_token"]
    access = Access(now=NOW, audience=OTHER_API)
    principal = verify(text, service.keys(OTHER_API), access, require_certificate=False)
    assert (principal.subject, principal.audience) == ("user:alice", OTHER_API)


@pytest.mark.parametrize("parameter", ["resource", "audience"])
def test_the_audience_may_change_within_the_registration(service, parameter):
    """A client that acts for its users gets them to another audience of its own, by either parameter."""
    text = exchanged(service, subject_token(service), **{parameter: OTHER_API})["access_token"]
    assert grant_of(text).aud == OTHER_API


def test_a_subject_goes_no_further_than_its_own_token(service):
    """A client that may not act for its users reaches no audience that they did not approve, by exchange."""
    token = subject_token(service, client_id=STRANGER)
    description = refused(ask(service, token, STRANGER, resource=OTHER_API), 400, "invalid_target")
    assert "in its own may_act" in description
    both = subject_token(service, client_id=STRANGER, aud=(API, OTHER_API))
    assert grant_of(exchanged(service, both, STRANGER, resource=OTHER_API)["access_token"]).aud == OTHER_API
    assert grant_of(exchanged(service, token, STRANGER)["access_token"]).aud == API
    refused(ask(service, token, STRANGER, resource=[API, OTHER_API]), 400, "invalid_target")


def test_a_client_reaches_its_audiences_in_its_own_name(service):
    """A client may exchange a token in its own name for every audience: it could request one as well."""
    token = subject_token(service, client_id=STRANGER, sub=STRANGER)
    assert grant_of(exchanged(service, token, STRANGER, resource=OTHER_API)["access_token"]).aud == OTHER_API


TEXTS = {
    "a method": b'{"htm":"GET"}',
    "a scope": b'{"scope":"read"}',
    "an unknown caveat": b'{"moon":"full"}',
    "no UTF-8": b"\xff\xfe",
    "odd spelling": b' {"path":"\\/x"}',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_caveat_is_carried(service, text):
    """The new token has every caveat of the old one, byte by byte."""
    token = appended(subject_token(service), text)
    new = exchanged(service, token, resource=OTHER_API)["access_token"]
    assert read_macaroon(new).caveats == (text,)


def test_a_third_party_caveat_is_carried(service):
    """A discharge that the old token needs is needed by the new one."""
    token = add_third_party_caveat(subject_token(service), "https://who.example", b"k" * 32, b"who")
    [caveat] = read_macaroon(exchanged(service, token)["access_token"]).caveats
    assert isinstance(caveat, ThirdPartyCaveat)
    assert (caveat.location, caveat.identifier) == (b"https://who.example", b"who")


def test_a_carried_caveat_still_refuses(service):
    """A holder's restriction survives the exchange for another audience."""
    token = subject_token(service, Method("GET"))
    new = exchanged(service, token, resource=OTHER_API)["access_token"]
    access = Access(now=NOW, audience=OTHER_API, method="DELETE")
    with pytest.raises(CaveatsNotMet, match="htm"):
        verify(new, service.keys(OTHER_API), access, require_certificate=False)


LIVES = {
    "by its grant": ((), {"exp": NOW + 50}),
    "by a caveat": ((Expiry(NOW + 50),), {}),
    "by the earlier of both": ((Expiry(NOW + 70),), {"exp": NOW + 50}),
}


@pytest.mark.parametrize(("caveats", "changes"), LIVES.values(), ids=LIVES)
def test_the_new_token_ends_with_the_old_one(service, caveats, changes):
    """An exchange gains no second of life."""
    answer = exchanged(service, subject_token(service, *caveats, **changes))
    assert (answer["expires_in"], grant_of(answer["access_token"]).exp) == (50, NOW + 50)


def test_a_family_stays_the_family(service):
    """A token exchanged for one of a refresh family dies with the family."""
    metadata = web_metadata(grant_types=("authorization_code", "refresh_token", EXCHANGE))
    service.stores.clients.add(WEB, metadata, secret=SECRETS["billing"], now=NOW)
    answer = refreshed(service, begun(service))
    new = exchanged(service, answer["access_token"], WEB)["access_token"]
    assert grant_of(new).fam == grant_of(answer["access_token"]).fam
    assert service.introspect(new)["active"] is True
    service.post(
        "/oauth2/revoke",
        {"token": answer["refresh_token"], "client_id": WEB, "client_secret": SECRETS["billing"]},
    )
    assert service.introspect(new) == {"active": False}


def test_a_bound_token_is_exchanged_over_its_connection(service, certificate):
    """A bound subject token gives one that is bound to the same certificate, once."""
    token = subject_token(service, confirmation(certificate.thumbprint))
    new = exchanged(service, token, APP, certificate)["access_token"]
    assert read_macaroon(new).caveats == (caveat_text(confirmation(certificate.thumbprint)),)


def test_an_exchange_binds_for_a_bound_client(service, certificate):
    """A client that is registered as bound gets a bound token for an unbound one."""
    bound = client_metadata(grant_types=BOTH, tls_client_certificate_bound_access_tokens=True)
    service.stores.clients.add("bound", bound, secret=SECRETS["billing"], now=NOW)
    token = subject_token(service, Scope("read"), client_id="bound")
    new = exchanged(service, token, "bound", certificate)["access_token"]
    assert read_macaroon(new).caveats == (
        b'{"scope":"read"}',
        caveat_text(confirmation(certificate.thumbprint)),
    )
    refused(ask(service, token, "bound"), 400, "invalid_request")


def test_an_actor_is_named(service):
    """A client that may act for the users of another stands in the chain of actors (RFC 8693 4.1)."""
    new = exchanged(service, subject_token(service), BACKEND, resource=OTHER_API)["access_token"]
    grant = grant_of(new)
    assert (grant.client_id, grant.sub, grant.act) == (BACKEND, "user:alice", Actor(sub=BACKEND))


def test_an_actor_is_introspected(service):
    """A resource server learns by introspection who acts for the subject."""
    new = exchanged(service, subject_token(service, act=Actor(sub="first")), BACKEND)["access_token"]
    assert service.introspect(new)["act"] == {"sub": BACKEND, "act": {"sub": "first"}}
    assert "act" not in service.introspect(subject_token(service))


def test_the_chain_of_actors_grows_at_its_head(service):
    """The newest actor is the outermost, and the earlier ones stay inside."""
    token = subject_token(service, act=Actor(sub="first"))
    grant = grant_of(exchanged(service, token, BACKEND)["access_token"])
    assert grant.act == Actor(sub=BACKEND, act=Actor(sub="first"))


def test_narrowing_ones_own_token_adds_no_actor(service):
    """A client that exchanges its own token is no further actor, and strips none."""
    token = subject_token(service, act=Actor(sub="first"))
    assert grant_of(exchanged(service, token)["access_token"]).act == Actor(sub="first")


def test_the_chain_of_actors_is_bounded(service):
    """A token that went through the most actors is exchanged by no further one."""
    chain = Actor(sub="a0")
    for number in range(1, MOST_ACTORS):
        chain = Actor(sub=f"a{number}", act=chain)
    description = refused(ask(service, subject_token(service, act=chain), BACKEND), 400, "invalid_request")
    assert f"went through {MOST_ACTORS} actors" in description


def test_an_actor_token_names_the_actor(service):
    """An actor token says in whose name its client acts, and the new token ends with it."""
    actor = service.minted(client_id=BACKEND, sub="robot", exp=NOW + 40)
    form = {"actor_token": actor, "actor_token_type": ACCESS_TOKEN}
    answer = exchanged(service, subject_token(service), BACKEND, **form)
    assert grant_of(answer["access_token"]).act == Actor(sub="robot")
    assert answer["expires_in"] == 40


BAD_ACTORS = {
    "of another client": {"client_id": STRANGER},
    "expired": {"exp": NOW},
    "exchanged itself": {"client_id": BACKEND, "act": Actor(sub="x")},
}


@pytest.mark.parametrize("changes", BAD_ACTORS.values(), ids=BAD_ACTORS)
def test_an_actor_token_is_the_clients_own(service, changes):
    """An actor token that is not a live one of the calling client is refused."""
    form = {"actor_token": service.minted(**changes), "actor_token_type": ACCESS_TOKEN}
    refused(ask(service, subject_token(service), BACKEND, **form), 400, "invalid_request")


ACTOR_CAVEATS = {
    "unknown": b'{"moon":"full"}',
    "for another audience": b'{"aud":"https://api.example"}',
    "for another method": b'{"htm":"GET"}',
    "bound elsewhere": caveat_text(confirmation("A" * 43)),
}


@pytest.mark.parametrize("text", ACTOR_CAVEATS.values(), ids=ACTOR_CAVEATS)
def test_an_actor_tokens_caveats_are_judged_here(service, text):
    """This endpoint is where an actor token is used: a caveat that refuses it, or is unknown, refuses."""
    actor = appended(service.minted(client_id=BACKEND, sub="robot"), text)
    form = {"actor_token": actor, "actor_token_type": ACCESS_TOKEN}
    refused(ask(service, subject_token(service), BACKEND, **form), 400, "invalid_request")


def test_a_client_outside_may_act_exchanges_no_token(service):
    """A client that is not named in may_act gets nothing for another client's token."""
    description = refused(ask(service, subject_token(service), STRANGER), 400, "invalid_request")
    assert "not registered with this one in may_act" in description


def test_may_act_is_judged_now(service):
    """A right that the operator took away is gone at once, for tokens of before too."""
    token = subject_token(service)
    without = client_metadata(grant_types=BOTH, audiences=(API, OTHER_API), scope="read write audit")
    service.stores.clients.change(APP, lambda _: without, lambda: NOW, lasting=600)
    service.app.extensions["macaroon_cbat"].forget()
    refused(ask(service, token, BACKEND), 400, "invalid_request")


INVALID = {
    "expired": ((), {"exp": NOW}),
    "expired by a caveat": ((Expiry(NOW),), {}),
    "not valid yet": ((NotBefore(NOW + 60),), {}),
    "bound to another certificate": ((confirmation("A" * 43),), {}),
    "bound to a DPoP key": ((key_confirmation(KeyThumbprint("A" * 43)),), {}),
    "a refresh token by its shape": ((), {"kid": "A" * 22, "fam": "A" * 22}),
    "under an unknown key": ((), {"kid": "unknown"}),
    "of a client that is gone": ((), {"client_id": "gone"}),
}


@pytest.mark.parametrize(("caveats", "changes"), INVALID.values(), ids=INVALID)
def test_an_invalid_subject_token_is_an_invalid_request(service, caveats, changes):
    """RFC 8693 2.2.2: a subject token that is invalid for any reason is an invalid request."""
    refused(ask(service, subject_token(service, *caveats, **changes)), 400, "invalid_request")


def test_a_refresh_token_is_not_exchanged(service):
    """A refresh token is no subject token."""
    metadata = web_metadata(grant_types=("authorization_code", "refresh_token", EXCHANGE))
    service.stores.clients.add(WEB, metadata, secret=SECRETS["billing"], now=NOW)
    assert "is a refresh token" in refused(ask(service, begun(service), WEB), 400, "invalid_request")


@pytest.mark.parametrize("kind", ["token", "subject", "client", "family"])
def test_a_revoked_token_is_not_exchanged(service, kind):
    """A revoked token is exchanged for nothing."""
    token = subject_token(service, fam="A" * 22)
    values = {"token": grant_of(token).jti, "subject": "user:alice", "client": APP, "family": "A" * 22}
    service.stores.revocations.revoke(kind, values[kind], now=NOW, expires_at=NOW + 600)
    assert "revoked" in refused(ask(service, token), 400, "invalid_request")


REFUSED = {
    "a scope beyond the token": ({"scope": "audit"}, "invalid_scope", "'audit' is not among"),
    "a scope beyond the client": ({"scope": "root"}, "invalid_scope", "not registered"),
    "an unknown audience": ({"resource": "https://no.example"}, "invalid_target", "not registered"),
    "the service itself": ({"resource": ISSUER}, "invalid_target", ""),
    "the service itself beside": ({"resource": API, "audience": ISSUER}, "invalid_target", ""),
    "another requested type": (
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        "invalid_request",
        "requested_token_type",
    ),
    "another subject type": (
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        "invalid_request",
        "subject_token_type",
    ),
    "an actor without a type": ({"actor_token": "x"}, "invalid_request", "go together"),
    "a type without an actor": ({"actor_token_type": ACCESS_TOKEN}, "invalid_request", "go together"),
    "an actor of another type": (
        {"actor_token": "x", "actor_token_type": "urn:ietf:params:oauth:token-type:jwt"},
        "invalid_request",
        "actor_token_type",
    ),
    "an actor that is no token": (
        {"actor_token": "x", "actor_token_type": ACCESS_TOKEN},
        "invalid_request",
        "actor token",
    ),
    "no subject": ({"subject_token": ""}, "invalid_request", "subject_token is missing"),
    "no type": ({"subject_token_type": ""}, "invalid_request", "subject_token_type is missing"),
    "an oversized subject": ({"subject_token": "A" * 9000}, "invalid_request", "subject token"),
    "a tampered subject": ({"subject_token": "AgE" + "A" * 90}, "invalid_request", "subject token"),
}


@pytest.mark.parametrize(("form", "code", "words"), REFUSED.values(), ids=REFUSED)
def test_an_exchange_gives_no_more_than_both_have(service, form, code, words):
    """A right that neither the token nor the client's registration allows is refused by the RFC's error."""
    assert words in refused(ask(service, subject_token(service), **form), 400, code)


def test_an_audience_caveat_bounds_the_exchange(service):
    """A token that its holder restricted to one audience is exchanged for no other one."""
    token = subject_token(service, Audience(API))
    refused(ask(service, token, resource=OTHER_API), 400, "invalid_target")
    exchanged(service, token, resource=API)


def test_a_token_for_a_resource_server_opens_no_administration(service):
    """A client with the scope admin cannot turn a token of another audience into an administrator's."""
    admin = client_metadata(grant_types=BOTH, audiences=(), scope="admin")
    service.stores.clients.add("ops", admin, secret=SECRETS["billing"], now=NOW)
    token = subject_token(service, client_id="ops", scope="admin")
    description = refused(ask(service, token, "ops", resource=ISSUER), 400, "invalid_target")
    assert "cannot become one for the service itself" in description


def test_a_client_must_be_registered_for_the_grant(service):
    """A client without the grant type exchanges nothing."""
    form = {"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": ACCESS_TOKEN}
    refused(service.post("/oauth2/token", form, "billing"), 400, "unauthorized_client")


def test_a_wrong_secret_exchanges_nothing(service):
    """The client is authenticated before the subject token is looked at."""
    answer = ask(service, subject_token(service), client_secret="wrong")
    refused(answer, 401, "invalid_client")


def test_an_exchanged_token_is_exchanged_again(service):
    """Exchanges can follow one another, each at most as much as the one before."""
    first = exchanged(service, subject_token(service), scope="read")["access_token"]
    second = exchanged(service, first, BACKEND, resource=OTHER_API)["access_token"]
    assert grant_of(second).scope == "read"
    refused(ask(service, second, STRANGER), 400, "invalid_request")
