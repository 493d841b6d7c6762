"""Spellings of a token in a form."""

from base64 import b64encode, urlsafe_b64decode

from tests.support.service import (
    SECRETS,
    Service,
    basic,
)


def post(service: Service, body: bytes, path: str = "/oauth2/revoke", **request):
    headers = {"Authorization": basic("billing", SECRETS["billing"])}
    request.setdefault("content_type", "application/x-www-form-urlencoded")
    return service.open(path, data=body, headers=headers, **request)


def padded(token: str) -> str:
    return token + "=" * (-len(token) % 4)


def standard(token: str) -> str:
    return b64encode(urlsafe_b64decode(padded(token))).decode()
