"""The audiences that a client serves: they alone decide whose keys, revocations and tokens it learns of."""

import logging
import threading

import pytest
from msgspec import UNSET, structs

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.macaroon.caveats import Audience, Scope
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.stores import open_stores
from tests.support.databases import NOW, WRAPPING_KEY
from tests.support.resource_server import ask, register, rewritten, token_for_service
from tests.support.service import API, ISSUER, OTHER_API, refused

KEYS, FEED = "/resource/keys", "/resource/revocations"
THIRD, FOURTH = "https://third.example", "https://fourth.example"
INACTIVE = {"active": False}


@pytest.fixture
def several(service):
    """Register a resource server of three audiences, which calls none."""
    register(service, "several", scope="keys", audiences=(), serves=(API, OTHER_API, THIRD))
    return service


@pytest.mark.parametrize(
    ("audience", "caveats", "told"),
    [
        pytest.param(API, [], API, id="for one that it serves"),
        pytest.param(THIRD, [], THIRD, id="for another that it serves"),
        pytest.param(FOURTH, [], None, id="for one that it does not serve"),
        pytest.param(ISSUER, [], None, id="for the service itself"),
        pytest.param((API, FOURTH), [], [API, FOURTH], id="for one that it serves and one that it does not"),
        pytest.param((FOURTH, API), [Audience(API)], [API], id="narrowed to the one that it serves"),
        pytest.param((FOURTH, API), [Audience(FOURTH)], None, id="narrowed to the one that it does not"),
        pytest.param((API, THIRD), [], [API, THIRD], id="for two that it serves"),
        pytest.param((API, THIRD, FOURTH), [], [API, THIRD, FOURTH], id="for two of three"),
        pytest.param((API, THIRD), [Audience(API)], [API], id="narrowed to one of two that it serves"),
        pytest.param((FOURTH, ISSUER), [], None, id="for none of two"),
        pytest.param(UNSET, [], "any", id="for none in particular"),
        pytest.param(UNSET, [Audience(API)], [API], id="for one of its own by a caveat alone"),
        pytest.param(UNSET, [Audience(FOURTH)], None, id="for one of others by a caveat alone"),
        pytest.param(API, [Audience((API, OTHER_API))], API, id="with a caveat for two"),
    ],
)
def test_who_serves_several_is_told_of_each_and_of_no_other(several, audience, caveats, told):
    """A token is active for a server of several audiences if one of them is left, and `aud` says which."""
    token = attenuate(several.minted(aud=audience), [Scope("read"), *caveats])
    answer = several.introspect(token, "several")
    assert answer["active"] is (told is not None)
    assert answer.get("aud", "any" if answer["active"] else None) == told
    assert len(answer) == 1 or answer["active"]


def test_a_server_learns_of_its_own_token_for_another(several):
    """A resource server is told about its own token for an audience that it does not serve."""
    token = token_for_service(several, "several")
    assert several.introspect(token, "several")["aud"] == ISSUER
    for caller in ("api", "billing"):
        assert several.introspect(token, caller) == INACTIVE


@pytest.mark.parametrize("caller", ["billing", "payroll"])
def test_an_own_token_is_inactive_for_the_usual_reasons(service, caller):
    """A client's own token is inactive once it is revoked, expired or narrowed to nothing."""
    token = service.token(caller)
    assert service.introspect(attenuate(token, [Audience(OTHER_API)]), caller) == INACTIVE
    assert service.introspect(token, caller)["active"] is True
    service.revoke(token, caller)
    assert service.introspect(token, caller) == INACTIVE
    late = service.token(caller)
    service.now += 600
    assert service.introspect(late, caller) == INACTIVE


def test_another_clients_name_does_not_make_a_token_ones_own(service):
    """A client whose name only begins alike, or differs in case, is told nothing of the other's token."""
    for name in ("Billing", "billing2", "billin"):
        register(service, name, scope="read")
        assert service.introspect(service.token("billing"), name) == INACTIVE


def test_serving_is_not_calling(several):
    """A client gets no token for an audience because it serves it."""
    register(several, "server", scope="read", audiences=(), serves=(API,))
    for audience in (API, OTHER_API):
        refused(several.ask_token("server", resource=audience), 400, "invalid_target")
    register(several, "alone", scope=None, audiences=(), serves=(API,))
    for form in ({}, {"scope": "read"}, {"resource": API}, {"resource": ISSUER}, {"scope": "keys"}):
        assert several.ask_token("alone", **form).status_code == 400


def test_who_serves_and_calls_an_audience_may_do_both(service, certificate):
    """A resource server that is a client of its own audience mints for itself alone: that harms no other."""
    register(service, "both", scope="read keys", serves=(API,))
    [file] = ask(service, KEYS, token_for_service(service, "both"), certificate).json["audiences"]
    assert file["audience"] == API
    assert service.introspect(service.token("both"), "both")["aud"] == API


def test_the_service_itself_is_served_by_no_client(service, certificate):
    """A client that serves the issuer, as it may have before the issuer moved, gets nothing for it."""
    register(service, "former", scope="keys revocations", serves=(ISSUER,))
    token = token_for_service(service, "former")
    for path, query in ((KEYS, {}), (KEYS, {"audience": ISSUER}), (FEED, {})):
        refused(ask(service, path, token, certificate, query=query), 403, "access_denied")
    register(service, "ops", scope="admin")
    assert service.introspect(token_for_service(service, "ops"), "former") == INACTIVE


@pytest.mark.parametrize("wanted", [OTHER_API, ISSUER, API + "//", API + "/a", ""])
def test_keys_of_what_is_not_served_are_refused_with_what_to_run(service, certificate, wanted):
    """A resource server of one audience gets no other's keys by any spelling, and learns how it could."""
    register(service, "invoices", serves=(API,))
    answer = ask(service, KEYS, token_for_service(service), certificate, query={"audience": wanted})
    assert "client update invoices --serves https://api.example --serves URL" in refused(
        answer, 403, "access_denied"
    )


def taken_by_an_operator(service):
    """Take the right away as an operator does, in another process, which revokes the tokens that had it."""
    another = open_stores(service.settings.database_url, WRAPPING_KEY, NOW)
    another.clients.change(
        "invoices", lambda before: structs.replace(before, serves=()), lambda: NOW, lasting=600
    )
    another.database.close()


def merely_gone(service):
    rewritten(service, "invoices", scope="keys revocations", serves=())


def for_others(service):
    rewritten(service, "invoices", scope="keys revocations", serves=(API, OTHER_API))


@pytest.mark.parametrize(
    ("lose", "status"),
    [(taken_by_an_operator, 401), (merely_gone, 403), (for_others, 400)],
    ids=lambda one: getattr(one, "__name__", one),
)
def test_a_wait_ends_with_the_right_to_wait(on_each_database, certificate, lose, status):
    """A follower that loses its right while it waits is refused within seconds, and told nothing more."""
    service = on_each_database
    register(service, "invoices", serves=(API,))
    token = token_for_service(service)
    cursor = ask(service, FEED, token, certificate).json["cursor"]
    timer = threading.Timer(0.3, lose, (service,))
    timer.start()
    answer = ask(service, FEED, token, certificate, query={"after": cursor, "wait": "30"})
    timer.join()
    assert answer.status_code == status
    assert "decisions" not in answer.json


def test_a_right_is_looked_at_again_when_there_is_news(service, certificate):
    """A waiting follower whose own token is revoked is not handed what is revoked afterwards."""
    register(service, "invoices", serves=(API,))
    token = token_for_service(service)
    cursor = ask(service, FEED, token, certificate).json["cursor"]

    def revoke_and_go_on():
        service.revoke(token, "invoices")
        service.stores.revocations.revoke("subject", "secret", now=NOW, expires_at=NOW + 9)

    timer = threading.Timer(0.3, revoke_and_go_on)
    timer.start()
    answer = ask(service, FEED, token, certificate, query={"after": cursor, "wait": "30"})
    timer.join()
    refused(answer, 401, "invalid_token")


def test_the_issuer_cannot_be_what_a_client_serves(start):
    """A service does not start as an issuer whose keys a resource server has, and says what to do."""
    register(start(), "former", scope="keys", serves=(THIRD,))
    with pytest.raises(SettingsError, match=f"client former serves {THIRD}, so it may hold keys that mint"):
        start(issuer=THIRD)
    assert start(issuer=None).stores.recorded_issuer() == ISSUER


def test_the_start_names_servers_of_nothing(start, caplog):
    """A service that starts logs which resource servers serve nothing, and what to run; no others."""
    first = start()
    register(first, "fed", scope="keys", serves=(API,))
    register(first, "followed", scope="revocations")
    register(first, "asking", scope="read", understands_caveats=True)
    register(first, "comparing", scope="read", checks_certificates=True)
    caplog.clear()
    start()
    warned = [one.getMessage() for one in caplog.records if "serves no audience" in one.getMessage()]
    assert [text.split()[1] for text in warned] == ["asking", "comparing", "followed"]
    assert "run macaroon-cbat client update followed --serves URL" in warned[2]
    assert all(one.levelno == logging.WARNING for one in caplog.records if "serves no" in one.getMessage())
