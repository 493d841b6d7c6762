"""The log names each actor and action, and holds no secret that a reader could use."""

import logging
from base64 import b64encode

import pytest

from macaroon_cbat.macaroon.caveats import Method, Scope
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.service import SECRETS, Service, basic, grant_of
from tests.support.service_secrets import ask_with_secrets, exercise, spellings
from tests.support.tokens import to_text


@pytest.fixture
def logged(caplog, request) -> Service:
    """Start the service while everything that is logged is kept, down to DEBUG."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger().setLevel(logging.DEBUG)
    service: Service = request.getfixturevalue("start")()
    return service


def seen(caplog) -> str:
    """Return the log as it would stand in a file, tracebacks and arguments included."""
    formatter = logging.Formatter("%(name)s %(message)s")
    return "\n".join(formatter.format(record) + repr(record.args) for record in caplog.records)


def test_no_token_stands_in_the_log(logged, caplog, certificate):
    """No part of a token that would help to present it stands in the log, after any request."""
    token = logged.token()
    exercise(logged, certificate, token)
    log = seen(caplog)
    assert "/oauth2/token" in log or "minted" in log
    assert all(token[at : at + 24] not in log for at in range(100, len(token) - 24))
    for text in spellings(read_macaroon(token).signature):
        assert text not in log
    assert to_text(read_macaroon(attenuate(token, [Scope("read"), Method("GET")])).signature)[:20] not in log


def test_no_secret_stands_in_the_log(logged, caplog):
    """No client secret stands in the log, right or wrong, however it was sent."""
    ask_with_secrets(logged)
    log = seen(caplog)
    for secret in SECRETS.values():
        assert secret not in log
        assert b64encode(secret.encode()).decode()[:16] not in log
    for name in SECRETS:
        assert basic(name, SECRETS[name])[12:30] not in log


def test_no_key_stands_in_the_log(logged, caplog, certificate):
    """No root key, audience key or wrapping key stands in the log, after a rotation either."""
    logged.stores.root_keys.rotate(grant_of(logged.token()).iat)
    exercise(logged, certificate, logged.token())
    log = seen(caplog)
    secrets = [key.secret for key in logged.stores.root_keys.all()]
    secrets += [key.secret for key in logged.keys().keys.values()]
    secrets += [key.macaroon_key for key in logged.keys().keys.values()]
    for secret in [*secrets, logged.settings.wrapping_key.secret]:
        for text in spellings(secret):
            assert text not in log


def test_the_log_says_who_did_what(logged, caplog, certificate):
    """The log names each token by its identifier: minted, revoked, and why one is inactive."""
    token = logged.token()
    logged.revoke(token, "payroll")
    logged.revoke(token)
    logged.introspect(token)
    log = seen(caplog)
    jti = grant_of(token).jti
    for kind in ("minted", "revoked"):
        assert f'"event":"token.{kind}","who":"billing","token_id":"{jti}"' in log
    assert f"token '{jti}' is revoked" in log
    assert "issued to another client" in log


def test_a_defect_shows_no_secret(logged, caplog):
    """The traceback of a defect goes to the log without the credentials of the request."""
    with logged.stores.database.writing() as connection:
        connection.exec_driver_sql("UPDATE clients SET metadata = 'nonsense'")
    assert logged.ask_token().status_code == 500
    assert "Traceback" in seen(caplog)
    assert SECRETS["billing"] not in seen(caplog)


def test_nothing_prints_what_it_holds(service):
    """The parts of the service show no secret when they are printed."""
    shown = repr(service.settings) + repr(service.stores) + repr(service.stores.clients.all())
    shown += repr(service.keys()) + repr(read_macaroon(service.token()))
    secrets = [service.settings.wrapping_key.secret, *(key.secret for key in service.stores.root_keys.all())]
    for secret in secrets:
        for text in spellings(secret):
            assert text not in shown
