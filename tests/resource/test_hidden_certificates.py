"""A server by which no client certificate can arrive: who gets the 503, and who never does."""

import logging
import socket
from collections.abc import Mapping
from typing import Any

import pytest

from macaroon_cbat import Expiry
from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import Inactive
from macaroon_cbat.macaroon.caveats import Method, confirmation
from macaroon_cbat.resource.verifier import OfflineVerifier
from tests.support.counters import counts, difference
from tests.support.forged_tokens import forged
from tests.support.guarded_app import bound, call, make_app
from tests.support.tokens import KEYS, NOW, OTHER_CERTIFICATE, came_from, token

PLAIN = came_from("192.0.2.7")
"""The environment of a connection that waitress serves: it speaks plain HTTP."""


class Socket:
    """A TLS connection of a server with this `verify_mode`; the client presented nothing."""

    family = socket.AF_INET

    def __init__(self, verify_mode: int) -> None:
        self.context = type("Context", (), {"verify_mode": verify_mode})

    def getpeercert(self, _binary_form: bool = False) -> None:  # noqa: FBT001, FBT002 # as ssl has it
        """Return that there is none."""

    def getpeername(self) -> tuple[str, int]:
        """Return the other end."""
        return "192.0.2.7", 4711


def answered(app: Any, text: str | None, environ: Mapping[str, Any] = PLAIN) -> tuple[int, str]:
    """Return status and error of a request over a connection that the environment describes."""
    headers = {} if text is None else {"Authorization": f"Bearer {text}"}
    response = app.test_client().get("/invoices", headers=headers, environ_overrides=dict(environ))
    return response.status_code, (response.json or {}).get("error", "")


MISCONFIGURED = (503, "server_misconfigured")
BAD = (401, "invalid_token")
ANSWERS = {
    "a bound token": (bound, MISCONFIGURED),
    "a bound token of another": (lambda: token(confirmation(OTHER_CERTIFICATE)), MISCONFIGURED),
    "an expired one": (lambda: bound(Expiry(NOW - 60)), BAD),
    "another method's": (lambda: bound(Method("PUT")), BAD),
    "one of two certificates": (lambda: bound(confirmation(OTHER_CERTIFICATE)), BAD),
    "a forged one": (lambda: forged(bound()), BAD),
    "rubbish": (lambda: "rubbish", BAD),
    "an unbound one": (token, BAD),
    "none": (lambda: None, (401, "missing_token")),
}


@pytest.mark.parametrize(("make", "answer"), ANSWERS.values(), ids=ANSWERS)
def test_only_a_token_that_lacks_a_certificate_alone_is_503(make, answer):
    """503 says "cannot tell": a token that is refused whatever the certificate stays 401."""
    assert answered(make_app(), make()) == answer


def test_unbound_tokens_are_unaffected_where_they_may_pass():
    """With require_certificate=False an unbound token passes such a server, and a bound one is still 503."""
    app = make_app(require_certificate=False)
    assert answered(app, token()) == (200, "")
    assert answered(app, bound()) == MISCONFIGURED


ASKING = {
    "the client had none": Socket(1),
    "a context that is not known": object.__new__(Socket),
}


@pytest.mark.parametrize("connection", ASKING.values(), ids=ASKING)
def test_a_server_that_asks_is_not_blamed(connection: Socket):
    """A client without a certificate is 401 where the server asked for one, or may have asked."""
    assert answered(make_app(), bound(), {"gunicorn.socket": connection}) == BAD


def test_a_proxy_that_was_named_is_no_server_without_certificates():
    """Behind a proxy that was named, a client that goes around it is 401 and raises no 503."""
    app = make_app(certificate_source=Forwarded("haproxy", trust=trusted_proxies(["10.0.0.7"])))
    assert answered(app, bound()) == BAD


HEADERS = ("HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_SSL", "HTTP_FRONT_END_HTTPS", "HTTP_FORWARDED")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", HEADERS)
def test_no_header_decides(scheme: str, name: str):
    """Neither a header nor a scheme that one has written makes a 503 of a 401, or a 401 of a 503."""
    environ = {name: "proto=https", "wsgi.url_scheme": scheme}
    assert answered(make_app(), bound(), {**environ, "gunicorn.socket": Socket(2)}) == BAD
    assert answered(make_app(), bound(), {**environ, "gunicorn.socket": Socket(0)}) == MISCONFIGURED
    assert answered(make_app(), bound(), {**environ, **PLAIN}) == MISCONFIGURED


REMEDIES = {
    "gunicorn": ({"gunicorn.socket": Socket(0)}, "start it with --cert-reqs 1 --ca-certs FILE"),
    "flask run": ({"werkzeug.socket": Socket(0)}, "Flask's development server (flask run) does not ask"),
    "waitress": (PLAIN, "waitress speaks plain HTTP here: serve with macaroon_cbat.tls.serve"),
    "mod_wsgi": ({"mod_wsgi.version": (4, 9, 4)}, "SSLOptions +ExportCertData"),
    "another": ({}, "this server shows none to applications: serve with macaroon_cbat.tls.serve"),
}


@pytest.mark.parametrize(("environ", "remedy"), REMEDIES.values(), ids=REMEDIES)
def test_each_server_has_its_own_remedy(environ: dict[str, Any], remedy: str):
    """The message names what to do with the very server that runs."""
    assert remedy in str(WsgiConnection(environ).why_hidden())


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno == logging.ERROR]


def test_one_error_in_the_life_of_a_process(caplog: pytest.LogCaptureFixture):
    """However many requests come, the remedy is said once; the warnings about them are bounded."""
    app, before = make_app(), counts()
    for _ in range(100):
        assert answered(app, bound()) == MISCONFIGURED
    [line] = errors(caplog)
    assert line.startswith("no client certificate reaches this application, because waitress")
    assert "name it: certificate_source=Forwarded(FORMAT, trust=trusted_proxies([...]))" in line
    assert len(caplog.records) < 30
    assert difference(before) == {("unavailable_total", "ServerMisconfigured"): 100}


def test_an_unbound_token_tells_the_operator_too(caplog: pytest.LogCaptureFixture):
    """An authentic token that is unbound is a true 401, and its operator learns already what comes next."""
    assert answered(make_app(), token()) == BAD
    [line] = errors(caplog)
    assert "no client certificate reaches this application" in line


@pytest.mark.parametrize("text", [None, "rubbish", forged(bound())], ids=["none", "rubbish", "forged"])
def test_who_has_no_token_raises_nothing(caplog: pytest.LogCaptureFixture, text: str | None):
    """No client without an authentic token makes the guard write an ERROR."""
    assert answered(make_app(), text)[0] == 401
    assert errors(caplog) == []


class _Asking(OfflineVerifier):
    """A verifier that asks a service, which calls each token without a certificate inactive."""

    def verify(self, text: str, access: Any, *, require_certificate: bool, **_: Any) -> Any:
        """Say so."""
        if access.certificate is None:
            raise Inactive("the service says that the token is not active")
        return super().verify(text, access, require_certificate=require_certificate, **_)


def test_a_service_that_is_asked_in_vain_is_not_believed():
    """A service that gets no certificate calls bound tokens inactive: that is 503, an unbound one 401."""
    app = make_app(verifier=_Asking(KEYS))
    assert answered(app, bound()) == MISCONFIGURED
    assert answered(app, token()) == BAD
    assert call(app, bound(), certificate=None).status_code == 401


def test_there_is_no_use_in_trying_again():
    """The 503 has no Retry-After and no challenge, and stays out of caches."""
    headers = {"Authorization": f"Bearer {bound()}"}
    response = make_app().test_client().get("/invoices", headers=headers, environ_overrides=PLAIN)
    assert response.status_code == 503
    assert "Retry-After" not in response.headers
    assert "WWW-Authenticate" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"
    assert "its log tells its operator what to do" in response.text
