"""The management of a registration by its client (RFC 7592), and what ends it."""

import pytest

from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.service.admin.administration import Administration
from macaroon_cbat.service.admin.revocable import LASTING
from macaroon_cbat.service.admin.shapes import RevocationRequest
from tests.support.administrator import administrator
from tests.support.certificates import certified
from tests.support.databases import NOW, without
from tests.support.registering import APP, EVERY_METHOD, ask, child, invitation, path_of, register, registered
from tests.support.service import API, ISSUER, OTHER_API, client_metadata, refused

ONE = certified("CN=one")
CONFIDENTIAL = {"token_endpoint_auth_method": "client_secret_basic", "grant_types": ["client_credentials"]}


@pytest.fixture
def made(service):
    """Return the answer to an application that registered itself."""
    return registered(service)


def manage(service, made, method, members=None, token=None, **request):
    token = token or made["registration_access_token"]
    return ask(service, method, path_of(made), token, members, **request)


def administration(service):
    stores = service.app.extensions["macaroon_cbat"]
    return Administration(stores, ISSUER, lambda: service.now, lambda *_, **__: None)


def test_a_client_reads_its_registration(service, made):
    """A client reads what it registered; its token is stable, so a lost answer locks it out of nothing."""
    answer = manage(service, made, "GET")
    assert (answer.status_code, answer.json) == (200, made)
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_client_replaces_its_registration(service, made):
    """An update replaces all: what it leaves out is filled in anew (RFC 7592 2.2)."""
    members = {**APP, "client_id": made["client_id"], "scope": "read", "client_name": ""}
    answer = manage(service, made, "PUT", members)
    expected = {name: value for name, value in made.items() if name != "client_name"} | {"scope": "read"}
    assert (answer.status_code, answer.json) == (200, expected)
    assert manage(service, made, "GET").json == expected
    assert manage(service, made, "PUT", APP | {"client_id": made["client_id"]}).json == made


def test_a_client_removes_itself(service, made):
    """A removed client is gone, and with it its registration access token (RFC 7592 2.3)."""
    assert manage(service, made, "DELETE").status_code == 204
    assert service.stores.clients.look_up(made["client_id"]) is None
    for method in ("GET", "PUT", "DELETE"):
        answer = manage(service, made, method, APP if method == "PUT" else None)
        refused(answer, 401, "invalid_token")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


def test_a_right_given_up_revokes_tokens(service):
    """An update that gives a right up revokes the tokens that have it, and the client manages itself on."""
    token = invitation(service, grant_types=["client_credentials"], token_endpoint_auth_methods=EVERY_METHOD)
    made = registered(service, token, CONFIDENTIAL)
    form = {"grant_type": "client_credentials", "client_id": made["client_id"]}
    access = service.post("/oauth2/token", form | {"client_secret": made["client_secret"]}).json[
        "access_token"
    ]
    assert service.introspect(access)["active"]
    members = {**CONFIDENTIAL, "client_id": made["client_id"], "scope": "read"}
    assert manage(service, made, "PUT", members).status_code == 200
    assert service.introspect(access) == {"active": False}
    assert "client_secret" not in manage(service, made, "GET").json


REFUSED_UPDATES = {
    "no client_id": {},
    "another client_id": {"client_id": "billing"},
    "its token": {"registration_access_token": "x"},
    "its URL": {"registration_client_uri": "https://evil.example"},
    "an expiry": {"client_secret_expires_at": 0},
    "a time": {"client_id_issued_at": 0},
    "a secret": {"client_secret": "x"},
    "a secret that is no text": {"client_secret": 7},
    "another audience": {"audiences": [OTHER_API]},
    "no audience, which is every one": {"audiences": []},
    "another grant": {"grant_types": ["client_credentials"]},
    "another method": {"token_endpoint_auth_method": "client_secret_basic"},
    "nothing of its scopes": {"scope": "admin"},
}


@pytest.mark.parametrize("sent", REFUSED_UPDATES.values(), ids=REFUSED_UPDATES)
def test_an_update_beyond_the_invitation_is_refused(service, made, sent):
    """An update stays within the bounds of the first registration, and leaves the service's part alone."""
    named = {} if sent == {} else {"client_id": made["client_id"]}
    refused(manage(service, made, "PUT", APP | named | sent), 400, "invalid_client_metadata")
    assert manage(service, made, "GET").json == made


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_the_token_of_another_client_manages_nothing(service, made, method):
    """A registration access token is good for its own client alone, and no other macaroon is one."""
    other, wanted = registered(service), APP if method == "PUT" else None
    tokens = [other["registration_access_token"], service.token(), invitation(service), "x"]
    answers = [manage(service, made, method, wanted, token=token) for token in tokens]
    assert {(one.status_code, one.json["error"]) for one in answers} == {(401, "invalid_token")}
    answer = ask(service, method, path_of(made), None, wanted)
    refused(answer, 401, "missing_token")
    for path in ("billing", "unregistered", "%00", "x" * 70):
        refused(ask(service, method, f"/oauth2/register/{path}", tokens[0], wanted), 401, "invalid_token")
    assert manage(service, made, "GET").json == made


@pytest.mark.parametrize(
    ("caveat", "statuses"),
    [
        pytest.param({"htm": "GET"}, [200, 401, 401], id="a method"),
        pytest.param({"exp": NOW}, [401, 401, 401], id="an expiry"),
        pytest.param({"cnf": {"x5t#S256": ONE.thumbprint}}, [401, 401, 401], id="a certificate"),
        pytest.param({"registration": {"hosts": []}}, [401, 401, 401], id="a caveat of invitations"),
        pytest.param({"colour": "blue"}, [401, 401, 401], id="an unknown one"),
        pytest.param({"path": "/oauth2/register"}, [200, 200, 204], id="a path"),
    ],
)
def test_caveats_of_a_registration_access_token_are_judged(service, made, caveat, statuses):
    """A holder restricts its registration access token as any macaroon, and is answered with no wider one."""
    token = child(made["registration_access_token"], caveat)
    members = APP | {"client_id": made["client_id"]}
    answers = [
        manage(service, made, method, sent, token=token)
        for method, sent in (("GET", None), ("PUT", members), ("DELETE", None))
    ]
    assert [one.status_code for one in answers] == statuses
    shown = {one.json["registration_access_token"] for one in answers if one.status_code == 200}
    assert shown <= {token}


def test_a_token_that_is_bound_by_its_holder_is_good_over_its_connection(service, made):
    """A registration access token that its holder bound to a certificate is good over that connection."""
    token = child(made["registration_access_token"], {"cnf": {"x5t#S256": ONE.thumbprint}})
    assert manage(service, made, "GET", token=token, certificate=ONE).status_code == 200
    administration(service).revoke(RevocationRequest("certificate", ONE.thumbprint))
    refused(manage(service, made, "GET", token=token, certificate=ONE), 401, "invalid_token")


def narrowed(service, made):
    administration(service).change_client(made["client_id"], {"scope": "read"})


def revoked(service, made):
    administration(service).revoke(RevocationRequest("client", made["client_id"]))


def removed_and_added(service, made):
    client = service.stores.clients.look_up(made["client_id"])
    administration(service).remove_client(made["client_id"])
    service.stores.clients.add(client.client_id, client.metadata, secret=None, now=NOW)


@pytest.mark.parametrize("act", [narrowed, revoked, removed_and_added])
def test_an_administrator_has_the_last_word(service, made, act):
    """A client from which an administrator took a right, or its tokens, can no longer change itself."""
    act(service, made)
    before = service.stores.clients.look_up(made["client_id"])
    refused(manage(service, made, "PUT", APP | {"client_id": made["client_id"]}), 401, "invalid_token")
    assert service.stores.clients.look_up(made["client_id"]) == before


def test_a_right_that_an_administrator_adds_stays(service, made):
    """A right that an administrator adds ends nothing; what only it may register survives an update."""
    administration(service).change_client(made["client_id"], {"refresh_max_seconds": 60, "serves": [API]})
    administration(service).change_client(made["client_id"], {"refresh_max_seconds": 90})
    refused(manage(service, made, "GET"), 401, "invalid_token")
    other = registered(service)
    administration(service).change_client(other["client_id"], {"serves": [API]})
    manage(service, other, "PUT", APP | {"client_id": other["client_id"]})
    assert service.stores.clients.look_up(other["client_id"]).metadata.serves == (API,)


def test_an_invitation_ends_by_its_id_for_good(service):
    """An invitation that is revoked by its id registers no client, even once the revocation is forgotten."""
    token = invitation(service, lifetime=30 * 86_400)
    assert register(service, token).status_code == 201
    token_id = read_identifier(read_macaroon(token).identifier).jti
    administration(service).revoke(RevocationRequest("token", token_id))
    refused(register(service, token), 401, "invalid_token")
    service.now = NOW + LASTING + 10
    refused(register(service, token), 401, "invalid_token")


def lost_its_role(stores, verbs):
    verbs.change_client("ops", {"scope": "read"})


def lost_its_tokens(stores, verbs):
    verbs.revoke(RevocationRequest("client", "ops"))


def registered_again(stores, verbs):
    verbs.remove_client("ops")
    stores.clients.add("ops", client_metadata(scope="admin"), secret="s" * 43, now=NOW + 60)


@pytest.mark.parametrize("end", [lost_its_role, lost_its_tokens, registered_again])
def test_an_invitation_ends_with_its_administrator(service, certificate, end):
    """An invitation ends with the rights of the administrator that made it, for as long as it would live."""
    ops = administrator(service, certificate)
    wanted = {"scope": "read", "audiences": [API], "hosts": ["127.0.0.1"], "lifetime": 30 * 86_400}
    made = ops("POST", "/admin/invitations", json=wanted | {"registrations": 9})
    assert made.status_code == 201, made.text
    token = made.json["initial_access_token"]
    assert register(service, token).status_code == 201
    end(service.app.extensions["macaroon_cbat"], administration(service))
    for second in (NOW + 60, NOW + 2 * LASTING):
        service.now = second
        refused(register(service, token), 401, "invalid_token")


def test_root_keys_rotate_and_registrations_stay(service, made):
    """Invitations and registrations outlive the root keys, which rotate."""
    token = invitation(service, lifetime=30 * 86_400)
    old = service.stores.root_keys.current().kid
    for _ in range(2):
        administration(service).rotate()
    administration(service).retire(old)
    assert manage(service, made, "GET").json == made
    assert register(service, token).status_code == 201


def test_a_registration_access_token_that_leaked_is_revoked_by_its_id(service, made):
    """An operator revokes a registration access token alone, for as long as its client lives."""
    other = registered(service)
    jti = read_identifier(read_macaroon(made["registration_access_token"]).identifier).jti
    administration(service).revoke(RevocationRequest("token", jti))
    for second in (NOW, NOW + 2 * LASTING):
        service.now = second
        refused(manage(service, made, "GET"), 401, "invalid_token")
        assert manage(service, other, "GET").status_code == 200
    assert service.stores.clients.look_up(made["client_id"]) is not None


@pytest.mark.parametrize("kind", ["invitation", "registration access token"])
def test_no_revocation_of_a_macaroon_of_registration_is_acknowledged(service, made, kind):
    """A client that would revoke such a macaroon as a token is told what ends it: a 200 would deceive it."""
    token = invitation(service) if kind == "invitation" else made["registration_access_token"]
    form = {"client_id": made["client_id"], "token": token}
    answer = service.open("/oauth2/revoke", ONE, data=form)
    assert "nothing was revoked" in refused(answer, 400, "invalid_request")


def test_no_path_forges_a_line_of_the_log(service, made, caplog):
    """The path of a request that failed is one line of the log, whatever the client wrote into it."""
    with without(service.stores, "expiring_records"):
        answer = ask(service, "GET", path_of(made) + "%0Aforged", made["registration_access_token"])
    refused(answer, 503, "temporarily_unavailable")
    [line] = [one.getMessage() for one in caplog.records if one.getMessage().startswith("unavailable ")]
    assert r"\nforged: the database" in line
    assert "\n" not in line
