"""Pushed authorization requests (RFC 9126): of an authenticated client, checked at once, used once."""

import pytest

from macaroon_cbat.service.authorization.pushed import PREFIX, PUSHED_SECONDS
from tests.stores.test_redirect_uris import NEARLY
from tests.support.browsers import (
    APP,
    PHONE,
    SECRET,
    WEB,
    Browser,
    answer_in,
    exchange,
    register_clients,
    request_of,
)
from tests.support.databases import NOW
from tests.support.foreign_tokens import ec_key, key_set, public_jwk, signed_jwt
from tests.support.service import ISSUER, SECRETS, basic, client_metadata, grant_of, refused

KEY = ec_key(32)
SECRET_OF_WEB = {"client_secret": SECRET}


def push(service, client=WEB, *, certificate=None, **changes):
    """Push a request as its client does, changed as told; None leaves a parameter out."""
    secret = SECRET_OF_WEB if client == WEB else {}
    form = {
        name: value for name, value in (request_of(client) | secret | changes).items() if value is not None
    }
    return service.open("/oauth2/par", certificate, data=form)


def pushed(service, client=WEB, **changes) -> str:
    answer = push(service, client, **changes)
    assert answer.status_code == 201, answer.text
    reference: str = answer.json["request_uri"]
    return reference


@pytest.fixture
def demanding(with_people) -> str:
    """Register a client that must push its requests."""
    metadata = client_metadata(
        grant_types=("authorization_code",),
        redirect_uris=(APP,),
        require_pushed_authorization_requests=True,
    )
    with_people.stores.clients.add("demanding", metadata, secret=SECRET, now=NOW)
    return "demanding"


def test_a_pushed_request_gets_a_reference(with_people):
    """A pushed request is answered with a random reference that is valid for a short time (RFC 9126 2.2)."""
    answer = push(with_people)
    assert answer.status_code == 201
    assert set(answer.json) == {"request_uri", "expires_in"}
    assert answer.json["expires_in"] == PUSHED_SECONDS
    assert answer.json["request_uri"].startswith(PREFIX)
    assert len(answer.json["request_uri"]) == len(PREFIX) + 43
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_reference_leads_to_a_code_of_its_request(browser, with_people):
    """A reference stands for the whole pushed request; what the browser adds beside it changes nothing."""
    reference = pushed(with_people, scope="read")
    beside = {
        "client_id": WEB,
        "request_uri": reference,
        "scope": "write",
        "redirect_uri": "https://evil.example",
    }
    page = browser.log_in(browser.get("/oauth2/authorize", beside | {"state": "other"}))
    answer = answer_in(browser.press(page).headers["Refresh"])
    assert answer["state"] == "af0ifjsldkj"
    assert grant_of(exchange(with_people, answer["code"]).json["access_token"]).scope == "read"


def test_a_reference_is_used_once(browser, with_people):
    """A second use of a reference is an error page: nothing of the request is known then."""
    asked = {"client_id": WEB, "request_uri": pushed(with_people)}
    assert browser.get("/oauth2/authorize", asked).status_code == 303
    again = browser.get("/oauth2/authorize", asked)
    assert (again.status_code, again.location) == (400, None)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST"])
def test_only_a_visit_uses_a_reference(browser, with_people, method):
    """A program that checks a link by HEAD, or asks for the methods, does not use its reference up."""
    asked = {"client_id": WEB, "request_uri": pushed(with_people)}
    checked = with_people.open("/oauth2/authorize", method=method, query_string=asked)
    assert (checked.location, checked.status_code == 405) == (None, method != "OPTIONS")
    assert browser.get("/oauth2/authorize", asked).status_code == 303


def test_a_reference_is_over_soon(browser, with_people):
    """A reference is refused after its time."""
    reference = pushed(with_people)
    with_people.now = NOW + PUSHED_SECONDS
    answer = browser.get("/oauth2/authorize", {"client_id": WEB, "request_uri": reference})
    assert (answer.status_code, answer.location) == (400, None)


@pytest.mark.parametrize("client", [PHONE, "unknown", None])
def test_a_reference_is_of_one_client(browser, with_people, client):
    """Another client cannot use a reference, and does not use it up."""
    reference = pushed(with_people)
    asked = {"request_uri": reference} | ({"client_id": client} if client else {})
    assert browser.get("/oauth2/authorize", asked).status_code == 400
    assert browser.get("/oauth2/authorize", {"client_id": WEB, "request_uri": reference}).status_code == 303


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param("https://evil.example/request.jwt", id="of another host"),
        pytest.param(PREFIX, id="empty"),
        pytest.param(PREFIX + "A" * 43, id="unknown"),
        pytest.param("urn:ietf:params:oauth:request_uri", id="without a name"),
        pytest.param("x" * 5000, id="very long"),
    ],
)
def test_a_foreign_reference_is_not_followed(browser, upstream, reference):
    """A reference that this service did not give out is refused, and never fetched (RFC 9101 10.4)."""
    answer = browser.get("/oauth2/authorize", request_of(request_uri=reference))
    assert (answer.status_code, answer.location) == (400, None)
    assert upstream.asked == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"redirect_uri": None, "client_id": PHONE}, "invalid_client", id="another client"),
        pytest.param({"request_uri": PREFIX + "A" * 43}, "invalid_request", id="a reference in itself"),
        pytest.param({"request": "e30.e30."}, "request_not_supported", id="a request object"),
        pytest.param({"code_challenge": None}, "invalid_request", id="no PKCE"),
        pytest.param({"code_challenge_method": "plain"}, "invalid_request", id="plain"),
        pytest.param({"response_type": "token"}, "unsupported_response_type", id="an implicit grant"),
        pytest.param({"scope": "admin"}, "invalid_scope", id="another scope"),
        pytest.param({"resource": ISSUER}, "invalid_target", id="the service itself"),
        pytest.param({"resource": ["https://a.example", "https://b.example"]}, "invalid_target", id="others"),
        pytest.param({"state": ["a", "b"]}, "invalid_request", id="two states"),
        pytest.param({"state": "s" * 4097}, "invalid_request", id="a very long state"),
        pytest.param({"prompt": "x"}, "invalid_request", id="an unknown prompt"),
    ],
)
def test_a_bad_request_is_refused_when_it_is_pushed(with_people, changes, code):
    """A request is judged when it is pushed, as the authorization endpoint would (RFC 9126 2.1)."""
    refused(push(with_people, **changes), 401 if code == "invalid_client" else 400, code)


@pytest.mark.parametrize("uri", NEARLY.values(), ids=NEARLY)
def test_a_nearly_registered_redirect_is_not_pushed(with_people, uri):
    """Pushing a request registers no redirect URI, also for a client that has authenticated."""
    refused(push(with_people, redirect_uri=uri), 400, "invalid_request")


def test_pushing_needs_the_client(with_people):
    """A request is pushed by its client, which proves itself as at the token endpoint (RFC 9126 2)."""
    refused(push(with_people, client_secret="x" * 20), 401, "invalid_client")
    refused(push(with_people, PHONE), 401, "invalid_client")


def test_a_client_may_be_named_by_its_secret_alone(with_people):
    """A client that authenticates by Basic need not repeat its client_id, and may name no other."""
    headers = {"Authorization": basic(WEB, SECRET)}
    form = {name: value for name, value in request_of().items() if name != "client_id"}
    assert with_people.open("/oauth2/par", data=form, headers=headers).status_code == 201
    refused(
        with_people.open("/oauth2/par", data={**form, "client_id": PHONE}, headers=headers),
        400,
        "invalid_request",
    )


@pytest.mark.parametrize("audience", [ISSUER, f"{ISSUER}/oauth2/token", f"{ISSUER}/oauth2/par"])
def test_a_client_pushes_with_its_key(with_people, audience):
    """An assertion for a pushed request is for the issuer or an endpoint (RFC 9126 2), and is used once."""
    metadata = client_metadata(
        token_endpoint_auth_method="private_key_jwt",
        jwks=key_set(public_jwk(KEY, "mine")),
        grant_types=("authorization_code",),
        redirect_uris=(APP,),
    )
    with_people.stores.clients.add("robot", metadata, secret=None, now=NOW)
    claims = {"iss": "robot", "sub": "robot", "aud": audience, "exp": NOW + 60, "iat": NOW, "jti": "one"}
    form = request_of(client_id="robot") | {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signed_jwt({"alg": "ES256", "kid": "mine"}, claims, KEY),
    }
    assert with_people.open("/oauth2/par", data=form).status_code == 201
    refused(with_people.open("/oauth2/par", data=form), 401, "invalid_client")


def test_the_code_of_a_public_client_is_bound_to_its_certificate(
    browser, with_people, certificate, other_certificate
):
    """A code of a request that a public client pushed is exchanged over the same certificate alone."""
    reference = pushed(with_people, PHONE, certificate=certificate)
    page = browser.log_in(browser.get("/oauth2/authorize", {"client_id": PHONE, "request_uri": reference}))
    code = answer_in(browser.press(page).headers["Refresh"])["code"]
    refused(exchange(with_people, code, PHONE, certificate=other_certificate), 400, "invalid_grant")


def test_a_confidential_client_may_renew_its_certificate(
    browser, with_people, certificate, other_certificate
):
    """A client that authenticates may exchange its code over another certificate: it may have renewed it."""
    reference = pushed(with_people, certificate=certificate)
    page = browser.log_in(browser.get("/oauth2/authorize", {"client_id": WEB, "request_uri": reference}))
    code = answer_in(browser.press(page).headers["Refresh"])["code"]
    assert exchange(with_people, code, certificate=other_certificate).status_code == 200


def test_a_client_can_be_made_to_push(browser, with_people, demanding):
    """A client that is registered so gets invalid_request for a request that was not pushed (RFC 9126 6)."""
    answer = browser.authorize(client_id=demanding)
    assert answer_in(answer.location)["error"] == "invalid_request"
    reference = pushed(with_people, client_id=demanding)
    asked = {"client_id": demanding, "request_uri": reference}
    assert browser.get("/oauth2/authorize", asked).location.startswith(browser.upstream.issuer)


def test_every_client_can_be_made_to_push(start, upstream):
    """A service can demand pushed requests of every client, and its metadata say so (RFC 9126 5)."""
    service = start(people=upstream.settings(require_pushed_requests=1))
    register_clients(service)
    browser = Browser(service, upstream)
    assert answer_in(browser.authorize().location)["error"] == "invalid_request"
    metadata = browser.get("/.well-known/oauth-authorization-server").json
    assert metadata["require_pushed_authorization_requests"] is True


def test_a_pushed_request_is_judged_again(browser, with_people):
    """A right that the client lost after it pushed the request is not granted."""
    reference = pushed(with_people, scope="read write")
    changed = client_metadata(scope="read", grant_types=("authorization_code",), redirect_uris=(APP,))
    with_people.stores.clients.change(WEB, lambda _: changed, lambda: NOW, lasting=9)
    with_people.app.extensions["macaroon_cbat"].forget()
    answer = browser.get("/oauth2/authorize", {"client_id": WEB, "request_uri": reference})
    assert answer_in(answer.location)["error"] == "invalid_scope"


def test_a_registered_scope_of_the_service_is_not_for_people(browser, with_people):
    """A client that administers the service itself cannot let a person grant that."""
    metadata = client_metadata(scope="read admin", grant_types=("authorization_code",), redirect_uris=(APP,))
    with_people.stores.clients.add("console", metadata, secret=SECRETS["billing"], now=NOW)
    answer = push(with_people, client_id="console", resource=ISSUER, scope="admin")
    refused(answer, 400, "invalid_target")
    by_browser = browser.authorize(client_id="console", resource=ISSUER, scope="admin")
    assert answer_in(by_browser.location)["error"] == "invalid_target"
