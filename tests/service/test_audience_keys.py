"""The keys of its own audiences, and no others, for a resource server."""

import msgspec
import pytest

from macaroon_cbat.macaroon.keys import read_key_file
from tests.support.databases import NOW
from tests.support.resource_server import ask, register, token_for_service
from tests.support.service import (
    API,
    ISSUER,
    OTHER_API,
    grant_of,
    refused,
)
from tests.support.tls_servers import wait_until

KEYS, REVOCATIONS = "/resource/keys", "/resource/revocations"


@pytest.fixture
def served(service):
    register(service, "invoices", serves=(API,))
    register(service, "both", serves=(API, OTHER_API, ISSUER))
    return service


def test_a_resource_server_gets_its_own_keys(served, certificate):
    """The keys are those of key export, the next one among them, with their states."""
    answer = ask(served, KEYS, token_for_service(served), certificate)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["expires_in"] == 300
    [file] = answer.json["audiences"]
    assert (file["issuer"], file["audience"]) == (ISSUER, API)
    assert [key["state"] for key in file["keys"]] == ["current", "next"]
    ring = served.keys(API)
    assert {key["kid"] for key in file["keys"]} == ring.keys.keys()


def test_what_is_sent_is_a_key_file(served, certificate):
    """Each audience's part is a key file as a resource server reads it."""
    answer = ask(served, KEYS, token_for_service(served), certificate)
    content = msgspec.json.encode(answer.json["audiences"][0])
    assert read_key_file(content) == served.keys(API)


def test_several_audiences_come_together_or_one_by_one(served, certificate):
    """A client of several audiences gets each, but never the issuer's own."""
    token = token_for_service(served, "both")
    every = ask(served, KEYS, token, certificate).json["audiences"]
    assert [file["audience"] for file in every] == [API, OTHER_API]
    one = ask(served, KEYS, token, certificate, query={"audience": OTHER_API}).json["audiences"]
    assert one == every[1:]
    refused(ask(served, KEYS, token, certificate, query={"audience": ISSUER}), 403, "access_denied")


@pytest.mark.parametrize("audience", [OTHER_API, "", "https://api.example//", "http://api.example"])
def test_another_audience_is_refused(served, certificate, audience):
    """No resource server gets the keys of another one."""
    token = token_for_service(served)
    answer = ask(served, KEYS, token, certificate, query={"audience": audience})
    refused(answer, 403, "access_denied")
    assert served.keys(OTHER_API).keys.keys().isdisjoint(answer.text.split())


def test_states_follow_rotation_and_retirement(served, certificate):
    """A rotated key goes on verifying, and a retired one is not handed out any more."""
    token = token_for_service(served)
    old = served.stores.root_keys.current().kid
    served.stores.root_keys.rotate(NOW)
    keys = ask(served, KEYS, token, certificate).json["audiences"][0]["keys"]
    assert [key["state"] for key in keys] == ["retiring", "current", "next"]
    token = _fresh(served, old)
    served.stores.root_keys.retire(old, NOW)
    keys = ask(served, KEYS, token, certificate).json["audiences"][0]["keys"]
    assert [key["state"] for key in keys] == ["current", "next"]


def _fresh(service, old):
    """Return a token of the new key, which the service has looked for within a second."""
    tokens = []

    def is_new():
        tokens.append(token_for_service(service))
        return grant_of(tokens[-1]).kid != old

    wait_until(is_new)
    return tokens[-1]


@pytest.mark.parametrize("query", ["audience=a&audience=b", "aud=https://api.example"])
def test_parameters_are_known_and_single(served, certificate, query):
    """A repeated or unknown parameter is an error."""
    answer = ask(served, KEYS, token_for_service(served), certificate, query=query)
    assert "parameter" in refused(answer, 400, "invalid_request")
