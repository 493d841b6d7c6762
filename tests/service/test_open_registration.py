"""Open registration: off unless it is switched on, and narrow then."""

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.service.registration.registrar import UNUSED_SECONDS
from macaroon_cbat.service.registration_settings import RegistrationSettings
from macaroon_cbat.stores import registrations
from macaroon_cbat.stores.client_store import add_client
from tests.support.databases import NOW
from tests.support.failing_database import failing_at_statement
from tests.support.registering import APP, child, invitation, path_of, register, registered
from tests.support.service import API, OTHER_API, basic, client_metadata, refused

OPEN = RegistrationSettings(open_registration="read write", open_registration_audiences=f"{API}, {API}/")


@pytest.fixture
def opened(start):
    return start(is_kept=True, registration=OPEN)


def test_it_is_off_by_default(service):
    """Without the setting, a client without an invitation is not registered."""
    answer = register(service, None)
    refused(answer, 401, "missing_token")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param({}, {"scope": "read write", "audiences": [API]}, id="an application"),
        pytest.param({"scope": "admin keys read"}, {"scope": "read"}, id="every scope of the metadata"),
        pytest.param({"redirect_uris": ["https://any.example/cb"]}, {}, id="any https host"),
        pytest.param({"redirect_uris": ["http://[::1]:1/cb"]}, {}, id="loopback"),
        pytest.param({"redirect_uris": ["http://localhost:3030/callback"]}, {}, id="localhost"),
        pytest.param({"serves": [API]}, {"serves": None}, id="an audience to serve"),
        pytest.param(
            {"token_endpoint_auth_method": None}, {"token_endpoint_auth_method": "none"}, id="no method"
        ),
    ],
)
def test_an_application_registers_itself_uninvited(opened, sent, kept):
    """A public application registers itself, bound to its certificate, for what the operator named."""
    answer = register(opened, None, APP | sent)
    assert answer.status_code == 201, answer.text
    assert answer.json["tls_client_certificate_bound_access_tokens"] is True
    assert {name: answer.json.get(name) for name in kept} == kept


BEYOND = {
    "a secret": ({"token_endpoint_auth_method": "client_secret_basic"}, "client_metadata"),
    "a key": (
        {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://any.example/keys"},
        "client_metadata",
    ),
    "client credentials": ({"grant_types": ["client_credentials"]}, "client_metadata"),
    "a device": (
        {"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"], "redirect_uris": None},
        "client_metadata",
    ),
    "an exchange": ({"grant_types": ["urn:ietf:params:oauth:grant-type:token-exchange"]}, "client_metadata"),
    "another audience": ({"audiences": [OTHER_API]}, "client_metadata"),
    "no audience, which is every one": ({"audiences": []}, "client_metadata"),
    "the scopes of the service": ({"scope": "admin"}, "client_metadata"),
    "a scheme of its own": ({"redirect_uris": ["com.example.app:/cb"]}, "redirect_uri"),
    "plain HTTP": ({"redirect_uris": ["http://any.example/cb"]}, "redirect_uri"),
    "a private address": ({"redirect_uris": ["http://127.0.0.2/cb"]}, "redirect_uri"),
}


@pytest.mark.parametrize(("sent", "code"), BEYOND.values(), ids=BEYOND)
def test_it_is_narrow(opened, sent, code):
    """An uninvited client gets no secret, no grant without a person, only https and loopback redirects."""
    refused(register(opened, None, APP | sent), 400, f"invalid_{code}")


def test_an_invitation_is_judged_though_registration_is_open(opened):
    """A caller that sends an invitation is judged by it, and not let in without it if it is bad."""
    refused(register(opened, child(invitation(opened), '{"colour":"blue"}')), 401, "invalid_token")
    assert registered(opened, invitation(opened, scope="other"))["scope"] == "other"


def test_a_client_that_is_not_used_is_gone_after_a_day(opened, certificate):
    """An uninvited client that got no token is unknown after a day, and removed when the next one comes."""
    made = register(opened, None).json
    revoked = {"token": opened.token(), "client_id": made["client_id"]}
    opened.now = NOW + UNUSED_SECONDS - 1
    assert opened.post("/oauth2/revoke", revoked, None, certificate).status_code != 401
    opened.now = NOW + UNUSED_SECONDS
    refused(opened.post("/oauth2/revoke", revoked, None, certificate), 401, "invalid_client")
    register(opened, None)
    assert opened.stores.clients.look_up(made["client_id"]) is None
    refused(
        opened.open(
            path_of(made),
            method="GET",
            headers={"Authorization": f"Bearer {made['registration_access_token']}"},
        ),
        401,
        "invalid_token",
    )


def test_a_client_that_got_a_token_stays(service):
    """The first token of a client that registered openly lets it stay."""
    with service.stores.database.writing() as connection:
        until = NOW + 60
        add_client(connection, "open", client_metadata(), secret="s" * 43, now=NOW, unused_until=until)
        add_client(connection, "late", client_metadata(), secret="s" * 43, now=NOW, unused_until=until)

    def ask(client):
        headers = {"Authorization": basic(client, "s" * 43)}
        form = {"grant_type": "client_credentials"}
        return service.open("/oauth2/token", data=form, headers=headers).status_code

    assert ask("open") == 200
    service.now = NOW + 60
    assert [ask("open"), ask("late")] == [200, 401]


def test_a_token_is_given_though_its_client_cannot_be_marked_used(service):
    """A database that fails after a token is minted uses no code up in vain: the next token marks it."""
    with service.stores.database.writing() as connection:
        members = {"secret": "s" * 43, "now": NOW, "unused_until": NOW + 60}
        add_client(connection, "open", client_metadata(), **members)

    def ask():
        headers = {"Authorization": basic("open", "s" * 43)}
        form = {"grant_type": "client_credentials"}
        return service.open("/oauth2/token", data=form, headers=headers).status_code

    with failing_at_statement(service.app.extensions["macaroon_cbat"].database.engine, "UPDATE clients"):
        assert ask() == 200
    assert service.stores.clients.look_up("open").unused_until == NOW + 60
    assert ask() == 200
    assert service.stores.clients.look_up("open").unused_until is None


def test_unused_clients_are_bounded(opened, monkeypatch):
    """While too many uninvited clients are unused and new, no further one registers; an invited one does."""
    monkeypatch.setattr(registrations, "MOST_UNUSED", 2)
    assert [register(opened, None).status_code for _ in range(3)] == [201, 201, 429]
    opened.now = NOW + 1
    assert register(opened, None).headers["Retry-After"] == str(registrations.SURE_SECONDS - 1)
    assert register(opened, invitation(opened)).status_code == 201
    opened.now = NOW + UNUSED_SECONDS
    assert register(opened, None).status_code == 201


def test_places_are_not_kept_for_a_day(opened, monkeypatch):
    """A flood of registrations keeps newcomers out for minutes: the oldest unused client gives way to one.

    A client that has got a token never gives way, nor does one that is new.
    """
    monkeypatch.setattr(registrations, "MOST_UNUSED", 2)
    used, unused = register(opened, None).json, register(opened, None).json
    opened.stores.clients.keep(used["client_id"])
    opened.now = NOW + 60
    later = register(opened, None).json
    opened.now = NOW + registrations.SURE_SECONDS
    newest = register(opened, None)
    assert newest.status_code == 201
    assert register(opened, None).status_code == 429
    there = [opened.stores.clients.look_up(one["client_id"]) is not None
             for one in (used, unused, later, newest.json)]  # fmt: skip
    assert there == [True, False, True, True]


@pytest.mark.parametrize(
    "members",
    [
        {"open_registration": "read"},
        {"open_registration_audiences": API},
        {"open_registration": "read", "open_registration_audiences": "api"},
        {"open_registration": "read", "open_registration_audiences": ","},
        {"open_registration": "read", "open_registration_audiences": f"{API},https://b example"},
    ],
    ids=str,
)
def test_half_a_setting_is_refused(members):
    """Scopes without audiences, or the other way round, and what is no audience, are refused at the start."""
    with pytest.raises(SettingsError, match="OPEN_REGISTRATION"):
        RegistrationSettings(**members)


@pytest.mark.parametrize("scope", ["admin", "read keys", "revocations"])
def test_a_scope_of_the_service_itself_is_refused(start, scope):
    """No service starts whose open registration would give its own scopes away."""
    settings = RegistrationSettings(open_registration=scope, open_registration_audiences=API)
    with pytest.raises(SettingsError, match="OPEN_REGISTRATION names the scope"):
        start(registration=settings)
