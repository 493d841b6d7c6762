"""Servers, clients and certificates of these tests. Everything stays on loopback."""

import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support import fork_server
from tests.support.patience import SECONDS

ROOT = Path(__file__).parents[2]
DAY = timedelta(days=1)
FILLER = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")


@dataclass
class Server:
    """One running server process."""

    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    def context(
        self, client: "Client | None" = None, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """Return a client's context that trusts this server's CA only."""
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if client is not None:
            context.load_cert_chain(client.file)
        return context

    def connect(self, context: ssl.SSLContext | None = None, **options: Any) -> ssl.SSLSocket:
        """Return a new TLS connection to it."""
        sock = socket.create_connection(("127.0.0.1", self.port), SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return (context or self.context()).wrap_socket(sock, server_hostname="localhost", **options)
        except BaseException:
            sock.close()
            raise

    def ask(self, path: str = "/", context: ssl.SSLContext | None = None, **options: Any) -> "Answer":
        """Send one request over a new connection."""
        with self.connect(context) as connection:
            return ask(connection, path, **options)

    def stop(self) -> int:
        """Ask it to stop; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)

    def log(self) -> str:
        """Return what it has logged so far."""
        return (self.folder / "log").read_text()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as what it spells."""
        return json.loads(self.body)


def ask(sock: ssl.SSLSocket, path: str = "/", method: str = "GET", **options: Any) -> Answer:
    """Send one request over this connection, which stays open."""
    connection = HTTPConnection("localhost")
    connection.sock = sock
    connection.request(method, path, **options)
    return read_answer(connection.getresponse())


def read_answer(response: HTTPResponse) -> Answer:
    body = response.read()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def speak(sock: ssl.SSLSocket, data: bytes) -> Answer:
    """Send these very bytes, and read one answer."""
    sock.sendall(data)
    response = HTTPResponse(sock)
    response.begin()
    return read_answer(response)


def read_to_end(sock: socket.socket) -> bytes:
    """Return everything until the peer closes."""
    pieces = []
    while piece := sock.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


@contextmanager
def running(folder: Path, **settings: Any) -> Iterator[Server]:
    """Run a server process until the block ends."""
    process, line = start(folder, **settings)
    try:
        assert line.startswith("ready "), line
        yield Server(process, int(line.split()[1]), folder)
    finally:
        end(process)


def start(folder: Path, **settings: Any) -> tuple[subprocess.Popen[bytes], str]:
    """Start a server process; return it and the first line that it says."""
    argument = json.dumps({"folder": str(folder), **settings})
    with (folder / "log").open("ab") as log:
        process = fork_server.Popen(
            [sys.executable, "-m", "tests.support.tls_process", argument],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            # As if it had a terminal of its own, so that a test can press Ctrl-C.
            start_new_session=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
    try:
        return process, next_line(process)
    except BaseException:
        end(process)
        raise


def next_line(process: subprocess.Popen[bytes]) -> str:
    """Return the next line that a process says, without waiting for ever."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], SECONDS)
    assert ready, "the process says nothing"
    line = process.stdout.readline().decode()
    assert line, "the process has ended"
    return line.strip()


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that this test has started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert process.stdout is not None
    process.stdout.close()


PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


@dataclass
class Client:
    """A client's certificate and key, in one PEM file."""

    certificate: x509.Certificate
    key: PrivateKey
    file: Path

    @property
    def der(self) -> bytes:
        """Return what the server must see."""
        return self.certificate.public_bytes(serialization.Encoding.DER)


def make_client(
    folder: Path,
    name: str,
    *,
    key: PrivateKey | None = None,
    issuer: Client | None = None,
    chain: tuple[Client, ...] = (),
    days: tuple[int, int] = (-1, 30),
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    is_authority: bool = False,
    padding: int = 0,
) -> Client:
    """Make a client certificate of any kind, self-signed without an issuer."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, key, issuer, days)
    builder = builder.add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    if not is_authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if padding:
        builder = builder.add_extension(x509.UnrecognizedExtension(FILLER, b"\x00" * padding), critical=False)
    signer = issuer.key if issuer else key
    digest = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    certificate = builder.sign(signer, digest)
    file = folder / f"{name}.pem"
    file.write_bytes(_pem(key, certificate, *(link.certificate for link in chain)))
    return Client(certificate, key, file)


def _builder(
    name: str, key: PrivateKey, issuer: Client | None, days: tuple[int, int]
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
    )


def _pem(key: PrivateKey, *certificates: x509.Certificate) -> bytes:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def wait_until(holds: Callable[[], bool], pause: float = 0.01) -> None:
    """Look again and again until it holds, with this pause between; fail when it never does."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(pause)
