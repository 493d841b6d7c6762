"""Requests with every secret, and the spellings in which a secret could be shown."""

from base64 import b64encode, urlsafe_b64encode

from macaroon_cbat.macaroon.caveats import Method, Scope
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.forged_tokens import forged
from tests.support.service import GRANT_TYPE, SECRETS, basic


def spellings(data: bytes) -> list[str]:
    texts = [data.hex(), b64encode(data).decode().rstrip("="), urlsafe_b64encode(data).decode().rstrip("=")]
    return [*(text[:24] for text in texts), repr(data)[2:20]]


def exercise(service, certificate, token: str) -> None:
    """Ask every endpoint, well and badly."""
    child = attenuate(token, [Scope("read"), Method("GET")])
    broken = forged(token)
    for text in (token, child, broken, token[:-1], token + "="):
        for caller in ("api", "knowing-api", "other-api"):
            service.introspect(text, caller)
        for body in ({}, {"caveat": {"exp": 1}}, {"bind": "connection"}, {"caveat": {"colour": "blue"}}):
            service.open("/macaroon/restrict", certificate, json={"macaroon": text, **body})
        service.open("/macaroon/inspect", json={"macaroon": text})
        service.open("/macaroon/inspect", json={"macaroon": [text]})
        service.open("/macaroon/inspect", json={text: text})
        service.post("/oauth2/introspect", {"token": text, text: "1"}, "api")
        service.post("/oauth2/introspect", {"token": [text, text]}, "api")
        service.post("/oauth2/introspect", {"token": text, "token_type_hint": text}, "api")
        service.open("/oauth2/introspect?token=" + text, data={"token": text})
        service.revoke(text, "payroll")
    service.revoke(token)


def ask_with_secrets(service) -> None:
    for name, secret in SECRETS.items():
        service.ask_token(name)
        for form in (
            {"client_id": name, "client_secret": secret},
            {"client_id": "unknown", "client_secret": secret},
            {"client_id": [name, name], "client_secret": [secret, secret]},
            {"client_secret": secret},
        ):
            service.open("/oauth2/token", data=GRANT_TYPE | form)
        for header in (basic("unknown", secret), basic(name, secret)[:-3], "Bearer " + secret):
            service.open("/oauth2/token", data=GRANT_TYPE, headers={"Authorization": header})
        service.open("/oauth2/token?client_secret=" + secret, data=GRANT_TYPE)
