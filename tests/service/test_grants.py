"""The list of refresh families: a client sees its own, a subject its own, an operator all."""

import pytest

from macaroon_cbat.macaroon.caveats import confirmation, key_confirmation
from macaroon_cbat.macaroon.proof_keys import KeyThumbprint
from macaroon_cbat.service import family_routes
from macaroon_cbat.service.family_lists import FAMILY_PAGE
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.issuer import Issuer
from tests.support.administrator import administrator
from tests.support.databases import NOW
from tests.support.forged_tokens import forged
from tests.support.refresh import (
    PHONE,
    WEB,
    ask_refresh,
    begun,
    family_of,
    phone_metadata,
    refreshed,
    register,
    rows,
    web_metadata,
)
from tests.support.resource_server import token_for_service
from tests.support.service import API, ISSUER, SECRETS, basic, grant_of, refused, seconds

GRANTS = "/oauth2/grants"
AS_WEB = {"Authorization": basic(WEB, SECRETS["billing"])}


@pytest.fixture(autouse=True)
def _registered(service):
    register(service)


def ask(service, method="GET", path=GRANTS, certificate=None, headers=AS_WEB, **request):
    return service.open(path, certificate, method=method, headers=headers, **request)


def listed(service, *arguments, **request):
    answer = ask(service, *arguments, **request)
    assert answer.status_code == 200, answer.text
    return [one["family"] for one in answer.json["grants"]]


def test_a_client_sees_its_families(service):
    """A list names client, subject, scope, audience and times of each live family of the client."""
    service.stores.clients.add("mine", web_metadata(), secret=SECRETS["billing"], now=NOW)
    begun(service, "mine")
    token = begun(service)
    service.now += 60
    refreshed(service, token)
    answer = ask(service)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["cursor"] is None
    assert answer.json["grants"] == [
        {
            "family": family_of(token),
            "client_id": WEB,
            "client_name": None,
            "subject": "user:alice",
            "scope": "read write",
            "audience": API,
            "certificate": None,
            "label": None,
            "created_at": NOW,
            "used_at": NOW + 60,
            "expires_at": NOW + 60 + 14 * 86_400,
        }
    ]


def test_a_client_ends_a_family(service):
    """A family that its client ends is gone with its access tokens, and the log says so."""
    token = begun(service)
    access = refreshed(service, token)["access_token"]
    answer = ask(service, "DELETE", f"{GRANTS}/{family_of(token)}")
    assert (answer.status_code, answer.data) == (204, b"")
    assert service.introspect(access) == {"active": False}
    refused(ask_refresh(service, token), 400, "invalid_grant")
    refused(ask(service, "DELETE", f"{GRANTS}/{family_of(token)}"), 404, "not_found")


def test_a_client_names_a_family(service):
    """A label stands in the list from then on, and after a refresh."""
    token = begun(service)
    path = f"{GRANTS}/{family_of(token)}"
    assert ask(service, "PATCH", path, json={"label": "my phone"}).json["label"] == "my phone"
    refreshed(service, token)
    assert ask(service).json["grants"][0]["label"] == "my phone"
    assert ask(service, "PATCH", path, json={"label": None}).json["label"] is None


LABELS = {"empty": "", "too long": "x" * 101, "with a line end": "a\nb", "a number": 7}


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS)
def test_a_label_is_a_short_line(service, label):
    """A label that would spoil a list is refused."""
    path = f"{GRANTS}/{family_of(begun(service))}"
    refused(ask(service, "PATCH", path, json={"label": label}), 400, "invalid_request")


METHODS = {"DELETE": {}, "PATCH": {"json": {"label": "x"}}}


@pytest.mark.parametrize(("method", "request_"), METHODS.items(), ids=METHODS)
def test_a_client_changes_no_family_of_another(service, method, request_):
    """Another client's family is as unknown as one that does not exist."""
    service.stores.clients.add("mine", web_metadata(), secret=SECRETS["billing"], now=NOW)
    path = f"{GRANTS}/{family_of(begun(service, 'mine'))}"
    known = refused(ask(service, method, path, **request_), 404, "not_found")
    unknown = refused(ask(service, method, f"{GRANTS}/{'A' * 22}", **request_), 404, "not_found")
    assert known == unknown
    assert len(rows(service)) == 1


def test_a_public_client_sees_those_of_its_certificate(service, certificate, other_certificate):
    """Any certificate authenticates a public client: it sees and ends the families bound to its own alone."""
    mine = family_of(begun(service, PHONE, certificate=certificate.thumbprint))
    query = f"{GRANTS}?client_id={PHONE}"
    assert listed(service, path=query, headers={}, certificate=certificate) == [mine]
    assert listed(service, path=query, headers={}, certificate=other_certificate) == []
    path = f"{GRANTS}/{mine}?client_id={PHONE}"
    refused(ask(service, "DELETE", path, other_certificate, headers={}), 404, "not_found")
    assert ask(service, "DELETE", path, certificate, headers={}).status_code == 204


def test_a_public_client_learns_nothing_of_other_logins(service, certificate, other_certificate, monkeypatch):
    """A page has the families of one certificate alone, and no cursor names those of others before them."""
    monkeypatch.setattr(family_routes, "FAMILY_PAGE", 1)
    for _ in range(3):
        begun(service, PHONE, certificate=other_certificate.thumbprint)
    service.now += 1
    mine = family_of(begun(service, PHONE, certificate=certificate.thumbprint))
    answer = ask(service, path=f"{GRANTS}?client_id={PHONE}", headers={}, certificate=certificate).json
    assert ([one["family"] for one in answer["grants"]], answer["cursor"]) == ([mine], None)


def test_a_public_client_without_a_certificate_sees_nothing(service):
    """A public client that is bound to DPoP keys alone proves nothing by its name."""
    members = {"tls_client_certificate_bound_access_tokens": False, "dpop_bound_access_tokens": True}
    service.stores.clients.add("keyed", phone_metadata(**members), secret=None, now=NOW)
    family = family_of(begun(service, "keyed", proof_key=KeyThumbprint("A" * 43)))
    query = "?client_id=keyed"
    refused(ask(service, path=GRANTS + query, headers={}), 401, "invalid_client")
    refused(ask(service, "DELETE", f"{GRANTS}/{family}{query}", headers={}), 401, "invalid_client")
    assert len(rows(service)) == 1


def test_a_certificate_shows_no_family_of_keys(service, certificate):
    """A certificate does not make a public client the owner of families that are bound to DPoP keys."""
    members = {"tls_client_certificate_bound_access_tokens": False, "dpop_bound_access_tokens": True}
    service.stores.clients.add("keyed", phone_metadata(**members), secret=None, now=NOW)
    begun(service, "keyed", proof_key=KeyThumbprint("A" * 43))
    assert listed(service, path=f"{GRANTS}?client_id=keyed", headers={}, certificate=certificate) == []


def test_a_confidential_client_of_dpop_keys_needs_no_proof_here(service):
    """A client whose tokens are bound to keys lists its families by its secret alone: it gets no token."""
    metadata = web_metadata(dpop_bound_access_tokens=True)
    service.stores.clients.add("keyed", metadata, secret=SECRETS["billing"], now=NOW)
    family = family_of(begun(service, "keyed"))
    assert listed(service, headers={"Authorization": basic("keyed", SECRETS["billing"])}) == [family]


WITHOUT_RIGHT = {
    "no credentials": ({}, "", 401, None),
    "a wrong secret": ({"Authorization": basic(WEB, "wrong")}, "", 401, "invalid_client"),
    "a name alone": ({}, f"?client_id={WEB}", 401, "invalid_client"),
    "an unknown parameter": (AS_WEB, "?who=me", 400, "invalid_request"),
    "a malformed cursor": (AS_WEB, "?after=x", 400, "invalid_request"),
}


@pytest.mark.parametrize(("headers", "query", "status", "code"), WITHOUT_RIGHT.values(), ids=WITHOUT_RIGHT)
def test_a_list_needs_credentials(service, headers, query, status, code):
    """A caller without credentials, or with a malformed request, sees no list."""
    answer = ask(service, path=GRANTS + query, headers=headers)
    refused(answer, status, code or "missing_token")


@pytest.fixture
def as_alice(service, certificate):
    """Return headers with a token of alice for the service itself, as an application got it for her."""
    metadata = web_metadata(scope="read write grants", client_name="My logins")
    service.stores.clients.add("logins", metadata, secret=SECRETS["billing"], now=NOW)
    authorization = Authorization(
        client=service.stores.clients.look_up("logins"),
        subject="user:alice",
        scope="grants",
        audience=ISSUER,
        certificate=certificate.thumbprint,
    )
    minted = Issuer(ISSUER, service.stores.root_keys, 600).mint(authorization, seconds(service.now))
    return {"Authorization": f"Bearer {minted.text}"}


def test_a_subject_sees_its_families_at_every_client(service, certificate, as_alice):
    """A macaroon with the scope grants shows the families of its subject, and of no other."""
    mine = [family_of(begun(service)), family_of(begun(service, "logins"))]
    other = family_of(begun(service, subject="user:bob"))
    answer = ask(service, certificate=certificate, headers=as_alice)
    assert {one["family"]: one["client_name"] for one in answer.json["grants"]} == dict(
        zip(mine, [None, "My logins"], strict=True)
    )
    refused(ask(service, "DELETE", f"{GRANTS}/{other}", certificate, as_alice), 404, "not_found")
    assert ask(service, "DELETE", f"{GRANTS}/{mine[0]}", certificate, as_alice).status_code == 204


def test_a_subjects_token_is_bound(service, certificate, other_certificate, as_alice):
    """A stolen macaroon of a subject shows nothing over another connection."""
    refused(ask(service, certificate=other_certificate, headers=as_alice), 401, "invalid_token")


def test_a_list_comes_in_pages(service):
    """A client with more families than a page holds reads on from the cursor."""
    names = {family_of(begun(service)) for _ in range(FAMILY_PAGE + 1)}
    first = ask(service).json
    second = ask(service, path=f"{GRANTS}?after={first['cursor']}").json
    assert (len(first["grants"]), len(second["grants"]), second["cursor"]) == (FAMILY_PAGE, 1, None)
    assert {one["family"] for one in (*first["grants"], *second["grants"])} == names


def test_an_operator_sees_all(service, certificate):
    """An administrator lists every family, or those of a client or a subject."""
    ops = administrator(service, certificate)
    token = token_for_service(service, "ops")
    one, other = family_of(begun(service)), family_of(begun(service, subject="user:bob"))

    def families(query=""):
        answer = ops("GET", "/admin/grants" + query, token=token)
        return {each["family"] for each in answer.json["grants"]}

    assert families() == {one, other}
    assert families("?subject=user%3Abob") == {other}
    assert families(f"?client_id={WEB}&subject=user%3Aalice") == {one}
    assert families("?client_id=unregistered") == set()


@pytest.mark.parametrize("kind", ["family", "token", "subject", "client"])
def test_an_operator_ends_a_family(service, certificate, kind):
    """Revoking a family, its refresh token, its subject or its client ends it in the store, too."""
    ops = administrator(service, certificate)
    token = token_for_service(service, "ops")
    text = begun(service)
    values = {"family": family_of(text), "token": grant_of(text).jti, "subject": "user:alice", "client": WEB}
    answer = ops("POST", "/admin/revocations", token=token, json={"kind": kind, "value": values[kind]})
    assert answer.status_code == 201, answer.text
    assert rows(service) == []
    refused(ask_refresh(service, text), 400, "invalid_grant")


def test_a_revoked_family_does_not_stay_for_ever(service, certificate):
    """The revocation of a family expires with its last access token: no new one can have its name."""
    ops = administrator(service, certificate)
    text = begun(service)
    members = {"kind": "family", "value": family_of(text)}
    answer = ops("POST", "/admin/revocations", token=token_for_service(service, "ops"), json=members)
    assert answer.json["expires_at"] == NOW + 86_400 + 600


def test_a_refresh_token_is_revoked_by_its_client(service):
    """Revoking a refresh token ends its family and its access tokens (RFC 7009 2.1)."""
    token = begun(service)
    answer = refreshed(service, token)
    gone = service.post("/oauth2/revoke", {"token": answer["refresh_token"]} | as_web())
    assert (gone.status_code, gone.json) == (200, {})
    assert rows(service) == []
    assert service.introspect(answer["access_token"]) == {"active": False}
    assert service.post("/oauth2/revoke", {"token": token} | as_web()).status_code == 200


def as_web() -> dict[str, str]:
    return {"client_id": WEB, "client_secret": SECRETS["billing"]}


def test_a_used_refresh_token_still_revokes(service):
    """A refresh token that was replaced has leaked if it comes to be revoked: its family ends."""
    token = begun(service)
    refreshed(service, token)
    assert service.post("/oauth2/revoke", {"token": token} | as_web()).status_code == 200
    assert rows(service) == []


def test_a_refresh_token_of_another_client_is_not_revoked(service):
    """Another client's refresh token, forged or real, is not revoked."""
    token = begun(service)
    refused(service.revoke(token), 400, "invalid_grant")
    assert service.revoke(forged(token), client="billing").status_code == 200
    assert len(rows(service)) == 1


def introspected(service, token, **form):
    answer = service.post("/oauth2/introspect", {"token": token} | form | as_web())
    assert answer.status_code == 200
    return answer.json


def test_a_client_introspects_its_refresh_token(service):
    """Its own client learns what a refresh token is good for; a resource server learns nothing."""
    token = begun(service)
    assert introspected(service, token) == {
        "active": True,
        "iss": ISSUER,
        "client_id": WEB,
        "sub": "user:alice",
        "scope": "read write",
        "exp": NOW + 14 * 86_400,
        "iat": NOW,
        "jti": grant_of(token).jti,
        "aud": API,
    }
    assert service.introspect(token) == {"active": False}


def test_a_replaced_refresh_token_is_inactive(service):
    """A replaced token is inactive after the grace, and asking about it ends no family."""
    token = begun(service)
    refreshed(service, token)
    assert introspected(service, token)["active"] is True
    service.now += 30
    assert introspected(service, token) == {"active": False}
    assert len(rows(service)) == 1


def test_a_bound_copy_shows_its_certificate(service, certificate, other_certificate):
    """A refresh token that its holder bound is active with its certificate alone."""
    token = begun(service, WEB, confirmation(certificate.thumbprint))
    found = introspected(service, token)
    assert found["cnf"] == {"x5t#S256": certificate.thumbprint}
    assert introspected(service, token, client_certificate=certificate.thumbprint) == found
    other = {"client_certificate": other_certificate.thumbprint}
    assert introspected(service, token, **other) == {"active": False}


def test_a_copy_for_a_key_shows_the_key(service):
    """A refresh token that its holder bound to a DPoP key is active, and says to which one."""
    jkt = KeyThumbprint("A" * 43)
    assert introspected(service, begun(service, WEB, key_confirmation(jkt)))["cnf"] == {"jkt": jkt}
