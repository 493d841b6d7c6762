"""Servers that show no client certificate: the operator learns once what to do, the client gets 503."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat import Expiry, confirmation, thumbprint_of
from macaroon_cbat.certificate.thumbprint import DerCertificate
from tests.support.forged_tokens import forged
from tests.support.servers.commands import HIDING, SHOWING, Command, started
from tests.support.servers.running import Server
from tests.support.tls_servers import Client, make_client
from tests.support.tokens import NOW, token


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Client:
    return make_client(folder, "authority", is_authority=True)


@pytest.fixture(scope="module")
def server_file(folder: Path) -> Path:
    """Write a server certificate and its key in one file."""
    return make_client(folder, "localhost").file


@pytest.fixture(scope="module")
def holder(folder: Path, authority: Client) -> Client:
    return make_client(folder, "holder", issuer=authority)


def bound_to(client: Client, *caveats) -> str:
    """Return an honest token, bound to this client's certificate."""
    return token(confirmation(thumbprint_of(DerCertificate(client.der))), *caveats)


def ask(server: Server, text: str, client: Client, *lines: str):
    """Send a request with this token, from a client that presents its certificate where it is asked to."""
    connection = None
    if server.is_tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(client.file)
        connection = server.connect(context=context)
    return server.send("/invoices", f"Authorization: Bearer {text}", *lines, connection=connection)


@pytest.fixture(params=HIDING.values(), ids=HIDING)
def hiding(request, tmp_path: Path, server_file: Path, authority: Client) -> Iterator[tuple[Server, Command]]:
    """Run each server by which no client certificate reaches the application."""
    with started(request.param, tmp_path, server_file, authority.file) as server:
        yield server, request.param


def lines_with(server: Server, text: str) -> list[str]:
    """Return the lines of the terminal that hold this text."""
    return [line for line in server.log.read_text().splitlines() if text in line]


def test_the_operator_is_told_once_and_the_client_is_not_blamed(hiding, holder: Client):
    """A bound token is 503 where no certificate can arrive, and one line of the terminal names the remedy.

    What a client sends changes nothing, forged tokens stay 401, and their reason is on the terminal.
    """
    server, command = hiding
    text = bound_to(holder)
    for lines in ((), ("X-Forwarded-Proto: https",), ("X-Forwarded-Proto: http", "Clientcert: x")):
        status, body = ask(server, text, holder, *lines)
        assert (status, body["error"]) == (503, "server_misconfigured")
    [line] = lines_with(server, "no client certificate reaches this application")
    assert command.remedy in line
    assert ask(server, forged(text), holder)[0] == 401
    assert ask(server, bound_to(holder, Expiry(NOW - 60)), holder)[0] == 401
    [line] = lines_with(server, "the signature does not follow")
    assert {"401", "invalid_token"} <= set(re.findall(r"\w+", line))  # daphne shows the audit line itself
    assert text[-20:] not in server.log.read_text()


@pytest.fixture(params=SHOWING.values(), ids=SHOWING)
def showing(request, tmp_path: Path, server_file: Path, authority: Client) -> Iterator[Server]:
    """Run each server that shows the certificates of its clients."""
    with started(request.param, tmp_path, server_file, authority.file) as server:
        yield server


def test_a_server_that_shows_certificates(showing: Server, holder: Client, folder: Path, authority: Client):
    """The holder is let in where certificates arrive, and no other client can raise the 503 by anything."""
    other = make_client(folder, "other", issuer=authority)
    assert ask(showing, bound_to(holder), holder)[0] == 200
    for lines in ((), ("X-Forwarded-Proto: http",), ("X-Forwarded-Proto: https",)):
        status, body = ask(showing, bound_to(holder), other, *lines)
        assert (status, body["error"]) == (401, "invalid_token")
        assert "cnf names another client certificate" in body["error_description"]
    status, body = showing.send("/invoices", f"Authorization: Bearer {bound_to(holder)}")
    assert status == 401
    assert "no client certificate reached this server" in body["error_description"]
    assert lines_with(showing, "no client certificate reaches this application") == []
