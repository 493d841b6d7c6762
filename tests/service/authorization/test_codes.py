"""Authorization codes at the token endpoint: what they are bound to, and that they are used once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from macaroon_cbat.service.oauth2.codes import CODE_SECONDS, REMEMBERED_SECONDS
from tests.support.audit_events import events
from tests.support.browsers import (
    APP,
    PHONE,
    RENEWING,
    SECRET,
    VERIFIER,
    WEB,
    exchange,
)
from tests.support.databases import NOW
from tests.support.service import API, OTHER_API, client_metadata, grant_of, refused

CODE = "authorization_code"
INVALID = "this code is not valid: begin the authorization again"


def add_thief(service) -> None:
    """Register another client of the same grant, with the same secret."""
    metadata = client_metadata(grant_types=(CODE,), redirect_uris=(APP,))
    service.stores.clients.add("thief", metadata, secret=SECRET, now=NOW)


def test_a_code_becomes_a_token_of_the_person(browser, with_people):
    """A code becomes a token of the person who consented, for the client, scope and audience of the page."""
    answer = exchange(with_people, browser.code())
    assert answer.status_code == 200, answer.text
    assert (answer.json["scope"], answer.json["expires_in"]) == ("read", 600)
    grant = grant_of(answer.json["access_token"])
    assert (grant.sub, grant.client_id, grant.scope, grant.aud) == ("user:alice", WEB, "read", API)


def test_a_public_client_gets_a_bound_token(browser, with_people, certificate):
    """A public client exchanges its code over a connection with a certificate, and is bound to it."""
    answer = exchange(with_people, browser.code(PHONE), PHONE, certificate=certificate)
    assert answer.status_code == 200, answer.text
    introspected = with_people.introspect(
        answer.json["access_token"], "api", client_certificate=certificate.thumbprint
    )
    assert introspected["cnf"] == {"x5t#S256": certificate.thumbprint}


def test_every_code_is_another_and_is_not_stored(browser, with_people):
    """A code has 256 random bits, and the database holds its hash alone."""
    codes = {browser.code(scope=scope) for scope in ("read", "write", "read write")}
    assert {len(code) for code in codes} == {43}
    assert len(codes) == 3
    stored = b"".join(file.read_bytes() for file in with_people.folder.iterdir())
    assert not [code for code in codes if code.encode() in stored]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"code_verifier": "x" * 43}, id="another verifier"),
        pytest.param({"redirect_uri": APP + "/"}, id="nearly the redirect URI"),
        pytest.param({"redirect_uri": None}, id="no redirect URI"),
        pytest.param({"client_id": "thief"}, id="another client"),
    ],
)
def test_a_code_with_other_particulars_is_refused_and_used(browser, with_people, changes):
    """A code is bound to client, redirect URI and challenge, and one wrong try uses it up."""
    add_thief(with_people)
    code = browser.code()
    refused(exchange(with_people, code, **changes), 400, "invalid_grant")
    refused(exchange(with_people, code), 400, "invalid_grant")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"code_verifier": None}, id="no verifier"),
        pytest.param({"code_verifier": ""}, id="an empty verifier"),
        pytest.param({"code": None}, id="no code"),
        pytest.param({"code": [*"ab"]}, id="two codes"),
        pytest.param({"code_verifier": [VERIFIER, VERIFIER]}, id="two verifiers"),
    ],
)
def test_a_request_without_its_parameters_uses_no_code(browser, with_people, changes):
    """A token request without code or verifier is malformed (RFC 7636 4.5), and the code stays unused."""
    code = browser.code()
    refused(exchange(with_people, code, **changes), 400, "invalid_request")
    assert exchange(with_people, code).status_code == 200


@pytest.mark.parametrize("verifier", ["x" * 42, "x" * 129, VERIFIER + "=", "é" * 43])
def test_a_malformed_verifier_is_refused(browser, with_people, verifier):
    """A verifier has 43 to 128 unreserved characters (RFC 7636 4.1)."""
    refused(exchange(with_people, browser.code(), code_verifier=verifier), 400, "invalid_request")


@pytest.mark.parametrize("code", ["", "x", "A" * 43, "é", "A" * 20_000])
def test_an_unknown_code_is_refused(with_people, code):
    """A code that was never issued is invalid_grant, whatever it looks like."""
    answer = exchange(with_people, code)
    assert answer.json["error"] in ("invalid_grant", "invalid_request")
    assert answer.status_code == 400


def test_a_code_lives_a_minute(browser, with_people):
    """A code that is older than a minute is refused (RFC 6749 4.1.2)."""
    code = browser.code()
    with_people.now = NOW + CODE_SECONDS
    assert refused(exchange(with_people, code), 400, "invalid_grant") == INVALID


def test_the_second_use_of_a_code_revokes_its_tokens(browser, with_people):
    """A code that comes twice is refused, and the token of its first use is revoked (RFC 6749 4.1.2)."""
    code = browser.code()
    token = exchange(with_people, code).json["access_token"]
    assert with_people.introspect(token)["active"]
    assert refused(exchange(with_people, code), 400, "invalid_grant") == INVALID
    assert with_people.introspect(token) == {"active": False}


def test_the_second_use_by_another_client_revokes_too(browser, with_people):
    """Whichever client sends a used code, the tokens of its first use are revoked."""
    add_thief(with_people)
    code = browser.code()
    token = exchange(with_people, code).json["access_token"]
    stolen = exchange(with_people, code, client_id="thief")
    assert refused(stolen, 400, "invalid_grant") == INVALID
    assert with_people.introspect(token) == {"active": False}


def test_a_used_code_is_known_until_its_tokens_are_over(browser, with_people):
    """The second use is noticed for as long as an access token can live."""
    code = browser.code()
    token = exchange(with_people, code).json["access_token"]
    with_people.now = NOW + 500
    refused(exchange(with_people, code), 400, "invalid_grant")
    assert with_people.introspect(token) == {"active": False}
    assert REMEMBERED_SECONDS >= 86_400


def test_two_uses_at_the_same_instant_leave_no_token(upstream, on_each_database_with_people):
    """Of two uses at once one is refused, and the token of the other is revoked, on every database."""
    browser, service = on_each_database_with_people
    code = browser.code()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: exchange(service, code), range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 400]
    [token] = [answer.json["access_token"] for answer in answers if answer.status_code == 200]
    assert service.introspect(token) == {"active": False}


@pytest.mark.parametrize("kind", ["client", "subject"])
def test_a_revocation_ends_codes_that_are_not_used_yet(browser, with_people, kind):
    """Revoking the tokens of a client or subject ends its codes as well."""
    code = browser.code()
    name = {"client": WEB, "subject": "user:alice"}[kind]
    with_people.stores.clients.revoke_tokens(
        kind, name, lambda: NOW, lasting=86_400, is_registered=kind == "client"
    )
    refused(exchange(with_people, code), 400, "invalid_grant")


def test_a_removed_client_has_no_codes(browser, with_people):
    """A client that was removed, and registered anew under its name, gets nothing for an old code."""
    code = browser.code()
    with_people.stores.clients.remove(WEB, lambda: NOW, lasting=86_400)
    metadata = client_metadata(grant_types=(CODE,), redirect_uris=(APP,))
    with_people.stores.clients.add(WEB, metadata, secret=SECRET, now=NOW)
    with_people.app.extensions["macaroon_cbat"].forget()
    refused(exchange(with_people, code), 400, "invalid_grant")


@pytest.mark.parametrize("resource", [OTHER_API, API + "/a", "https://as.example"])
def test_a_token_request_names_no_further_resource(browser, with_people, resource):
    """A resource at the token endpoint narrows what was approved and never widens it (RFC 8707 2.2)."""
    refused(exchange(with_people, browser.code(), resource=resource), 400, "invalid_target")


def test_a_token_request_may_name_the_resource_again(browser, with_people):
    """The approved resource may be named at the token endpoint, in any spelling."""
    answer = exchange(with_people, browser.code(), resource=API + ":443/")
    assert grant_of(answer.json["access_token"]).aud == API


def test_a_scope_that_was_taken_away_is_not_granted(browser, with_people):
    """A code grants no scope that its client lost before the exchange, although the person approved it."""
    code = browser.code(scope="read write")
    changed = client_metadata(
        scope="read", grant_types=("authorization_code",), redirect_uris=(APP,), client_name="Billing"
    )
    with_people.stores.clients.change(WEB, lambda _: changed, lambda: NOW - 5, lasting=86_400)
    with_people.app.extensions["macaroon_cbat"].forget()
    answer = exchange(with_people, code)
    assert answer.status_code == 400, answer.text


def test_a_client_without_the_grant_exchanges_nothing(with_people):
    """A client that is not registered for the grant is unauthorized_client (RFC 6749 5.2)."""
    answer = exchange(with_people, "A" * 43, client_id="billing")
    refused(answer, 400, "unauthorized_client")


def test_a_wrong_secret_uses_no_code(browser, with_people):
    """A client that fails to authenticate uses up no code."""
    code = browser.code()
    refused(exchange(with_people, code, client_secret="x" * 20), 401, "invalid_client")
    assert exchange(with_people, code).status_code == 200


def refresh(service, token: str):
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return service.open("/oauth2/token", data=form | {"client_id": RENEWING, "client_secret": SECRET})


def test_a_client_of_refresh_tokens_gets_one(browser, with_people):
    """A client that is registered for refresh tokens gets the first one with the code's token."""
    answer = exchange(with_people, browser.code(RENEWING), RENEWING)
    renewed = refresh(with_people, answer.json["refresh_token"])
    assert renewed.status_code == 200, renewed.text
    grants = [grant_of(one.json["access_token"]) for one in (answer, renewed)]
    assert {grant.sub for grant in grants} == {"user:alice"}
    assert len({grant.fam for grant in grants}) == 1


def test_the_second_use_of_a_code_ends_its_family(browser, with_people):
    """A code that comes twice ends the refresh family of its first use, with every token that it gave."""
    code = browser.code(RENEWING)
    answer = exchange(with_people, code, RENEWING)
    renewed = refresh(with_people, answer.json["refresh_token"]).json
    refused(exchange(with_people, code, RENEWING), 400, "invalid_grant")
    refused(refresh(with_people, renewed["refresh_token"]), 400, "invalid_grant")
    assert with_people.introspect(renewed["access_token"]) == {"active": False}


def test_no_family_begins_after_the_second_use(upstream, on_each_database_with_people):
    """Of two uses at the same instant no family is left, whichever comes first, on every database."""
    browser, service = on_each_database_with_people
    code = browser.code(RENEWING)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: exchange(service, code, RENEWING), range(2)))
    tokens = [answer.json["refresh_token"] for answer in answers if answer.status_code == 200]
    assert len(tokens) <= 1
    assert [refresh(service, token).status_code for token in tokens] == [400] * len(tokens)


def test_a_replayed_code_is_a_line_of_the_audit_log(audited_browser, file):
    """The second use of a code is told with client, person and family, and refused in a line of its own."""
    code, service = audited_browser.code(), audited_browser.service
    exchange(service, code)
    exchange(service, code)
    lines = {str(line["event"]): line for line in events(file)}
    assert {"client_id": WEB, "subject": "user:alice"}.items() <= lines["code.replayed"].items()
    assert "was used twice" in str(lines["token.refused"]["reason"])
