"""The connection alone opens nothing, and possession is proved anew on each one."""

import socket
from contextlib import closing

import pytest
from OpenSSL import SSL

from tests.support.refusals import assert_passes, assert_refused
from tests.support.target import Target
from tests.support.tls_servers import Client, ask


def test_a_call_without_a_token(target: Target):
    """A forced call of the holder's process (SSRF) has its connection but no token: 401, no error code."""
    answer = target.call(None, target.holder)
    assert answer.status == 401
    assert "error" not in answer.headers["www-authenticate"]
    assert answer.headers["www-authenticate"].startswith('Bearer realm="https://api.example"')


def test_a_token_does_not_stay_on_its_connection(target: Target):
    """A request without the token may not do what the one before it on the connection may."""
    with target.server.connect(target.server.context(target.holder)) as connection:
        headers = {"Authorization": f"Bearer {target.bound()}"}
        for _ in range(2):
            assert_passes(ask(connection, "/invoices", headers=headers))
            assert ask(connection, "/invoices").status == 401


def test_two_connections_at_once_are_not_mixed_up(target: Target):
    """Requests that alternate between two connections are judged by their own certificate each."""
    server, headers = target.server, {"Authorization": f"Bearer {target.bound()}"}
    with (
        server.connect(server.context(target.holder)) as honest,
        server.connect(server.context(target.thief)) as stolen,
        server.connect(server.context()) as bare,
    ):
        for _ in range(5):
            assert_passes(ask(honest, "/invoices", headers=headers))
            assert_refused(ask(stolen, "/invoices", headers=headers))
            assert_refused(ask(bare, "/invoices", headers=headers))


VERSIONS = {"TLS 1.2": SSL.TLS1_2_VERSION, "TLS 1.3": SSL.TLS1_3_VERSION}


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_a_resumed_session_proves_nothing(target: Target, version: int):
    """A session of the holder's, offered again by who has no key, shows the server no certificate."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.load_verify_locations(str(target.server.folder / "ca.pem"))
    context.set_verify(SSL.VERIFY_PEER)
    session, status = exchange(target, context, target.holder, None)
    assert status == 200
    for client in (None, target.thief):
        assert exchange(target, context, client, session)[1] == 401


def exchange(
    target: Target, context: SSL.Context, client: Client | None, session: SSL.Session | None
) -> tuple[SSL.Session | None, int]:
    """Call over a connection that offers this session; return the connection's own, and the status."""
    with closing(socket.create_connection(("127.0.0.1", target.server.port), 10)) as sock:
        sock.setblocking(True)  # pyOpenSSL does not know Python's timeouts
        connection = SSL.Connection(context, sock)
        if client is not None:
            connection.use_certificate(client.certificate)
            connection.use_privatekey(client.key)
        if session is not None:
            connection.set_session(session)
        connection.set_tlsext_host_name(b"localhost")
        connection.set_connect_state()
        connection.do_handshake()
        request = (
            f"GET /invoices HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {target.bound()}\r\n\r\n"
        )
        connection.sendall(request.encode())
        answer = connection.recv(65536)
        return connection.get_session(), int(answer.split(b" ")[1])
