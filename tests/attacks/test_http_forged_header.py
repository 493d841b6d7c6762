"""A header is not a certificate: raw requests with every spelling that a proxy or server might fold."""

import base64

import pytest

from tests.support.refusals import assert_passes, assert_refused
from tests.support.target import Target
from tests.support.tls_servers import speak

NAMES = (
    "Client-Cert",
    "client-cert",
    "Client_Cert",
    "X-Client-Cert",
    "X-SSL-Cert",
    "X-SSL-Client-Cert",
    "X_SSL_CLIENT_CERT",
    "SSL-Client-Cert",
    "SSL_CLIENT_CERT",
    "X-Forwarded-Client-Cert",
    "X-Forwarded-Tls-Client-Cert",
    "Clientcertx5t",
    "macaroon_cbat.peer_certificate",
    "Macaroon-Cbat.Peer-Certificate",
    "MACAROON_CBAT.PEER_CERTIFICATE",
    "HTTP_MACAROON_CBAT.PEER_CERTIFICATE",
    "gunicorn.socket",
    "werkzeug.socket",
    "wsgi.peer_certificate",
    "tls.peer_der",
    "REMOTE_USER",
    "HTTPS_CLIENT_CERTIFICATE",
)


def values(target: Target) -> dict[str, str]:
    text = base64.b64encode(target.holder.der).decode()
    pem = f"-----BEGIN CERTIFICATE----- {text} -----END CERTIFICATE-----"
    hexed = base64.urlsafe_b64decode(target.thumbprint(target.holder) + "=").hex()
    return {
        "RFC 9440": f":{text}:",
        "base64": text,
        "PEM": pem,
        "x5t#S256": target.thumbprint(target.holder),
        "XFCC": f'Hash={hexed};Cert="{pem}"',
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_forged_header(target: Target, name: str):
    """The holder's certificate in a header makes no connection the holder's: a thief's, or one without."""
    for client in (None, target.thief):
        with target.server.connect(target.server.context(client)) as connection:
            for value in values(target).values():
                head = f"GET /invoices HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\n"
                request = head + f"Authorization: Bearer {target.bound()}\r\n\r\n"
                assert_refused(speak(connection, request.encode()))


def test_the_same_request_over_the_holder_s_connection(target: Target):
    """The forged headers take nothing from the holder."""
    lines = "".join(f"{name}: :AAAA:\r\n" for name in NAMES)
    request = (
        f"GET /invoices HTTP/1.1\r\nHost: localhost\r\n{lines}Authorization: Bearer {target.bound()}\r\n\r\n"
    )
    with target.server.connect(target.server.context(target.holder)) as connection:
        assert_passes(speak(connection, request.encode()))


@pytest.mark.parametrize("first", [True, False], ids=["the good one first", "the good one last"])
def test_two_authorization_headers(target: Target, first: bool):  # noqa: FBT001
    """Of two Authorization headers none is chosen: 400, whichever one is good."""
    lines = [f"Authorization: Bearer {target.bound()}\r\n", "Authorization: Bearer rubbish\r\n"]
    request = "GET /invoices HTTP/1.1\r\nHost: localhost\r\n" + "".join(lines[:: 1 if first else -1]) + "\r\n"
    with target.server.connect(target.server.context(target.holder)) as connection:
        answer = speak(connection, request.encode())
    assert answer.status == 400
    assert answer.json()["error"] == "invalid_request"


def test_a_token_elsewhere(target: Target):
    """A token in the query, in a form or in another spelling of the header does not count."""
    text = target.bound()
    assert target.call(None, target.holder, f"/invoices?access_token={text}").status == 401
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f"access_token={text}"
    assert target.call(None, target.holder, method="POST", body=body, headers=form).status == 401
    for name in ("X-Authorization", "Proxy-Authorization", "Authorization_", "HTTP_AUTHORIZATION"):
        assert target.call(None, target.holder, headers={name: f"Bearer {text}"}).status == 401
