import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.tls_servers import SECONDS, Client, Server, make_client, read_to_end

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def s_client(server: Server, *options: str, said: bytes = REQUEST) -> str:
    """Talk to the server with openssl's own client."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost"]
    done = subprocess.run(
        [*command, "-CAfile", str(server.folder / "ca.pem"), *options],
        input=said,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS,
        check=False,
    )
    return done.stdout.decode("latin-1")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_resumption_attempt_becomes_a_full_handshake(
    server: Server, clients: dict[str, Client], version: ssl.TLSVersion
) -> None:
    """A client that offers an old session makes a full handshake, in which its new certificate counts."""
    context = server.context(clients["P-256"], version)
    with server.connect(context) as connection:
        connection.sendall(REQUEST)
        assert clients["P-256"].der.hex().encode() in read_to_end(connection)
        session = connection.session
    assert session is not None
    context.load_cert_chain(clients["expired"].file)
    with server.connect(context, session=session) as connection:
        connection.sendall(REQUEST)
        assert clients["expired"].der.hex().encode() in read_to_end(connection)
        assert not connection.session_reused


def test_an_old_session_carries_no_certificate(
    server: Server, clients: dict[str, Client], tmp_path: Path
) -> None:
    """A TLS 1.3 session begun with a certificate and offered again without one shows none."""
    session = tmp_path / "session"
    identity = ["-cert", str(clients["P-256"].file), "-key", str(clients["P-256"].file)]
    first = s_client(server, "-tls1_3", "-ign_eof", "-sess_out", str(session), *identity)
    assert clients["P-256"].der.hex() in first
    second = s_client(server, "-tls1_3", "-ign_eof", "-sess_in", str(session))
    assert '"certificate": null' in second
    assert "Reused" not in second


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_of_another_server_becomes_a_full_handshake(
    server: Server, clients: dict[str, Client], tmp_path: Path, version: str
) -> None:
    """A session number and a ticket that mean nothing here lead to a full handshake, not to an alert."""
    session = tmp_path / "session"
    with other_server(server) as other:
        s_client(other, version, "-ign_eof", "-sess_out", str(session))
    assert session.exists()
    identity = ["-cert", str(clients["P-256"].file), "-key", str(clients["P-256"].file)]
    said = s_client(server, version, "-ign_eof", "-sess_in", str(session), *identity)
    assert clients["P-256"].der.hex() in said
    assert "Reused" not in said


@contextmanager
def other_server(server: Server) -> Iterator[Server]:
    """Serve one connection with the same certificate, but with sessions that can be resumed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server.folder / "server.pem", server.folder / "server.key")

    def serve_one() -> None:
        connection, _ = listener.accept()
        with context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1000)
            secured.sendall(b"HTTP/1.0 200 OK\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve_one)
        thread.start()
        yield replace(server, port=listener.getsockname()[1])
        thread.join(SECONDS)


def test_no_ticket_is_given(server: Server) -> None:
    """TLS 1.2 clients get neither a ticket nor a session number to come back with."""
    assert "TLS session ticket" not in s_client(server, "-tls1_2", "-ign_eof")


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(server: Server, version: str) -> None:
    """TLS before 1.2 is refused with the alert that says so."""
    said = s_client(server, version, "-cipher", "ALL:@SECLEVEL=0")
    assert "alert protocol version" in said


def test_ciphers_without_forward_secrecy_are_refused(server: Server) -> None:
    """A TLS 1.2 client that offers only static RSA key exchange or CBC finds no common cipher."""
    said = s_client(server, "-tls1_2", "-cipher", "AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA")
    assert "alert handshake failure" in said


def test_renegotiation_is_refused(server: Server) -> None:
    """A TLS 1.2 client that asks for another handshake is told no."""
    said = s_client(server, "-tls1_2", "-legacy_renegotiation", said=b"R\n")
    assert "RENEGOTIATING" in said
    assert "no renegotiation" in said


def test_http_1_1_is_chosen(server: Server) -> None:
    """A client that prefers h2 but also speaks http/1.1 gets http/1.1."""
    context = server.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with server.connect(context) as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"


def test_h2_alone_is_refused(server: Server) -> None:
    """A client that speaks only h2 is refused with the alert for it."""
    context = server.context()
    context.set_alpn_protocols(["h2"])
    with pytest.raises(ssl.SSLError, match=r"(?i)no.application.protocol"):
        server.connect(context)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [40_000, 90_000, 150_000])
def test_a_certificate_too_large_is_refused(
    server: Server, tmp_path: Path, size: int, version: ssl.TLSVersion
) -> None:
    """A certificate beyond 32 KiB ends the handshake with an alert, never a broken connection."""
    client = make_client(tmp_path, "large", padding=size)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        server.ask(context=server.context(client, version))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_chain_too_long_is_refused(
    server: Server, clients: dict[str, Client], tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """A handshake beyond 48 KiB ends with an alert, before OpenSSL parses and keeps its certificates."""
    client = make_client(tmp_path, "chained", chain=(clients["P-256"],) * 200)
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        server.ask(context=server.context(client, version))
    assert "the handshake is longer than 49152 bytes" in server.log()


def test_plain_http_gets_an_answer_that_says_https(server: Server) -> None:
    """Plain HTTP on the TLS port is answered with 400 and the advice to use https."""
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as sock:
        sock.sendall(REQUEST)
        answer = read_to_end(sock)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"use https" in answer


def test_garbage_is_dropped(server: Server) -> None:
    """Bytes that are neither TLS nor HTTP end the connection without an answer."""
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as sock:
        sock.sendall(b"\x00\x01\x02\x03")
        assert sock.recv(100) == b""


def test_garbage_inside_a_handshake_is_refused(server: Server) -> None:
    """A TLS record that holds no handshake is answered with an alert and the end."""
    with socket.create_connection(("127.0.0.1", server.port), SECONDS) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x05hello")
        answer = read_to_end(sock)
    assert answer[:1] == b"\x15"


def test_a_refused_handshake_is_one_line_in_the_log(server: Server) -> None:
    """A refused handshake leaves one line without a traceback."""
    before = len(server.log())
    test_h2_alone_is_refused(server)
    server.ask()
    said = server.log()[before:].strip()
    assert said.count("\n") == 0
    assert "no HTTP/1.1" in said
