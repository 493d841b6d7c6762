"""A header is not a certificate: only the connection that the server terminates is believed."""

import pytest
from flask import Flask

from macaroon_cbat import DerCertificate, confirmation, thumbprint_of
from macaroon_cbat.certificate.source import PresentedCertificate, RequestConnection, presented_certificate
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE
from tests.support.forged_headers import BASE64, NAMES, PEM, VALUES
from tests.support.guarded_app import CERTIFICATE, THIEF, bound, call, make_app
from tests.support.tokens import token

UNPREFIXED = ("SSL_CLIENT_CERT", "SSL_CLIENT_S_DN", "HTTPS_CLIENT_CERTIFICATE", "HTTPS_CC", "tls.peer_der")


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.parametrize("name", NAMES)
def test_a_header_is_no_certificate(app: Flask, name: str, value: str):
    """A certificate in a header counts neither without one on the connection nor with another one."""
    for certificate in (None, THIEF):
        response = call(app, bound(), certificate=certificate, headers=[(name, value)])
        assert response.status_code == 401
        response = call(app, bound(), certificate=certificate, environ={_key(name): value})
        assert response.status_code == 401


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_a_header_is_no_certificate_under_any_server(app: Flask, value: str):
    """Under a server that shows no connection at all, a header is no certificate either."""
    keys = [*map(_key, NAMES), *(name.upper().replace("-", "_") for name in NAMES), *UNPREFIXED]
    for key in keys:
        environ = {"REMOTE_ADDR": "192.0.2.7", key: value}
        headers = {"Authorization": f"Bearer {bound()}"}
        assert (
            app.test_client().get("/invoices", headers=headers, environ_overrides=environ).status_code == 503
        )


def _key(name: str) -> str:
    """Return the environment key of a server that keeps any character of a header's name."""
    return "HTTP_" + name.upper().replace("-", "_")


@pytest.mark.parametrize("name", NAMES)
def test_a_header_does_not_hide_the_certificate(app: Flask, name: str):
    """A forged header takes nothing from the honest connection."""
    assert call(app, bound(), headers=[(name, f":{BASE64}:")]).status_code == 200


@pytest.mark.parametrize("key", UNPREFIXED)
def test_keys_of_servers_that_are_not_named_do_not_count(app: Flask, key: str):
    """A certificate in another server's environment key does not count while the deployer names no source."""
    assert call(app, bound(), certificate=None, environ={key: PEM}).status_code == 401
    assert call(app, bound(), certificate=None, environ={key: CERTIFICATE}).status_code == 401


class Connection:
    """A TLS connection that shows this certificate, as ssl.SSLSocket does."""

    def __init__(self, der: bytes | None) -> None:
        self.der = der

    def getpeercert(self, binary_form: bool = False) -> bytes | dict[str, str] | None:  # noqa: FBT001, FBT002
        """Return the DER bytes; the other form is empty where nothing was validated."""
        return self.der if binary_form else {}


SOCKETS = {
    "the holder's": (Connection(CERTIFICATE), 200),
    "another's": (Connection(THIEF), 401),
    "none": (Connection(None), 401),
    "no bytes": (Connection(b""), 401),
    "no TLS": (object(), 503),
    "no socket": (None, 503),
    "text": ("the holder's certificate", 503),
}


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
@pytest.mark.parametrize(("connection", "status"), SOCKETS.values(), ids=SOCKETS)
def test_the_server_s_own_socket_is_believed(app: Flask, key: str, connection: object, status: int):
    """Gunicorn's and werkzeug's socket show the connection's certificate; without TLS it is 503."""
    response = app.test_client().get(
        "/invoices",
        headers={"Authorization": f"Bearer {bound()}"},
        environ_overrides={key: connection, "REMOTE_ADDR": "192.0.2.7"},
    )
    assert response.status_code == status


def test_the_embedded_server_is_believed_before_others(app: Flask):
    """No other key supplies a certificate where the embedded server saw none."""
    sockets = {key: Connection(CERTIFICATE) for key in ("gunicorn.socket", "werkzeug.socket")}
    assert call(app, bound(), certificate=None, environ=sockets).status_code == 401
    assert call(app, bound(), environ={PEER_CERTIFICATE: b"", **sockets}).status_code == 401


def _own_source(connection: RequestConnection) -> PresentedCertificate:
    """Believe one header of every sender: a deployer may."""
    return presented_certificate(DerCertificate((connection.header("Owncertificate") or "").encode()))


def test_a_source_that_the_deployer_named_is_asked():
    """A certificate source of the deployer's own takes the place of the connection."""
    app = make_app(certificate_source=_own_source)
    assert (
        call(
            app, bound(), certificate=None, environ={"HTTP_OWNCERTIFICATE": CERTIFICATE.decode()}
        ).status_code
        == 200
    )
    assert call(app, bound()).status_code == 401


NO_CERTIFICATE = {
    "the embedded server saw none": {PEER_CERTIFICATE: None},
    "the embedded server saw no bytes": {PEER_CERTIFICATE: b""},
    "gunicorn saw none": {"gunicorn.socket": Connection(None)},
    "gunicorn saw no bytes": {"gunicorn.socket": Connection(b"")},
    "werkzeug saw no bytes": {"werkzeug.socket": Connection(b"")},
    "no server saw any": {},
}


@pytest.mark.parametrize("environ", NO_CERTIFICATE.values(), ids=NO_CERTIFICATE)
def test_a_token_bound_to_nothing(app: Flask, environ: dict[str, object]):
    """A token bound to the hash of no bytes is not bound: no connection without a certificate presents it."""
    text = token(confirmation(thumbprint_of(DerCertificate(b""))))
    headers = {"Authorization": f"Bearer {text}"}
    apps = (app, make_app(certificate_source=lambda _: presented_certificate(DerCertificate(b""))))
    answers = [one.test_client().get("/invoices", headers=headers, environ_overrides=environ) for one in apps]
    assert [answer.status_code for answer in answers] == [401 if environ else 503, 401]
