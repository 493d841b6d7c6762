"""The certificates beside a client's own, where a server shows them."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from macaroon_cbat.certificate.chains import CHAINS
from macaroon_cbat.certificate.formats import FORMATS
from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.source import intermediates_of, tls_connection
from macaroon_cbat.certificate.wsgi_connection import PEER_CERTIFICATE, PEER_INTERMEDIATES, WsgiConnection
from macaroon_cbat.errors import AmbiguousHeader
from tests.support.certificate_spellings import base64_of, escaped_pem, hex_hash, make_certificate
from tests.support.tls_servers import Client, make_client
from tests.support.tokens import came_from as at

LEAF, MIDDLE, ROOT = (make_certificate(name) for name in ("leaf", "middle", "root"))
SPELLED = {
    "rfc9440": f":{base64_of(MIDDLE)}:, :{base64_of(ROOT)}:",
    "envoy": f'Hash={hex_hash(LEAF)};Chain="{"".join(map(escaped_pem, (LEAF, MIDDLE, ROOT)))}"',
    "kong": "".join(map(escaped_pem, (LEAF, MIDDLE, ROOT))),
    "traefik": ",".join(map(base64_of, (LEAF, MIDDLE, ROOT))),
    "traefik2": ",".join(map(base64_of, (LEAF, MIDDLE, ROOT)))
    .replace("+", "%2B").replace("/", "%2F").replace("=", "%3D"),
    "aws-alb-passthrough": "".join(map(escaped_pem, (LEAF, MIDDLE, ROOT)))
    .replace("%2B", "+").replace("%2F", "/").replace("%3D", "="),
}  # fmt: skip
SERVER = {"SERVER_SOFTWARE": "gunicorn/27.0.1"}
UNIX, STRANGER = at("localhost", None), at("192.0.2.7")


def key_of(name: str) -> str:
    """Return the environment key of the header that a format's chain is in."""
    header = CHAINS[name].header or FORMATS[name].header
    return "HTTP_" + header.upper().replace("-", "_")


def test_every_chain_is_of_a_format():
    """Every chain belongs to a format, and is spelled here."""
    assert CHAINS.keys() == SPELLED.keys() <= FORMATS.keys()


@pytest.mark.parametrize("name", CHAINS)
def test_the_chain_of_a_proxy_is_read(name):
    """Certificates that a trusted proxy sends beside the client's own are found; from others, none are."""
    source = Forwarded(name, trust=trusted_proxies(["unix"]))
    headers = {key_of(name): SPELLED[name]}
    assert intermediates_of(source, WsgiConnection(SERVER | UNIX | headers)) == (MIDDLE, ROOT)
    assert intermediates_of(source, WsgiConnection(SERVER | STRANGER | headers)) == ()
    assert intermediates_of(source, WsgiConnection(SERVER | UNIX)) == ()


@pytest.mark.parametrize("value", ["x", ",", "a,b", "::", ":AAAA:", '"', "A" * 65_537])
@pytest.mark.parametrize("name", CHAINS)
def test_what_is_no_chain_is_refused(name, value):
    """A value that the product does not write as a chain is refused with AmbiguousHeader."""
    source = Forwarded(name, trust=trusted_proxies(["unix"]))
    with pytest.raises(AmbiguousHeader):
        intermediates_of(source, WsgiConnection(SERVER | UNIX | {key_of(name): value}))


def test_an_empty_client_cert_chain_is_none():
    """An empty Client-Cert-Chain is no certificate, and Envoy's without a Chain is none either."""
    trust = trusted_proxies(["unix"])
    empty = WsgiConnection(SERVER | UNIX | {"HTTP_CLIENT_CERT_CHAIN": ""})
    assert intermediates_of(Forwarded("rfc9440", trust=trust), empty) == ()
    hashed = WsgiConnection(SERVER | UNIX | {"HTTP_X_FORWARDED_CLIENT_CERT": f"Hash={hex_hash(LEAF)}"})
    assert intermediates_of(Forwarded("envoy", trust=trust), hashed) == ()


def test_the_proxy_may_write_the_chain_s_header():
    """The header of the chain is one of those that a proxy writes, so that a server behind it keeps them."""
    source = Forwarded("rfc9440", trust=trusted_proxies(["unix"]))
    assert source.headers == ("Client-Cert", "Client-Cert-Chain")


def test_the_chain_is_no_certificate():
    """A chain without a certificate is none, and a format without one never looks for it."""
    chain = {"HTTP_CLIENT_CERT_CHAIN": SPELLED["rfc9440"]}
    trust = trusted_proxies(["unix"])
    connection = WsgiConnection(SERVER | UNIX | chain | {"HTTP_CLIENT_CERT": "::"})
    assert Forwarded("rfc9440", trust=trust)(connection).thumbprint is None
    assert intermediates_of(Forwarded("haproxy", trust=trust), connection) == ()


def test_the_embedded_server_shows_them():
    """Intermediates that the embedded server shows are found beside a client's certificate; text is none."""
    environ = {PEER_CERTIFICATE: LEAF, PEER_INTERMEDIATES: (MIDDLE,)}
    assert intermediates_of(tls_connection, WsgiConnection(environ)) == (MIDDLE,)
    assert intermediates_of(tls_connection, WsgiConnection({PEER_CERTIFICATE: LEAF})) == ()
    assert (
        intermediates_of(tls_connection, WsgiConnection({PEER_CERTIFICATE: LEAF, PEER_INTERMEDIATES: "x"}))
        == ()
    )
    assert intermediates_of(tls_connection, WsgiConnection({PEER_INTERMEDIATES: (MIDDLE,)})) == ()


def test_a_source_of_one_s_own_has_none():
    """A source that knows certificates alone has no others, whatever the connection shows."""
    connection = WsgiConnection({PEER_CERTIFICATE: LEAF, PEER_INTERMEDIATES: (MIDDLE,)})
    assert intermediates_of(lambda connection: tls_connection(connection), connection) == ()  # noqa: PLW0108 # another one


@contextmanager
def connected(server: ssl.SSLContext, client: ssl.SSLContext) -> Iterator[ssl.SSLSocket]:
    """Give the server's end of a TLS connection."""
    one, other = socket.socketpair()

    def shake() -> None:
        with client.wrap_socket(other, server_hostname="localhost") as connection:
            connection.recv(1)

    thread = Thread(target=shake)
    thread.start()
    with server.wrap_socket(one, server_side=True) as connection:
        yield connection
        connection.sendall(b"x")
    thread.join()


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("is_silent", [False, True], ids=["with a chain", "without a certificate"])
def test_servers_with_python_s_tls_show_them(tmp_path: Path, key, version, is_silent):
    """Certificates that a client sends beside its own are found where a server shows its `ssl` connection."""
    root = make_client(tmp_path, "root", is_authority=True)
    middle = make_client(tmp_path, "middle", issuer=root, is_authority=True)
    leaf = make_client(tmp_path, "leaf", issuer=middle, chain=(middle,))
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server.load_cert_chain(make_client(tmp_path, "server").file)
    server.verify_mode = ssl.CERT_OPTIONAL
    server.load_verify_locations(root.file)
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.minimum_version = client.maximum_version = version
    expected: tuple[Client, ...] = ()
    if not is_silent:
        client.load_cert_chain(leaf.file)
        expected = (middle,)
    with connected(server, client) as accepted:
        connection = WsgiConnection({key: accepted})
        assert connection.certificate() == (None if is_silent else leaf.der)
        assert connection.intermediates() == tuple(one.der for one in expected)
