"""Dynamic registration (RFC 7591): what an invitation allows, and nothing beyond it."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.audit_events import events
from tests.support.certificates import certified
from tests.support.databases import NOW
from tests.support.json_web_keys import jwk_of
from tests.support.registering import (
    APP,
    CALLBACK,
    EVERY_METHOD,
    REGISTER,
    ask,
    child,
    invitation,
    register,
    registered,
)
from tests.support.service import API, ISSUER, OTHER_API, refused

ONE = certified("CN=one")
SERVICE = {"token_endpoint_auth_method": "client_secret_basic", "grant_types": ["client_credentials"]}


def test_an_application_registers_itself(service):
    """An application is registered as it asked, and is told all that is really registered."""
    answer = registered(service)
    client_id = answer["client_id"]
    token = answer.pop("registration_access_token")
    assert answer == {
        "client_id": client_id,
        "client_id_issued_at": NOW,
        "registration_client_uri": f"{ISSUER}{REGISTER}/{client_id}",
        **APP,
        "scope": "read write",
        "audiences": [API],
        "tls_client_certificate_bound_access_tokens": True,
    }
    metadata = service.stores.clients.look_up(client_id).metadata
    assert metadata.redirect_uris == (CALLBACK,)
    assert metadata.tls_client_certificate_bound_access_tokens
    assert token not in json.dumps(answer)


def test_a_confidential_client_gets_its_secret_and_a_token(service):
    """A client that registers for client credentials gets a lasting secret, and a token by it."""
    token = invitation(service, grant_types=["client_credentials"], token_endpoint_auth_methods=EVERY_METHOD)
    answer = registered(service, token, SERVICE)
    assert (answer["client_secret_expires_at"], answer["response_types"]) == (0, [])
    form = {"grant_type": "client_credentials", "client_id": answer["client_id"]}
    got = service.post("/oauth2/token", form | {"client_secret": answer["client_secret"]})
    assert got.json["scope"] == "read write"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        pytest.param({"scope": "read"}, {"scope": "read"}, id="a scope"),
        pytest.param({"scope": "keys write admin x"}, {"scope": "write"}, id="scopes beyond the invitation"),
        pytest.param({"scope": ""}, {"scope": "read write"}, id="an empty scope"),
        pytest.param({"client_name": None}, {"client_name": None}, id="null"),
        pytest.param({"serves": [API]}, {"serves": None}, id="an audience to serve"),
        pytest.param({"understands_caveats": True}, {"understands_caveats": None}, id="a promise"),
        pytest.param({"certificates": ["A" * 43]}, {"certificates": None}, id="certificates of ours"),
        pytest.param({"client_id": "admin"}, {}, id="a name of its choice"),
        pytest.param({"client_secret": "mine"}, {"client_secret": None}, id="a secret of its choice"),
        pytest.param({"colour": "blue"}, {"colour": None}, id="an unknown member"),
        pytest.param({"software_statement": "e.y.J"}, {"software_statement": None}, id="a statement"),
        pytest.param({"logo_uri": "https://a/b", "contacts": ["a@b.c"]}, {"logo_uri": None}, id="a logo"),
        pytest.param({"jwks": {"keys": [jwk_of(ONE)]}}, {"jwks": None}, id="keys that are not read"),
        pytest.param({"refresh_max_seconds": 1 << 60}, {"refresh_max_seconds": None}, id="a lifetime"),
        pytest.param({"unused_until": None, "created_at": 1}, {}, id="the service's own columns"),
        pytest.param({"grant_types": None}, {"grant_types": ["authorization_code"]}, id="no grant types"),
        pytest.param(
            {"token_endpoint_auth_method": None}, {"token_endpoint_auth_method": "none"}, id="no method"
        ),
        pytest.param(
            {"dpop_bound_access_tokens": True},
            {"dpop_bound_access_tokens": True, "tls_client_certificate_bound_access_tokens": None},
            id="bound to a key",
        ),
        pytest.param(
            {"redirect_uris": ["com.example.app:/cb", "https://app.example/cb"]},
            {"redirect_uris": ["com.example.app:/cb", "https://app.example/cb"]},
            id="redirects of the invitation",
        ),
    ],
)
def test_what_is_registered_is_what_is_answered(service, sent, kept):
    """Members that mean nothing here are ignored (RFC 7591 2), and the answer says what is registered."""
    answer = registered(service, members=APP | sent)
    assert {name: answer.get(name) for name in kept} == kept
    assert answer["client_id"] != "admin"
    assert service.stores.clients.look_up(answer["client_id"]).metadata.serves == ()


BEYOND = {
    "another host": ({"redirect_uris": ["https://evil.example/cb"]}, "invalid_redirect_uri"),
    "a host below": ({"redirect_uris": ["https://x.app.example/cb"]}, "invalid_redirect_uri"),
    "one of two": ({"redirect_uris": [CALLBACK, "https://evil.example/cb"]}, "invalid_redirect_uri"),
    "a host in the path": ({"redirect_uris": ["https://evil.example/app.example"]}, "invalid_redirect_uri"),
    "another application": ({"redirect_uris": ["com.evil.app:/cb"]}, "invalid_redirect_uri"),
    "a fragment": ({"redirect_uris": [CALLBACK + "#x"]}, "invalid_redirect_uri"),
    "plain HTTP": ({"redirect_uris": ["http://app.example/cb"]}, "invalid_redirect_uri"),
    "a script": ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
    "no redirect": ({"redirect_uris": []}, "invalid_client_metadata"),
    "a redirect that is no text": ({"redirect_uris": [7]}, "invalid_client_metadata"),
    "another grant": ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
    "another grant beside": (
        {"grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"]},
        "invalid_client_metadata",
    ),
    "an unknown grant": ({"grant_types": ["password"]}, "invalid_client_metadata"),
    "another method": ({"token_endpoint_auth_method": "client_secret_post"}, "invalid_client_metadata"),
    "an unknown method": ({"token_endpoint_auth_method": "x"}, "invalid_client_metadata"),
    "another audience": ({"audiences": [OTHER_API]}, "invalid_client_metadata"),
    "no audience, which is every one": ({"audiences": []}, "invalid_client_metadata"),
    "one audience more": ({"audiences": [API, OTHER_API]}, "invalid_client_metadata"),
    "the service itself": ({"audiences": [ISSUER]}, "invalid_client_metadata"),
    "nothing of the scopes": ({"scope": "admin keys"}, "invalid_client_metadata"),
    "a scope that is no text": ({"scope": ["read"]}, "invalid_client_metadata"),
    "another response type": ({"response_types": ["token"]}, "invalid_client_metadata"),
    "a name that deceives": ({"client_name": "Bank\u202e"}, "invalid_client_metadata"),
    "a name that is no text": ({"client_name": {"a": 1}}, "invalid_client_metadata"),
}


@pytest.mark.parametrize(("sent", "code"), BEYOND.values(), ids=BEYOND)
def test_what_is_beyond_the_invitation_is_refused(service, sent, code):
    """Metadata beyond the invitation, or that no client may have, registers no client and uses nothing up."""
    token, before = invitation(service, registrations=1), service.stores.clients.all()
    refused(register(service, token, APP | sent), 400, code)
    assert service.stores.clients.all() == before
    assert register(service, token).status_code == 201


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(
            {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk_of(ONE)]}},
            201,
            id="a key",
        ),
        pytest.param(
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://app.example/keys"},
            201,
            id="keys at a host of the invitation",
        ),
        pytest.param(
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://evil.example/keys"},
            400,
            id="keys at another host",
        ),
        pytest.param(
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://169.254.169.254/"},
            400,
            id="keys at an address inside",
        ),
        pytest.param(
            {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://127.0.0.1/keys"},
            400,
            id="keys at an address for redirects",
        ),
        pytest.param(
            {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [jwk_of(ONE) | {"d": "AA"}]}},
            400,
            id="a private key",
        ),
        pytest.param(
            {"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [jwk_of(ONE)]}},
            201,
            id="a certificate",
        ),
        pytest.param(
            {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "app.example"},
            201,
            id="a name",
        ),
        pytest.param({"token_endpoint_auth_method": "tls_client_auth"}, 400, id="no name"),
    ],
)
def test_a_proof_is_registered_within_the_invitation(service, sent, status):
    """A client registers a strong proof of its own; keys are fetched from hosts of the invitation alone."""
    token = invitation(service, grant_types=["client_credentials"], token_endpoint_auth_methods=EVERY_METHOD)
    answer = register(service, token, {"grant_types": ["client_credentials"]} | sent)
    assert answer.status_code == status, answer.text


NARROWED = {
    "nothing": ((), 201, None),
    "a scope": (('{"scope":"read"}',), 201, {"scope": "read"}),
    "two scopes": (('{"scope":"read"}', '{"scope":"write"}'), 401, None),
    "an expiry ahead": (({"exp": NOW + 9},), 201, None),
    "an expiry behind": (({"exp": NOW},), 401, None),
    "another audience": (('{"aud":"https://api.example"}',), 401, None),
    "another method": (('{"htm":"GET"}',), 401, None),
    "another path": (('{"path":"/admin"}',), 401, None),
    "its path": (('{"path":"/oauth2/register"}',), 201, None),
    "a certificate": (({"cnf": {"x5t#S256": ONE.thumbprint}},), 401, None),
    "another address": (('{"ip":"192.0.2.0/24"}',), 401, None),
    "no audience": (('{"registration":{"audiences":[]}}',), 400, None),
    "an audience beside it": (('{"registration":{"audiences":["https://other.example"]}}',), 400, None),
    "an audience more": (
        ('{"registration":{"audiences":["https://api.example","https://other.example"]}}',),
        201,
        {"audiences": [API]},
    ),
    "other hosts": (('{"registration":{"hosts":["app.example"]}}',), 400, None),
    "a host more": (('{"registration":{"hosts":["127.0.0.1","evil.example"]}}',), 201, None),
    "other grants": (('{"registration":{"grant_types":["client_credentials"]}}',), 400, None),
    "other methods": (('{"registration":{"token_endpoint_auth_methods":["private_key_jwt"]}}',), 400, None),
    "spelled otherwise": (('{ "registration" : { "hosts" : [ "127.0.0.1" ] } }',), 201, None),
    "an empty caveat": (('{"registration":{}}',), 201, None),
    "an unknown member": (('{"registration":{"hosts":["127.0.0.1"],"colour":"blue"}}',), 401, None),
    "an unknown grant": (('{"registration":{"grant_types":["password"]}}',), 401, None),
    "a malformed host": (('{"registration":{"hosts":["127.0.0.1/"]}}',), 401, None),
    "no number": (('{"registration":{"registrations":0}}',), 401, None),
    "a value that is none": (('{"registration":null}',), 401, None),
    "a repeated member": (('{"registration":{"hosts":["127.0.0.1"],"hosts":["a.example"]}}',), 401, None),
    "a second member": (({"registration": {"hosts": ["127.0.0.1"]}, "exp": NOW + 9},), 401, None),
    "an unknown caveat": (('{"colour":"blue"}',), 401, None),
    "no JSON": (("registration",), 401, None),
}


@pytest.mark.parametrize(("caveats", "status", "kept"), NARROWED.values(), ids=NARROWED)
def test_a_holder_narrows_an_invitation_offline(service, caveats, status, kept):
    """Every caveat that a holder appends restricts what may be registered, and an unknown one refuses."""
    answer = register(service, child(invitation(service), *caveats))
    assert answer.status_code == status, answer.text
    assert {name: answer.json.get(name) for name in kept or ()} == (kept or {})


def test_an_invitation_is_bound_to_a_certificate_by_its_holder(service):
    """A holder binds its invitation to a certificate, over whose connections alone it is good then."""
    bound = child(invitation(service), {"cnf": {"x5t#S256": ONE.thumbprint}})
    assert register(service, bound, certificate=ONE).status_code == 201
    refused(register(service, bound, certificate=certified("CN=other")), 401, "invalid_token")


def test_the_number_of_registrations_is_bounded(service):
    """An invitation registers as many clients as it says, and so does each child within its parent."""
    parent = invitation(service, registrations=3)
    one, other = (child(parent, {"registration": {"registrations": most}}) for most in (1, 2))
    statuses = [
        register(service, token).status_code for token in (one, one, other, other, other, parent, one)
    ]
    assert statuses == [201, 401, 201, 201, 401, 401, 401]


def test_registrations_at_once_are_counted(service):
    """Of many clients that register at the same instant, as many succeed as the invitation allows."""
    token, before = invitation(service, registrations=3), len(service.stores.clients.all())
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: register(service, token).status_code, range(12)))
    assert sorted(answers) == [201] * 3 + [401] * 9
    assert len(service.stores.clients.all()) == before + 3


def bit_changed(text):
    return text[:-1] + ("Q" if text.endswith("A") else "A")


NO_INVITATIONS = {
    "none": lambda service: None,
    "an access token": lambda service: service.token(),
    "a key of another use": lambda service: service.minted(use="refresh"),
    "a registration access token": lambda service: registered(service)["registration_access_token"],
    "nonsense": lambda service: "x",
    "a bit changed": lambda service: bit_changed(invitation(service)),
    "another service's": lambda service: child(invitation(service)).replace("A", "B", 1),
}


@pytest.mark.parametrize("made", NO_INVITATIONS.values(), ids=NO_INVITATIONS)
def test_without_an_invitation_no_client_is_registered(service, made):
    """A caller without a good invitation is 401, with a challenge, and learns nothing about its metadata."""
    token = made(service)
    for members in (APP, {"redirect_uris": 7}):
        answer = register(service, token, members)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_an_invitation_is_no_access_token(service, certificate):
    """An invitation opens no other endpoint, bound or not, and is inactive where it is introspected."""
    token = invitation(service, scope="read write")
    bound = child(token, {"cnf": {"x5t#S256": certificate.thumbprint}})
    for path in ("/admin/clients", "/resource/keys"):
        assert ask(service, "GET", path, bound, certificate=certificate).status_code == 401
    assert service.introspect(token) == {"active": False}


def test_an_invitation_expires(service):
    """An invitation is good until the second in which it expires."""
    token = invitation(service, lifetime=10)
    service.now = NOW + 9
    assert register(service, token).status_code == 201
    service.now = NOW + 10
    refused(register(service, token), 401, "invalid_token")


@pytest.mark.parametrize("body", ["[]", "null", "7", "{", "", '{"a":1,"a":2}', "[" * 20_000])
def test_a_body_of_another_shape_is_refused(service, body):
    """A body that is not one JSON object registers no client."""
    headers = {"Authorization": f"Bearer {invitation(service)}", "Content-Type": "application/json"}
    refused(service.open(REGISTER, data=body, headers=headers), 400, "invalid_request")


def test_registration_is_announced(service):
    """The metadata name the registration endpoint (RFC 8414 2)."""
    document = service.open("/.well-known/oauth-authorization-server", method="GET").json
    assert document["registration_endpoint"] == ISSUER + REGISTER


def test_every_step_is_audited(audited, file):
    """A registration, an update and a removal are one line each, and so is a refusal."""
    token = invitation(audited)
    made = registered(audited, token)
    manager, path = made["registration_access_token"], made["registration_client_uri"].removeprefix(ISSUER)
    ask(audited, "PUT", path, manager, APP | {"client_id": made["client_id"], "scope": "read"})
    ask(audited, "DELETE", path, manager)
    register(audited, child(token, '{"colour":"blue"}'))
    written = [
        {name: one.get(name) for name in ("event", "who", "client_id", "scope", "error")}
        for one in events(file)
    ]
    own = {"who": made["client_id"], "client_id": made["client_id"], "error": None}
    assert written == [
        own | {"event": "client.registered", "who": "operator", "scope": "read write"},
        own | {"event": "client.changed", "scope": "read"},
        own | {"event": "client.removed", "scope": None},
        {
            "event": "request.refused",
            "who": "operator",
            "client_id": None,
            "scope": None,
            "error": "invalid_token",
        },
    ]
    assert token not in file.read_text()
    assert manager not in file.read_text()
