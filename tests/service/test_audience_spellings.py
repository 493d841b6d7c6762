"""One audience in several spellings (RFC 3986 6.2.2, 6.2.3), at every door of the service."""

import pytest

from macaroon_cbat.errors import SettingsError, UnknownKey
from macaroon_cbat.macaroon.audiences import canonical_audience
from macaroon_cbat.macaroon.caveats import Access, Audience
from macaroon_cbat.macaroon.verification import verify
from tests.support.administrator import CLIENTS, NEW, administrator
from tests.support.audiences import OTHER
from tests.support.databases import NOW
from tests.support.resource_server import ask, register, token_for_service
from tests.support.service import (
    API,
    GRANT_TYPE,
    ISSUER,
    SECRETS,
    basic,
    grant_of,
    refused,
    server_metadata,
)

SPELLINGS = [API + "/", "https://API.example", "HTTPS://api.example:443/", "https://api.example:"]
VISIBLE_OTHERS = {name: text for name, text in OTHER.items() if text.isprintable() and text.isascii()}
every_spelling = pytest.mark.parametrize("spelling", SPELLINGS)


@every_spelling
def test_a_token_is_asked_for_in_any_spelling(service, spelling):
    """`resource` names the audience in any equivalent spelling; the token has the canonical one."""
    token = service.token(resource=spelling)
    assert grant_of(token).aud == API
    access = Access(now=NOW, audience=API)
    assert verify(token, service.keys(), access, require_certificate=False).audience == API


@pytest.mark.parametrize("other", VISIBLE_OTHERS.values(), ids=VISIBLE_OTHERS)
def test_no_token_for_a_look_alike(service, other):
    """A resource that only looks like the registered one is invalid_target; an empty one is none."""
    answer = service.ask_token(resource=other)
    assert (answer.status_code == 200) == (other == "")
    assert other == "" or refused(answer, 400, "invalid_target")


@pytest.mark.parametrize(
    "resources", [[API, API], [API, API + "/"], ["", API], [API.upper().replace("HTTPS", "https"), API]]
)
def test_the_same_resource_twice_is_one(service, resources):
    """`resource` may come several times (RFC 8707 2): twice the same one is granted."""
    form = {**GRANT_TYPE, "resource": resources}
    answer = service.open(
        "/oauth2/token", data=form, headers={"Authorization": basic("billing", SECRETS["billing"])}
    )
    assert answer.status_code == 200
    assert grant_of(answer.json["access_token"]).aud == API


@pytest.mark.parametrize("path", ["/oauth2/introspect", "/oauth2/revoke"])
def test_elsewhere_no_parameter_repeats(service, path):
    """Only a token request may repeat `resource` (RFC 6749 3.2, RFC 8707 2)."""
    headers = {"Authorization": basic("billing", SECRETS["billing"])}
    answer = service.open(path, data={"token": service.token(), "resource": [API, API]}, headers=headers)
    refused(answer, 400, "invalid_request")


@every_spelling
def test_a_client_is_registered_for_the_canonical_spelling(service, certificate, spelling):
    """The audiences that a client may ask for, and serves, are registered and shown in canonical spelling."""
    ops = administrator(service, certificate)
    made = ops("POST", CLIENTS, json=NEW | {"client_id": "n", "audiences": [spelling]}).json
    assert made["audiences"] == [API]
    served = ops("POST", CLIENTS, json={"client_id": "s", "serves": [spelling]}).json
    assert served["serves"] == [API]
    changed = ops("PATCH", CLIENTS + "/n", json={"audiences": [spelling]}).json
    assert (changed["audiences"], changed["tokens_revoked"]) == ([API], False)


@every_spelling
def test_one_audience_is_not_listed_twice(service, certificate, spelling):
    """Two spellings of one audience are one audience twice."""
    ops = administrator(service, certificate)
    answer = ops("POST", CLIENTS, json=NEW | {"client_id": "n", "audiences": [API, spelling]})
    assert "twice" in refused(answer, 400, "invalid_client_metadata")


@pytest.mark.parametrize(
    "other",
    [
        "https://api.example//",
        "https://api.example/a/../b",
        "https://x@api.example",
        "https://api.example/\\",
    ],
)
def test_what_servers_read_differently_is_not_registered(service, certificate, other):
    """An audience that servers could take for another one is refused, at registration and in a change."""
    ops = administrator(service, certificate)
    refused(ops("POST", CLIENTS, json=NEW | {"audiences": [other]}), 400, "invalid_client_metadata")
    refused(ops("PATCH", CLIENTS + "/payroll", json={"audiences": [other]}), 400, "invalid_client_metadata")


ISSUERS = [ISSUER + "/", "https://AS.example", "https://as.example:443", "HTTPS://as.example:/"]


@pytest.mark.parametrize("spelling", ISSUERS)
def test_no_client_serves_the_service_in_another_spelling(service, certificate, spelling):
    """An attacker with a registration gets the service's own keys by no spelling of its issuer."""
    ops = administrator(service, certificate)
    refused(ops("POST", CLIENTS, json={"serves": [spelling]}), 400, "invalid_client_metadata")
    refused(ops("PATCH", CLIENTS + "/api", json={"serves": [API, spelling]}), 400, "invalid_client_metadata")


@pytest.mark.parametrize("spelling", ISSUERS)
def test_the_service_itself_is_asked_for_in_any_spelling(service, spelling):
    """`resource=<issuer>` in any spelling is the service itself: with a scope of its own, and not without."""
    register(service, "invoices", serves=(API,))
    answer = service.ask_token("invoices", resource=spelling)
    assert grant_of(answer.json["access_token"]).aud == ISSUER
    refused(service.ask_token(resource=spelling), 400, "invalid_target")


@pytest.mark.parametrize(
    "spelling", ["https://new.example", "https://NEW.example", "https://new.example:443"]
)
def test_a_start_with_an_issuer_that_a_client_serves_fails(start, spelling):
    """A service does not start with an issuer of which a client knows keys, however that is spelled."""
    serving = server_metadata(serves=("https://new.example",))
    start().stores.clients.add("s", serving, secret=SECRETS["api"], now=NOW)
    with pytest.raises(SettingsError, match="serves https://"):
        start(issuer=spelling)


@every_spelling
def test_a_resource_server_gets_its_keys_by_any_spelling(service, certificate, spelling):
    """The keys of a served audience are the same by every spelling of it."""
    register(service, "invoices", serves=(API,))
    token = token_for_service(service)
    [file] = ask(service, "/resource/keys", token, certificate, query={"audience": spelling}).json[
        "audiences"
    ]
    assert file["audience"] == API


@every_spelling
def test_a_caveat_in_another_spelling_leaves_a_token_active(service, spelling):
    """Introspection judges an `aud` caveat by value; one for a look-alike makes the token inactive."""
    assert service.introspect(service.minted(Audience(spelling)))["active"] is True
    assert service.introspect(service.minted(Audience(spelling + "/a")))["active"] is False


def test_a_forged_identifier_in_another_spelling_is_nothing(service):
    """A token that a resource server forges with its audience in another spelling verifies nowhere."""
    forged = service.minted(aud=API + "/")
    with pytest.raises(UnknownKey):
        verify(forged, service.keys(), Access(now=NOW, audience=API), require_certificate=False)
    assert service.introspect(forged)["active"] is False


def test_the_canonical_spelling_of_the_issuer_is_its_audience():
    """An issuer without a path is its own canonical spelling, so that tokens of before stay valid."""
    assert canonical_audience(ISSUER) == ISSUER
