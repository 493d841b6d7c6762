"""The client certificate that each adapter finds: on the connection, or where the deployer said."""

import pytest

from macaroon_cbat.certificate.source import NO_CERTIFICATE, presented_certificate
from macaroon_cbat.certificate.thumbprint import DerCertificate
from tests.support.forged_headers import NAMES, VALUES
from tests.support.guarded_app import CERTIFICATE, THIEF, bound

NAME = "Client-Cert"
TEXT = CERTIFICATE.decode().replace(" ", "-")
ATTACKS = {
    "twice": [(NAME, TEXT), (NAME, TEXT)],
    "another one beside it": [(NAME, TEXT), (NAME, "x")],
    "another one before it": [(NAME, "x"), (NAME, TEXT)],
    "an underscore beside it": [(NAME, "x"), ("Client_Cert", TEXT)],
    "an underscore before it": [("Client_Cert", TEXT), (NAME, "x")],
    "an underscore alone": [("Client_Cert", TEXT)],
    "a dot alone": [("Client.Cert", TEXT)],
    "a dot beside it": [(NAME, "x"), ("Client.Cert", TEXT)],
    "an underscore in other letters": [("CLIENT_cert", TEXT)],
}


def one_header(connection):
    """Believe one header of every sender: a deployer may."""
    value = connection.header(NAME)
    return (
        NO_CERTIFICATE
        if value is None
        else presented_certificate(DerCertificate(value.replace("-", " ").encode()))
    )


def unix_only(connection):
    """Believe the header of every sender at the Unix socket."""
    return one_header(connection) if connection.is_unix_socket() else NO_CERTIFICATE


@pytest.mark.parametrize("name", NAMES)
def test_a_header_is_no_certificate(adapter, guarded, name):
    """No header is believed by default, whatever its name and its format."""
    token = bound()
    for value in VALUES.values():
        if value.isprintable():
            headers = [(name, value)]
            assert adapter.call(guarded, token, certificate=None, headers=headers).status == 401
            assert adapter.call(guarded, token, certificate=THIEF, headers=headers).status == 401
            assert adapter.call(guarded, token, headers=headers).status == 200


@pytest.mark.parametrize("name", [NAME, NAME.lower(), NAME.upper()])
def test_a_source_of_the_deployer_s_is_asked(adapter, name):
    """A source that the deployer names takes the place of the connection; letter case is no difference."""
    app = adapter.make(certificate_source=one_header)
    assert adapter.call(app, bound(), certificate=None, headers=[(name, TEXT)]).status == 200
    assert adapter.call(app, bound(), headers=[(name, "x")]).status == 401
    assert adapter.call(app, bound()).status == 401


@pytest.mark.parametrize("headers", ATTACKS.values(), ids=ATTACKS)
def test_an_ambiguous_header_lets_no_client_in(adapter, headers):
    """A header that came twice, or under a name that some server takes for it, never lets a client in."""
    reply = adapter.call(
        adapter.make(certificate_source=one_header), bound(), certificate=None, headers=headers
    )
    assert reply.status in (400, 401)
    if adapter.send.__name__ == "through_asgi":
        assert (reply.status, reply.json()["error"]) == (400, "invalid_request")


def test_the_connection_knows_a_unix_socket(adapter):
    """A source can tell who came over the Unix socket."""
    app = adapter.make(certificate_source=unix_only)
    headers = [(NAME, TEXT)]
    assert adapter.call(app, bound(), certificate=None, headers=headers, unix=True).status == 200
    assert adapter.call(app, bound(), certificate=None, headers=headers).status == 401
    forwarded = [*headers, ("X-Forwarded-For", "unix:"), ("Forwarded", "for=unix:")]
    assert adapter.call(app, bound(), certificate=None, headers=forwarded).status == 401
