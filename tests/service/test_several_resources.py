"""A token for several resource servers (RFC 8707 2): keyed for the issuer, introspected by each of them."""

import pytest

from macaroon_cbat.errors import UnknownKey
from macaroon_cbat.macaroon.caveats import Access, Audience
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.verification import verify
from macaroon_cbat.stores.grant_types import TOKEN_EXCHANGE
from tests.support.databases import NOW
from tests.support.service import (
    API,
    GRANT_TYPE,
    ISSUER,
    OTHER_API,
    SECRETS,
    basic,
    client_metadata,
    grant_of,
    refused,
    server_metadata,
)

BOTH = [API, OTHER_API]
INACTIVE = {"active": False}


def ask(service, resources, client="reporting", **form):
    headers = {"Authorization": basic(client, SECRETS[client])}
    return service.open("/oauth2/token", data={**GRANT_TYPE, "resource": resources, **form}, headers=headers)


def change(service, client_id, metadata):
    service.app.extensions["macaroon_cbat"].clients.change(
        client_id, lambda _: metadata, lambda: NOW, lasting=600
    )


def token_for(service, *resources):
    answer = ask(service, list(resources))
    assert answer.status_code == 200
    return answer.json["access_token"]


@pytest.mark.parametrize(
    ("resources", "aud"),
    [
        pytest.param(BOTH, (API, OTHER_API), id="two"),
        pytest.param(BOTH[::-1], (OTHER_API, API), id="the other way round"),
        pytest.param([API, OTHER_API, API + "/"], (API, OTHER_API), id="one of them in two spellings"),
    ],
)
def test_a_token_for_several_is_minted(service, resources, aud):
    """A client that may ask for each of several audiences gets one token for all of them."""
    answer = ask(service, resources)
    assert (grant_of(answer.json["access_token"]).aud, answer.json["scope"]) == (aud, "read write")


REFUSED = {
    "the service itself beside": [API, ISSUER],
    "the service itself in another spelling": [OTHER_API, ISSUER.upper().replace("HTTPS", "https")],
    "one that is not registered": [API, OTHER_API, "https://third.example"],
    "another path": [API, API + "//"],
}


@pytest.mark.parametrize("resources", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_is_an_invalid_target(service, resources):
    """A request that names one audience too many gets none: the RFC's error, and no narrower token."""
    refused(ask(service, resources), 400, "invalid_target")


def test_a_client_of_one_audience_gets_no_second(service):
    """The rights to ask for audiences are counted one by one."""
    assert "is not registered" in refused(ask(service, BOTH, "billing"), 400, "invalid_target")


def test_a_token_has_few_audiences(service):
    """A token for more audiences than fit into an identifier is refused before it is minted."""
    many = [f"https://{number}.example" for number in range(17)]
    change(service, "reporting", client_metadata(audiences=tuple(many)))
    assert "name 16 at most" in refused(ask(service, many), 400, "invalid_target")
    assert len(grant_of(token_for(service, *many[:16])).aud) == 16


@pytest.mark.parametrize("scope", ["admin", "keys"])
def test_reserved_scopes_are_for_the_service_alone(service, scope):
    """No scope for the service itself gets into a token for several resource servers."""
    change(service, "reporting", client_metadata(scope=f"read {scope}", audiences=(API, OTHER_API)))
    refused(ask(service, BOTH, scope=scope), 400, "invalid_scope")
    assert grant_of(token_for(service, *BOTH)).scope == "read"


@pytest.mark.parametrize("server", ["api", "other-api"])
def test_each_resource_server_introspects_it(service, server):
    """Each resource server of the token learns that it is active, and for whom."""
    found = service.introspect(token_for(service, *BOTH), server)
    assert (found["active"], found["aud"], found["client_id"]) == (True, BOTH, "reporting")


def test_its_own_client_introspects_it(service):
    """A client may introspect its own token for several."""
    assert service.introspect(token_for(service, *BOTH), "reporting")["aud"] == BOTH


def test_no_other_resource_server_does(service):
    """To a resource server of none of its audiences the token is inactive."""
    change(service, "other-api", server_metadata(serves=("https://third.example",)))
    assert service.introspect(token_for(service, *BOTH), "other-api") == INACTIVE


@pytest.mark.parametrize(
    ("narrowed", "by_api", "by_other"),
    [
        pytest.param(API, [API], None, id="to one"),
        pytest.param((OTHER_API, "https://third.example"), None, [OTHER_API], id="to one and a stranger"),
        pytest.param("https://third.example", None, None, id="to none"),
    ],
)
def test_a_holder_narrows_the_audiences(service, narrowed, by_api, by_other):
    """An aud caveat leaves the audiences that it names: the others find the token inactive."""
    child = attenuate(token_for(service, *BOTH), [Audience(narrowed)])
    found = [service.introspect(child, server).get("aud") for server in ("api", "other-api")]
    assert found == [by_api, by_other]


def test_caveats_that_leave_none_give_no_token(service):
    """A token whose aud caveats have no audience in common is exchanged for none."""
    change(
        service,
        "reporting",
        client_metadata(audiences=(API, OTHER_API), grant_types=("client_credentials", TOKEN_EXCHANGE)),
    )
    child = attenuate(token_for(service, *BOTH), [Audience(API), Audience(OTHER_API)])
    form = {"subject_token": child, "subject_token_type": "urn:ietf:params:oauth:token-type:access_token"}
    refused(ask(service, BOTH, grant_type=TOKEN_EXCHANGE, **form), 400, "invalid_target")


def test_a_server_of_both_sees_what_is_left(service):
    """A resource server that serves two of the audiences learns which of them the caveats leave."""
    change(service, "api", server_metadata(serves=(API, OTHER_API)))
    token = token_for(service, *BOTH)
    assert service.introspect(token)["aud"] == BOTH
    assert service.introspect(attenuate(token, [Audience(OTHER_API)]))["aud"] == [OTHER_API]


def test_no_audience_s_keys_verify_it(service):
    """A guard with the keys of one audience refuses such a token, and its holder learns what to do."""
    token, access = token_for(service, *BOTH), Access(now=NOW, audience=API)
    with pytest.raises(UnknownKey, match="keyed for the service") as refusal:
        verify(token, service.keys(), access, require_certificate=False)
    assert "2 audiences and must be introspected" in refusal.value.description


def test_its_client_revokes_it(service):
    """The client revokes a token for several as any other; then it is inactive everywhere."""
    token = token_for(service, *BOTH)
    assert service.post("/oauth2/revoke", {"token": token}, "reporting").status_code == 200
    assert [service.introspect(token, server) for server in ("api", "other-api")] == [INACTIVE, INACTIVE]
