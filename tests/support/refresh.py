"""Refresh families of a service in a test: begun as a grant of people begins them, used over HTTP."""

from collections.abc import Mapping
from typing import Any

import msgspec
from werkzeug.test import TestResponse

from macaroon_cbat.macaroon.caveats import Caveat
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.refresh_families import RefreshFamilies
from macaroon_cbat.stores import ClientMetadata
from tests.support.certificates import Identity
from tests.support.databases import NOW
from tests.support.service import API, ISSUER, SECRETS, Service, client_metadata, grant_of, seconds

REFRESH = ("authorization_code", "refresh_token")
WEB, PHONE = "web", "phone"
"""A confidential client, with the secret of billing, and a public one, bound to its certificate."""
_REDIRECT = {"redirect_uris": ("https://app.example/back",)}


def web_metadata(**changes: Any) -> ClientMetadata:
    return client_metadata(**({"grant_types": REFRESH} | _REDIRECT | changes))


def phone_metadata(**changes: Any) -> ClientMetadata:
    members = {"token_endpoint_auth_method": "none", "tls_client_certificate_bound_access_tokens": True}
    return web_metadata(**(members | changes))


def register(service: Service, **changes: Any) -> None:
    """Register both clients, their metadata changed so."""
    stores = service.stores.clients
    stores.add(WEB, web_metadata(**changes), secret=SECRETS["billing"], now=seconds(service.now))
    stores.add(PHONE, phone_metadata(**changes), secret=None, now=seconds(service.now))


def begun(service: Service, client_id: str = WEB, *caveats: Caveat, **changes: Any) -> str:
    """Return the first refresh token of a new family, which its holder has restricted by these caveats."""
    client = service.stores.clients.look_up(client_id)
    assert client is not None
    members = {"subject": "user:alice", "scope": "read write", "audience": API} | changes
    families = RefreshFamilies(ISSUER, service.stores.families, service.settings.refresh)
    text = families.begin(Authorization(client=client, **members), seconds(service.now))
    return attenuate(text, caveats)


def ask_refresh(
    service: Service, token: str, client_id: str = WEB, certificate: Identity | None = None, **form: str
) -> TestResponse:
    """Send a refresh token as this client."""
    named = {"client_id": client_id} | ({"client_secret": SECRETS["billing"]} if client_id == WEB else {})
    form = {"grant_type": "refresh_token", "refresh_token": token} | named | form
    return service.open("/oauth2/token", certificate, data=form)


def refreshed(service: Service, token: str, *arguments: Any, **form: str) -> Mapping[str, Any]:
    """Return the answer to a refresh token that is good."""
    answer = ask_refresh(service, token, *arguments, **form)
    assert answer.status_code == 200, answer.text
    body: Mapping[str, Any] = answer.json
    return body


def rows(service: Service) -> list[tuple[str, str]]:
    """Return family and current token of every family in the database."""
    found, _ = service.stores.families.live(seconds(NOW), limit=1000)
    return [(one.family, one.token_id) for one in found]


def family_of(token: str) -> str:
    fam = grant_of(token).fam
    assert fam is not msgspec.UNSET
    return fam
