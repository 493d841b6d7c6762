"""Clients that register themselves, and the invitations that let them."""

import json
from typing import Any

import msgspec
import pymacaroons
from werkzeug.test import TestResponse

from macaroon_cbat.audit.event import OPERATOR
from macaroon_cbat.service.registration.invitations import new_invitation
from macaroon_cbat.service.registration.shapes import InvitationRequest
from tests.support.service import API, ISSUER, Service, seconds

REGISTER = "/oauth2/register"
CALLBACK = "http://127.0.0.1:8765/callback"
HOSTS = ("127.0.0.1", "app.example", "com.example.app:")
APP = {
    "redirect_uris": [CALLBACK],
    "token_endpoint_auth_method": "none",
    "grant_types": ["authorization_code", "refresh_token"],
    "response_types": ["code"],
    "client_name": "Accounts",
}
"""The metadata that an application such as an MCP client sends."""

EVERY_METHOD = (
    "none",
    "client_secret_basic",
    "private_key_jwt",
    "self_signed_tls_client_auth",
    "tls_client_auth",
)


def invitation(service: Service, **bounds: Any) -> str:
    """Return a new invitation of the operator."""
    usual = {"scope": "read write", "audiences": (API,), "hosts": HOSTS, "registrations": 100}
    wanted = msgspec.convert(usual | bounds, InvitationRequest)
    made = new_invitation(
        service.stores, ISSUER, wanted, OPERATOR, seconds(service.now), lambda *_, **__: None
    )
    return made.initial_access_token


def child(text: str, *caveats: str | dict[str, Any]) -> str:
    """Return the macaroon with these caveats appended, as any library of macaroons does it."""
    macaroon = pymacaroons.Macaroon.deserialize(text)
    for caveat in caveats:
        macaroon.add_first_party_caveat(caveat if isinstance(caveat, str) else json.dumps(caveat))
    serialized: str = macaroon.serialize()
    return serialized.rstrip("=")


def ask(
    service: Service, method: str, path: str, token: str | None, members: Any = None, **request: Any
) -> TestResponse:
    """Send a request of registration with this macaroon."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body = {} if members is None else {"json": members}
    return service.open(path, method=method, headers=headers, **body, **request)


def register(service: Service, token: str | None, members: Any = APP, **request: Any) -> TestResponse:
    """Register a client with this invitation."""
    return ask(service, "POST", REGISTER, token, members, **request)


def registered(service: Service, token: str | None = None, members: Any = APP) -> dict[str, Any]:
    """Return the answer to a client that registers, by a new invitation if no token is given."""
    answer = register(service, token or invitation(service), members)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def path_of(answer: dict[str, Any]) -> str:
    """Return the path at which a client manages its registration."""
    url: str = answer["registration_client_uri"]
    return url.removeprefix(ISSUER)
