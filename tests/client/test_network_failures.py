"""Why no answer came, in words that say what to do: each failure is a real one, on loopback."""

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from http.client import IncompleteRead
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from macaroon_cbat.client import ClientCertificate, TokenClient
from macaroon_cbat.client.https import Connections, HttpsRequest
from macaroon_cbat.client.network_failures import failure_in_words
from macaroon_cbat.errors import SettingsError, Unavailable
from macaroon_cbat.files import replace_file
from tests.support.certificates import Identity, authority, certified

LOCALHOST = (x509.DNSName("localhost"),)
Serve = Callable[[socket.socket], None]


@contextmanager
def listening(serve: Serve) -> Iterator[int]:
    """Serve each connection to a port of loopback in a thread, until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


@pytest.fixture(scope="module")
def ca() -> Identity:
    return authority()


@pytest.fixture
def ca_file(ca: Identity, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    file.write_bytes(ca.pem)
    return file


def server_certificate(ca: Identity, folder: Path, **wanted: object) -> ssl.SSLContext:
    """Return a server's context with a certificate of this CA."""
    terms = {
        "names": LOCALHOST,
        "usage": ExtendedKeyUsageOID.SERVER_AUTH,
        "today": datetime.now(UTC),
    } | wanted
    identity = certified("CN=server", ca, **terms)  # type: ignore[arg-type]
    replace_file(folder / "server.pem", [identity.pem, identity.key_pem])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


def over_tls(context: ssl.SSLContext) -> Serve:
    """Answer nothing after the handshake, and read until the client goes."""

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False) as tls:
            with suppress(ssl.SSLError):
                tls.do_handshake()
                while tls.recv(1000):
                    pass
            tls.shutdown(socket.SHUT_WR)
            while socket.socket.recv(tls, 1000):  # what arrives after an alert: closing now would reset it
                pass

    return serve


def reason(port: int, ca_file: Path | None, host: str = "localhost", **settings: object) -> str:
    """Return what a holder is told that asks an issuer at this port for a token."""
    with pytest.raises(Unavailable) as caught:
        TokenClient(
            issuer=f"https://{host}:{port}", client_id="me", client_secret="s", ca=ca_file, **settings
        )()  # type: ignore[arg-type]
    text = str(caught.value)
    start = f"no answer from https://{host}:{port}/.well-known/oauth-authorization-server: "
    assert text.startswith(start)
    return text.removeprefix(start)


def test_a_port_without_a_listener():
    """Nothing listens: that is said, with the place."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        assert reason(port, None) == (
            f"no server listens at localhost:{port}: start it, or correct host and port"
        )


def test_an_unknown_ca(ca, tmp_path):
    """A CA that is not trusted: the option that names one is said."""
    with listening(over_tls(server_certificate(ca, tmp_path))) as port:
        assert reason(port, None) == (
            f"the certificate of localhost:{port} is of no CA that is trusted here: "
            "name the PEM file of its CA (--cacert, or ca= in Python and policy files)"
        )


def test_a_resource_server_is_told_the_same(ca, tmp_path):
    """The connection of a resource server to the service has the same words."""
    trust = ssl.create_default_context()
    with listening(over_tls(server_certificate(ca, tmp_path))) as port:
        request = HttpsRequest(method="GET", url=f"https://localhost:{port}/keys", timeout=60, limit=1000)
        with pytest.raises(Unavailable, match="is of no CA that is trusted here: name the PEM file"):
            Connections(trust).exchange(request)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        pytest.param({"days": (-9, -1)}, "has expired: renew it", id="expired"),
        pytest.param({"days": (5, 9)}, "is not valid yet: set this machine's clock", id="not yet"),
        pytest.param(
            {"names": (x509.DNSName("other"),)}, "is for another name (Hostname mismatch", id="name"
        ),
        pytest.param(
            {"usage": ExtendedKeyUsageOID.CLIENT_AUTH}, "is not valid (unsuitable certificate", id="use"
        ),
    ],
)
def test_a_certificate_that_is_not_valid(ca, ca_file, tmp_path, wanted, words):
    """The reason says what is wrong with the server's certificate."""
    with listening(over_tls(server_certificate(ca, tmp_path, **wanted))) as port:
        assert f"the certificate of localhost:{port} {words}" in reason(port, ca_file)


def test_plain_http_on_the_port(ca_file):
    """A listener without TLS is named as that."""

    def plain(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with listening(plain) as port:
        assert reason(port, ca_file) == (
            f"localhost:{port} does not speak TLS: give the port of its https listener"
        )


def test_a_server_that_hangs_up(ca_file):
    """A connection that ends in the handshake is no riddle."""
    with listening(lambda connection: None) as port:
        assert "ended the connection" in reason(port, ca_file)


def test_a_server_that_does_not_answer(ca, ca_file, tmp_path):
    """A server that stays silent: the time is over, and a firewall is thought of."""
    with listening(over_tls(server_certificate(ca, tmp_path))) as port:
        assert "did not answer in time" in reason(port, ca_file, timeout=0.5)


def test_a_demanded_client_certificate(ca, ca_file, tmp_path):
    """A server that wants a client certificate in the handshake: the options are named."""
    context = server_certificate(ca, tmp_path)
    context.load_verify_locations(ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    with listening(over_tls(context)) as port:
        assert reason(port, ca_file) == (
            f"localhost:{port} demands a client certificate: present one (--cert and --key)"
        )


def test_a_proxy_of_the_environment_that_is_not_there(ca_file, monkeypatch):
    """A dead HTTPS_PROXY is blamed, not the service."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert reason(4, ca_file).startswith("the proxy that HTTPS_PROXY names gives no way to localhost:4: ")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (socket.EAI_NONAME, "no host is named auth: correct the URL, or this machine's DNS"),
        (socket.EAI_AGAIN, "the name of auth:8443 cannot be resolved now: try again"),
    ],
)
def test_a_name_without_an_address(code, words):
    """A name that leads nowhere and a resolver that is away are told apart."""
    carried = requests.ConnectionError(ValueError("urllib3's own", socket.gaierror(code, "libc's words")))
    assert words in failure_in_words(carried, "auth:8443")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(101, os.strerror(101)), "auth:8443 cannot be reached (Network is unreachable): "),
        (ConnectionResetError(104, "reset"), "auth:8443 ended the connection without an answer"),
        (IncompleteRead(b"{"), "auth:8443 ended the connection in the middle of an answer"),
        (ssl.SSLError(1, "[SSL] odd"), "TLS with auth:8443 failed"),
        (ValueError("an odd answer"), "an odd answer"),
        (KeyError(), "KeyError"),
    ],
)
def test_what_else_can_fail(error, words):
    """Of other failures the system's own words are said, and never nothing."""
    assert words in failure_in_words(error, "auth:8443")


def test_errors_that_carry_each_other_end():
    """A circle of errors is walked once."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert failure_in_words(one, "auth") == "one"


def test_an_encrypted_key_names_the_option(tmp_path, ca):
    """A key with a passphrase says which option takes it."""
    mine = certified()
    (tmp_path / "c.pem").write_bytes(mine.pem)
    encrypted = mine.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    replace_file(tmp_path / "c.key", [encrypted])
    with pytest.raises(SettingsError, match=r"give its passphrase [(]--key-passphrase-file"):
        ClientCertificate(tmp_path / "c.pem", tmp_path / "c.key")
    assert ClientCertificate(tmp_path / "c.pem", tmp_path / "c.key", password="x").current()
