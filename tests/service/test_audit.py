"""The audit log of the service: one line for each thing that happened."""

import json
import os

import pytest

from macaroon_cbat.audit.file import write_log_to
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from macaroon_cbat.macaroon.caveats import Method, Scope, confirmation
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.stores import ClientMetadata
from macaroon_cbat.stores.root_keys import GRACE_SECONDS
from tests.support.audit_events import events, one
from tests.support.databases import NOW
from tests.support.forged_tokens import forged
from tests.support.service import API, GRANT_TYPE, ISSUER, SECRETS, grant_of
from tests.support.service_secrets import ask_with_secrets, exercise, spellings

AT = "2025-12-31T23:00:00Z"
COMMON = {"at": AT, "address": "127.0.0.1"}


def test_a_minted_token_is_one_line(audited, file):
    """Minting says who got which token, for which audience and scope."""
    token = audited.token(scope="read")
    assert one(file) == COMMON | {
        "event": "token.minted",
        "who": "billing",
        "token_id": grant_of(token).jti,
        "audience": API,
        "scope": "read",
        "endpoint": "/oauth2/token",
        "status": 200,
    }


def test_a_bound_token_names_its_certificate(audited, file, certificate):
    """Minting a bound token says to which certificate."""
    bound = ClientMetadata(scope="read", tls_client_certificate_bound_access_tokens=True)
    audited.stores.clients.add("bound", bound, secret=SECRETS["billing"], now=NOW)
    form = {"grant_type": "client_credentials", "client_id": "bound", "client_secret": SECRETS["billing"]}
    assert audited.open("/oauth2/token", certificate, data=form).status_code == 200
    found = one(file)
    assert (found["who"], found["certificate"]) == ("bound", certificate.thumbprint)


def test_a_refused_token_is_one_line(audited, file, certificate):
    """A refusal says why, and over which certificate it came; who it is only where that was proved."""
    audited.ask_token("billing", certificate, scope="root")
    assert one(file) == COMMON | {
        "event": "token.refused",
        "who": "billing",
        "certificate": certificate.thumbprint,
        "endpoint": "/oauth2/token",
        "status": 400,
        "error": "invalid_scope",
        "reason": "the scope 'root' is not registered for this client: register it",
    }
    form = {"grant_type": "client_credentials", "client_id": "billing", "client_secret": "wrong"}
    audited.open("/oauth2/token", data=form)
    found = one(file)
    assert (found["error"], found["status"], "who" in found) == ("invalid_client", 401, False)


def test_an_introspected_token_is_one_line(audited, file, certificate):
    """Introspection says who asked about which token and what the answer was."""
    token = audited.token()
    os.truncate(file, 0)
    audited.introspect(attenuate(token, [confirmation(certificate.thumbprint)]), "comparing-api")
    expected = COMMON | {
        "event": "token.introspected",
        "who": "comparing-api",
        "client_id": "billing",
        "token_id": grant_of(token).jti,
        "endpoint": "/oauth2/introspect",
        "status": 200,
    }
    assert one(file) == expected | {"active": True, "certificate": certificate.thumbprint}
    audited.introspect(token, "other-api")
    reason = f"other-api serves none of {(API,)}"
    assert one(file) == expected | {"who": "other-api", "active": False, "reason": reason}


def test_a_token_that_is_not_authentic_has_no_name(audited, file):
    """A forged token's identifier is a stranger's text: it is not shown as a token's name."""
    token = audited.token()
    os.truncate(file, 0)
    audited.introspect(forged(token))
    found = one(file)
    assert (found["active"], "token_id" in found, "client_id" in found) == (False, False, False)


def test_text_in_the_environment_names_no_client(audited, file):
    """A sender in uWSGI's protocol, which writes any key of the environment as text, writes no name."""
    application, written = audited.app.wsgi_app, {}

    def with_what_was_written(environ, start_response):
        environ |= dict.fromkeys(written, "operator")
        answer = application(environ, start_response)
        written.update(environ)
        return answer

    audited.app.wsgi_app = with_what_was_written
    token = audited.minted(confirmation("A" * 43), aud=ISSUER)
    written.clear()
    audited.open("/admin/keys", method="GET", headers={"Authorization": f"Bearer {token}"})
    own = {key for key in written if key.startswith("macaroon_cbat.")} - {PEER_CERTIFICATE}
    assert len(own) > 1
    written.clear()
    written.update(dict.fromkeys(own))
    os.truncate(file, 0)
    assert audited.open("/oauth2/token", data=GRANT_TYPE).status_code == 401
    found = one(file)
    assert ("who" in found, "token_id" in found, "certificate" in found) == (False, False, False)


def test_a_revoked_token_is_one_line(audited, file):
    """Revoking says who took which token back; a refused revocation says why."""
    token = audited.token()
    os.truncate(file, 0)
    audited.revoke(token, "payroll")
    found = one(file)
    assert (found["event"], found["who"], found["error"]) == ("request.refused", "payroll", "invalid_grant")
    audited.revoke(token)
    assert one(file) == COMMON | {
        "event": "token.revoked",
        "who": "billing",
        "token_id": grant_of(token).jti,
        "audience": API,
        "endpoint": "/oauth2/revoke",
        "status": 200,
    }


def test_what_the_policy_does_to_keys_is_one_line(start, file):
    """A rotation that the service makes by itself, and a key that it retires, are one line each."""
    service = start(audit_log=str(file), key_rotation=86_400)
    service.now += 86_400
    [old] = [one.kid for one in service.stores.root_keys.records() if one.state == "current"]
    service.token()
    [new] = [one.kid for one in service.stores.root_keys.records() if one.state == "current"]
    service.now += 86_400 + GRACE_SECONDS
    service.token()
    write_log_to(None)
    found = [(e["event"], e["who"], e["kid"]) for e in events(file) if e["who"] == "policy"]
    assert found[0] == ("key.rotated", "policy", new)
    assert ("key.retired", "policy", old) in found
    assert [kind for kind, _, _ in found] == ["key.rotated", "key.rotated", "key.retired"]


BAD = {
    "an unknown path": lambda s: s.open("/x/y", method="GET"),
    "another method": lambda s: s.open("/oauth2/token", method="PUT"),
    "a body too large": lambda s: s.open("/oauth2/token", data={"a": "x" * 70_000}),
    "another content type": lambda s: s.open("/oauth2/token", json={}),
    "no grant type": lambda s: s.open("/oauth2/token", data={"a": "b"}),
    "a repeated parameter": lambda s: s.open("/oauth2/token", data={"a\nb": ["1", "2"]}),
    "no credentials": lambda s: s.open("/oauth2/introspect", data={"token": "x"}),
    "no JSON": lambda s: s.open("/macaroon/inspect", data=b"{", content_type="application/json"),
    "a forged client name": lambda s: s.open(
        "/oauth2/token",
        data={
            "grant_type": "client_credentials",
            "client_id": 'x\n{"event":"token.minted"}","who":"operator',
        },
    ),
    "a long client name": lambda s: s.open(
        "/oauth2/token", data={"grant_type": "client_credentials", "client_id": "\U0001f600" * 5000}
    ),
}


@pytest.mark.parametrize("ask", BAD.values(), ids=BAD)
def test_a_refused_request_is_one_line(audited, file, ask):
    """A refused request leaves exactly one line, which no client can forge, split or swell."""
    answer = ask(audited)
    assert answer.status_code >= 400
    [text] = file.read_text().splitlines()
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 8_000
    found = json.loads(text)
    assert found["event"] in ("token.refused", "request.refused")
    assert (found["status"], "who" in found) == (answer.status_code, False)


def test_nothing_secret_is_in_any_line(audited, file, certificate):
    """No line holds a token, a secret, a key or a signature, after good and bad requests of every kind."""
    audited.stores.root_keys.rotate(NOW)
    token = audited.token()
    exercise(audited, certificate, token)
    ask_with_secrets(audited)
    audited.open("/" + token, method="GET")
    log = file.read_text()
    assert {e["event"] for e in events(file)} >= {"token.minted", "token.refused", "token.revoked"}
    assert all(token[at : at + 24] not in log for at in range(100, len(token) - 24))
    keys = [*(key.secret for key in audited.stores.root_keys.all()), audited.settings.wrapping_key.secret]
    keys += [key.secret for key in audited.keys().keys.values()]
    child = attenuate(token, [Scope("read"), Method("GET")])
    for secret in [*keys, read_macaroon(token).signature, read_macaroon(child).signature]:
        assert not any(text in log for text in spellings(secret))
    assert not any(secret in log for secret in SECRETS.values())
