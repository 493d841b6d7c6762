"""Refresh tokens: rotation, reuse, lifetimes, and the certificate that they are bound to."""

import pytest

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.macaroon.caveats import Access, Confirmation, confirmation, read_caveats
from macaroon_cbat.macaroon.keys import audience_key
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service.refresh_settings import RefreshSettings
from tests.support.audit_events import events
from tests.support.databases import NOW
from tests.support.forged_tokens import forged
from tests.support.refresh import (
    PHONE,
    WEB,
    ask_refresh,
    begun,
    family_of,
    refreshed,
    register,
    rows,
    web_metadata,
)
from tests.support.service import API, ISSUER, OTHER_API, SECRETS, grant_of, refused

GRACE = 30


@pytest.fixture(autouse=True)
def _registered(service):
    register(service, audiences=(API, OTHER_API))


def test_a_refresh_token_gives_an_access_token_and_its_successor(service):
    """A refresh gives an access token of the subject and the family, and the next refresh token."""
    token = begun(service)
    answer = refreshed(service, token)
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    access, successor = grant_of(answer["access_token"]), grant_of(answer["refresh_token"])
    assert (access.client_id, access.sub, access.scope, access.aud) == (WEB, "user:alice", "read write", API)
    assert access.fam == successor.fam == grant_of(token).fam
    assert successor.jti != grant_of(token).jti
    assert answer["expires_in"] == access.exp - NOW == 600


def test_the_access_token_of_a_family_verifies_offline(service, certificate):
    """The access token of a refresh is as good at a resource server as any other one."""
    answer = refreshed(service, begun(service))
    access = Access(now=NOW, audience=API)
    principal = verify(answer["access_token"], service.keys(), access, require_certificate=False)
    assert (principal.subject, principal.client_id) == ("user:alice", WEB)


def test_a_family_goes_on_from_token_to_token(service):
    """Each successor can be used in its turn, and no second family comes of it."""
    token = begun(service)
    for _ in range(5):
        token = refreshed(service, token)["refresh_token"]
    assert rows(service) == [(family_of(token), grant_of(token).jti)]


def test_a_replayed_token_ends_its_family(service):
    """An old token that comes once more revokes its family, access tokens included."""
    first = begun(service)
    second = refreshed(service, first)
    third = refreshed(service, second["refresh_token"])
    description = refused(ask_refresh(service, first), 400, "invalid_grant")
    assert "was used before" in description
    assert rows(service) == []
    refused(ask_refresh(service, third["refresh_token"]), 400, "invalid_grant")
    for access in (second["access_token"], third["access_token"]):
        assert service.introspect(access) == {"active": False}


def test_a_replayed_token_is_audited(service, tmp_path):
    """The audit log says whose family ended by which token."""
    first = begun(service)
    refreshed(service, refreshed(service, first)["refresh_token"])
    file = tmp_path / "audit.jsonl"
    write_log_to(str(file))
    ask_refresh(service, first)
    replayed, refusal = events(file)
    members = ("event", "who", "family", "subject", "token_id")
    expected = ("refresh.replayed", WEB, family_of(first), "user:alice", grant_of(first).jti)
    assert tuple(replayed[name] for name in members) == expected
    assert (refusal["event"], refusal["error"]) == ("token.refused", "invalid_grant")


def test_a_revoked_family_is_in_the_feed(service):
    """The revocation of a replayed family reaches resource servers, and expires with its access tokens."""
    first = begun(service)
    refreshed(service, refreshed(service, first)["refresh_token"])
    ask_refresh(service, first)
    [decision] = service.stores.revocations.after(0).decisions
    assert (decision.kind, decision.value) == ("family", family_of(first))
    assert decision.expires_at == NOW + 86_400 + 600


def test_the_previous_token_is_repeated_within_the_grace(service):
    """A client that lost the answer gets the same successor again: one family, one current token."""
    first = begun(service)
    answers = [refreshed(service, first) for _ in range(3)]
    service.now += GRACE - 1
    answers.append(refreshed(service, first))
    assert len({answer["refresh_token"] for answer in answers}) == 1
    assert len({answer["access_token"] for answer in answers}) == 4
    assert rows(service) == [(family_of(first), grant_of(answers[0]["refresh_token"]).jti)]
    refreshed(service, answers[0]["refresh_token"])


def test_the_grace_ends(service):
    """The previous token counts as replayed when the grace is over, however often it was repeated."""
    first = begun(service)
    successor = refreshed(service, first)["refresh_token"]
    service.now += GRACE - 1
    refreshed(service, first)
    service.now += 1
    refused(ask_refresh(service, first), 400, "invalid_grant")
    refused(ask_refresh(service, successor), 400, "invalid_grant")


def test_the_grace_is_for_the_previous_token_alone(service):
    """The token before the previous one is a replay at once."""
    first = begun(service)
    second = refreshed(service, first)["refresh_token"]
    refreshed(service, second)
    refused(ask_refresh(service, first), 400, "invalid_grant")
    assert rows(service) == []


def test_without_a_grace_the_second_use_ends_the_family(start):
    """An operator may allow no repetition."""
    service = start(refresh=RefreshSettings(refresh_grace=0))
    first = begun(service)
    refreshed(service, first)
    refused(ask_refresh(service, first), 400, "invalid_grant")
    assert rows(service) == []


LIFETIMES = {
    "of the service": ({}, 14 * 86_400, 90 * 86_400),
    "of the client": ({"refresh_idle_seconds": 100, "refresh_max_seconds": 250}, 100, 250),
}


@pytest.mark.parametrize(("changes", "idle", "longest"), LIFETIMES.values(), ids=LIFETIMES)
def test_a_refresh_token_expires_when_it_is_not_used(service, changes, idle, longest):
    """A refresh token expires after its client's idle time, or after the service's."""
    service.stores.clients.add("mine", web_metadata(**changes), secret=SECRETS["billing"], now=NOW)
    as_mine = {"client_secret": SECRETS["billing"]}
    token, late = begun(service, "mine"), begun(service, "mine")
    service.now += idle - 1
    refreshed(service, token, "mine", **as_mine)
    service.now += 1
    refused(ask_refresh(service, late, "mine", **as_mine), 400, "invalid_grant")


@pytest.mark.parametrize(("changes", "idle", "longest"), LIFETIMES.values(), ids=LIFETIMES)
def test_a_family_ends_however_often_it_is_used(service, changes, idle, longest):
    """A family ends after its absolute lifetime, and no access token of it lives longer."""
    service.stores.clients.add("mine", web_metadata(**changes), secret=SECRETS["billing"], now=NOW)
    as_mine = {"client_secret": SECRETS["billing"]}
    token = begun(service, "mine")
    while (left := NOW + longest - service.now) > idle:
        service.now += min(idle - 1, left - 1)
        answer = refreshed(service, token, "mine", **as_mine)
        token = answer["refresh_token"]
    service.now = NOW + longest - 1
    answer = refreshed(service, token, "mine", **as_mine)
    assert answer["expires_in"] == 1
    assert grant_of(answer["refresh_token"]).exp == NOW + longest
    service.now += 1
    refused(ask_refresh(service, answer["refresh_token"], "mine", **as_mine), 400, "invalid_grant")


def test_a_public_client_refreshes_with_its_certificate_alone(service, certificate, other_certificate):
    """A public client's refresh token is bound (RFC 8705 4): a thief without the key gets nothing of it."""
    token = begun(service, PHONE, certificate=certificate.thumbprint)
    description = refused(ask_refresh(service, token, PHONE, other_certificate), 400, "invalid_grant")
    assert "cnf names another client certificate" in description
    assert len(rows(service)) == 1
    answer = refreshed(service, token, PHONE, certificate)
    for text in (answer["access_token"], answer["refresh_token"]):
        [caveat] = read_macaroon(text).caveats
        [bound] = read_caveats(caveat)
        assert isinstance(bound, Confirmation)
        assert bound.cnf.thumbprint == certificate.thumbprint


def test_a_binding_holds_without_its_caveat(service, certificate, other_certificate):
    """A refresh token forged with a family's leaked key, unbound or bound anew, is refused all the same."""
    token = begun(service, PHONE, certificate=certificate.thumbprint)
    _, key = service.stores.families.find(family_of(token), NOW)
    secret = audience_key(key, None, "refresh")
    for caveats in ((), (confirmation(other_certificate.thumbprint),)):
        forged = mint(secret, ISSUER, grant_of(token), caveats)
        refused(ask_refresh(service, forged, PHONE, other_certificate), 400, "invalid_grant")
    refreshed(service, token, PHONE, certificate)


def test_a_thief_cannot_end_a_bound_family(service, certificate, other_certificate):
    """A used token of a public client ends no family over another connection than its own."""
    first = begun(service, PHONE, certificate=certificate.thumbprint)
    second = refreshed(service, first, PHONE, certificate)["refresh_token"]
    third = refreshed(service, second, PHONE, certificate)["refresh_token"]
    refused(ask_refresh(service, first, PHONE, other_certificate), 400, "invalid_grant")
    refreshed(service, third, PHONE, certificate)


def test_a_confidential_client_may_renew_its_certificate(service, certificate, other_certificate):
    """A confidential client may refresh with another certificate, to which the access token is bound."""
    bound = web_metadata(tls_client_certificate_bound_access_tokens=True)
    service.stores.clients.add("mine", bound, secret=SECRETS["billing"], now=NOW)
    token = begun(service, "mine", certificate=certificate.thumbprint)
    for one in (certificate, other_certificate):
        answer = refreshed(service, token, "mine", one, client_secret=SECRETS["billing"])
        token = answer["refresh_token"]
        assert b"".join(read_macaroon(answer["access_token"]).caveats).decode().count(one.thumbprint) == 1
        assert read_macaroon(token).caveats == ()


def test_a_public_family_needs_a_binding(service):
    """No unbound refresh token is made for a public client."""
    with pytest.raises(Exception, match="only when it is bound"):
        begun(service, PHONE)


FOREIGN = {
    "an access token": lambda service: service.minted(client_id=WEB),
    "an access token with a family": lambda service: service.minted(client_id=WEB, fam="A" * 22),
    "an access token that names a family as its key": lambda service: service.minted(
        client_id=WEB, fam=service.stores.root_keys.current().kid
    ),
    "a refresh token under a root key": lambda service: service.minted(use="refresh", client_id=WEB),
    "text": lambda _service: "not a macaroon",
    "an oversized text": lambda _service: "A" * 9000,
    "a tampered one": lambda service: forged(begun(service)),
    "a JWT": lambda _service: "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.",
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_nothing_but_a_refresh_token_refreshes(service, make):
    """An access token, forged text or a token of another kind is an invalid grant."""
    refused(ask_refresh(service, make(service)), 400, "invalid_grant")


def test_a_refresh_token_is_no_access_token(service):
    """A refresh token never verifies as an access token: not offline, not by introspection of others."""
    token = begun(service)
    assert service.introspect(token) == {"active": False}
    with pytest.raises(Exception, match="minted for"):
        verify(token, service.keys(), Access(now=NOW, audience=API), require_certificate=False)


def test_a_resource_server_introspects_no_refresh_token_of_its_own(service):
    """A client that serves an audience is told of no refresh token: it might take it for an access token."""
    service.stores.clients.add("both", web_metadata(serves=(API,)), secret=SECRETS["billing"], now=NOW)
    form = {"token": begun(service, "both"), "client_id": "both", "client_secret": SECRETS["billing"]}
    assert service.post("/oauth2/introspect", form).json == {"active": False}


def test_a_refresh_token_is_for_its_own_client(service):
    """Another client's refresh token is an invalid grant, and its family goes on."""
    service.stores.clients.add("mine", web_metadata(), secret=SECRETS["billing"], now=NOW)
    token = begun(service)
    description = refused(
        ask_refresh(service, token, "mine", client_secret=SECRETS["billing"]), 400, "invalid_grant"
    )
    assert "another client" in description
    refreshed(service, token)


def test_a_client_must_be_registered_for_the_grant(service):
    """A client that is not registered for refresh_token may not use one."""
    answer = service.post("/oauth2/token", {"grant_type": "refresh_token", "refresh_token": "x"}, "billing")
    refused(answer, 400, "unauthorized_client")


FORMS = {
    "no token": ({"refresh_token": ""}, "invalid_request", "refresh_token is missing"),
    "a scope beyond": ({"scope": "read audit"}, "invalid_scope", "'audit' is not among"),
    "an unknown resource": ({"resource": "https://no.example"}, "invalid_target", "was not granted"),
    "a resource of another grant": ({"resource": OTHER_API}, "invalid_target", "was not granted"),
}


@pytest.mark.parametrize(("form", "code", "words"), FORMS.values(), ids=FORMS)
def test_a_bad_request_costs_no_token(service, form, code, words):
    """A refused request leaves the refresh token as good as it was."""
    token = begun(service)
    assert words in refused(ask_refresh(service, token, **form), 400, code)
    refreshed(service, token)


def test_a_request_may_narrow_the_access_token_alone(service):
    """The scope of one access token can be narrowed; the family keeps its own (RFC 6749 6)."""
    answer = refreshed(service, begun(service), scope="read")
    assert (answer["scope"], grant_of(answer["access_token"]).scope) == ("read", "read")
    assert refreshed(service, answer["refresh_token"])["scope"] == "read write"


def test_one_of_several_audiences_may_be_named(service):
    """A family for several audiences gives a token for one of them."""
    token = begun(service, audience=(API, OTHER_API))
    named = refreshed(service, token, resource=OTHER_API)
    assert grant_of(named["access_token"]).aud == OTHER_API
    assert grant_of(refreshed(service, named["refresh_token"])["access_token"]).aud == (API, OTHER_API)
