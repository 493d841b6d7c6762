"""Certified OAuth clients that others wrote, openid-client and oauth4webapi, over mutual TLS."""

import json
import os
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.support.federated import IDP, KEYS, a_jwt
from tests.support.foreign_tokens import ec_key, key_set, number, public_jwk
from tests.support.relying.oauth_client import OAuthClient, oauth_client
from tests.support.service_process import API, Service
from tests.support.tls_servers import make_client

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
CALLBACK = "http://127.0.0.1:51234/callback"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
RIGHTS = ["--scope", "read write", "--audience", API]


@pytest.fixture(scope="module")
def billing(service: Service) -> dict[str, str]:
    """Register a confidential client that may exchange its tokens."""
    grants = ["--grant", "client_credentials", "--grant", "token-exchange"]
    return {"client_id": "billing", "secret": service.add("billing", *RIGHTS, *grants)}


@pytest.fixture(scope="module")
def phone(service: Service) -> dict[str, str]:
    """Register a public client of people, whose tokens are bound to its certificate or its key."""
    grants = [
        word
        for grant in ("authorization_code", "device_code", "refresh_token")
        for word in ("--grant", grant)
    ]
    service.add(
        "phone", "--auth", "none", "--dpop", *RIGHTS, *grants, "--redirect-uri", "http://127.0.0.1/callback"
    )
    return {"client_id": "phone", "method": "none", "dpop": "ES256"}


@pytest.fixture(scope="module", params=["openid_client", "oauth4webapi"])
def ask(request: pytest.FixtureRequest, service: Service) -> Iterator[OAuthClient]:
    """Run a client of each library, with a certificate of its own."""
    certificate = make_client(service.data, request.param).file
    with oauth_client(request.param, service.issuer, service.ca, certificate) as client:
        yield client


def test_client_credentials(ask, billing):
    """The client finds the token endpoint by the metadata and gets the token that it asked for."""
    token = ask("client_credentials", billing, form={"scope": "read", "resource": API})
    assert (token["token_type"], token["scope"], token["expires_in"]) == ("bearer", "read", 600)


def test_a_refusal_is_understood(ask, billing):
    """The client learns the code of the RFC from a refusal."""
    assert ask("client_credentials", billing, form={"scope": "root"})["failed"] == "invalid_scope"
    wrong = billing | {"secret": "guessed"}
    refused = ask("client_credentials", wrong, form={})["failed"]
    assert refused == "OAUTH_WWW_AUTHENTICATE_CHALLENGE"  # both read the challenge before the body


def test_introspection_and_revocation(ask, billing):
    """A token is active until its client revokes it."""
    token = ask("client_credentials", billing, form={"resource": API})["access_token"]
    assert ask("introspect", billing, token=token)["active"] is True
    assert ask("revoke", billing, token=token) == {}
    assert ask("introspect", billing, token=token) == {"active": False}


@pytest.mark.parametrize("algorithm", ["ES256", "Ed25519"])
def test_a_token_is_bound_to_a_dpop_key(ask, billing, algorithm):
    """A client that proves a key gets a token of type DPoP."""
    token = ask("client_credentials", billing | {"dpop": algorithm}, form={"resource": API})
    assert token["token_type"] == "dpop"


def test_a_token_is_exchanged_for_a_narrower_one(ask, billing):
    """A macaroon is exchanged for one with less scope (RFC 8693)."""
    token = ask("client_credentials", billing, form={"resource": API})["access_token"]
    form = {"subject_token": token, "subject_token_type": ACCESS_TOKEN, "scope": "read", "resource": API}
    assert ask("grant", billing, type=EXCHANGE, form=form)["scope"] == "read"


@pytest.mark.parametrize("pushed", [False, True], ids=["in the URL", "pushed"])
def test_a_person_logs_in(ask, phone, browser, pushed):
    """An authorization request with PKCE comes to a token, which is refreshed (RFC 9126, RFC 9207)."""
    form = {"redirect_uri": CALLBACK, "scope": "read", "resource": API}
    url = ask("authorize", phone, form=form, pushed=pushed)["url"]
    back = f"{CALLBACK}?{urlencode(browser.walk(url, CALLBACK, 'alice'))}"
    token = ask("code", phone, callback=back)
    assert (token["token_type"], token["scope"]) == ("dpop", "read")
    renewed = ask("refresh", phone, token=token["refresh_token"])
    assert renewed["refresh_token"] != token["refresh_token"]
    assert ask("revoke", phone, token=renewed["refresh_token"]) == {}
    assert ask("refresh", phone, token=renewed["refresh_token"])["failed"] == "invalid_grant"


def test_a_device_is_approved(ask, phone, browser):
    """A device gets its token once a person has approved it on the page (RFC 8628)."""
    device = ask("device", phone, form={"scope": "read", "resource": API})
    assert "is connected" in browser.finish(device["verification_uri_complete"], "alice")
    assert ask("device_token", phone, device=device | {"interval": 1})["token_type"] == "dpop"


@pytest.fixture(scope="module")
def robot(service: Service) -> dict[str, object]:
    """Register a client that authenticates by a key of its own, and trust an issuer of people and of it."""
    key = ec_key(41)
    (service.data / "robot.json").write_text(json.dumps(key_set(public_jwk(key, "mine"))))
    (service.data / "idp.json").write_text(json.dumps(KEYS))
    grants = ["--grant", "client_credentials", "--grant", "jwt-bearer", "--grant", "token-exchange"]
    by_key = ["--auth", "private_key_jwt", "--jwks", service.data / "robot.json"]
    service.command("client", "add", "robot", *RIGHTS, *grants, *by_key)
    bounds = ["--audience", service.issuer, "--scope", "read", "--resource", API]
    trusted = ["trust", "add", "people", IDP, "--jwks", service.data / "idp.json", "--subject", "sub"]
    service.command(*trusted, *bounds)
    secret = number(key.private_numbers().private_value, 32)
    return {"client_id": "robot", "key": {**public_jwk(key, "mine"), "d": secret}}


def test_a_client_authenticates_by_its_key(ask, robot):
    """A client signs an assertion for each request, as the library writes it (RFC 7523 2.2)."""
    token = ask("client_credentials", robot, form={"resource": API})
    assert token["scope"] == "read write", token
    assert ask("introspect", robot, token=token["access_token"])["client_id"] == "robot"
    assert ask("revoke", robot, token=token["access_token"]) == {}


@pytest.mark.parametrize("type_", [JWT_BEARER, EXCHANGE], ids=["bearer", "exchange"])
def test_a_foreign_jwt_becomes_a_macaroon(ask, robot, service, type_):
    """A client presents the JWT of a person, and gets a macaroon in the person's name."""
    now = int(time.time())
    token = a_jwt(sub="alice", aud=service.issuer, iat=now, exp=now + 60, jti=os.urandom(8).hex())
    subject = {"subject_token": token, "subject_token_type": ACCESS_TOKEN.replace("access_token", "jwt")}
    form = {"assertion": token} if type_ == JWT_BEARER else subject
    answer = ask("grant", robot, type=type_, form=form)
    assert answer["scope"] == "read", answer
    assert ask("introspect", robot, token=answer["access_token"])["sub"] == "people:alice"
    assert ask("grant", robot, type=type_, form=form)["failed"] in ("invalid_grant", "invalid_request")
