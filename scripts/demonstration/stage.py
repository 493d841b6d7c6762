"""The stage: a service, a resource server, certificates, all in a folder that is gone afterwards."""

import io
import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from macaroon_cbat.cli import main


@dataclass(frozen=True, slots=True)
class Stage:
    """The addresses and files of everything that runs."""

    folder: Path
    issuer: str
    api: str

    @property
    def ca(self) -> Path:
        """Return the CA that both servers' certificates are from."""
        return self.folder / "ca.pem"

    @property
    def keys(self) -> str:
        """Return the URL of the keys of the API's audience."""
        return f"{self.issuer}/resource/keys?audience={self.api}"

    def secret(self, client_id: str) -> str:
        """Return the secret of a registered client."""
        return (self.folder / f"{client_id}.secret").read_text().strip()


@contextmanager
def staged(folder: Path) -> Iterator[Stage]:
    """Start the service and the resource server, and end them by process id."""
    issuer, api = (f"https://localhost:{port}" for port in free_ports(2))
    stage = Stage(folder, issuer, api)
    with ExitStack() as stack:
        stack.enter_context(
            _running("macaroon_cbat", "serve", "--data", str(folder), "--port", issuer.rpartition(":")[2])
        )
        for client, options in {"billing": (), "bound": ("--bound",)}.items():
            _command("client", "add", client, "--scope", "read write", "--audience", api, *options,
                     "--secret-file", str(folder / f"{client}.secret"), "--data", str(folder))  # fmt: skip
        _command("client", "add", "elsewhere", "--scope", "read", "--audience", "https://other.example",
                 "--secret-file", str(folder / "elsewhere.secret"), "--data", str(folder))  # fmt: skip
        _command("client", "add", "curious", "--scope", "keys", "--audience", api, "--serves", "https://other.example",
                 "--secret-file", str(folder / "curious.secret"), "--data", str(folder))  # fmt: skip
        keys = str(folder / "keys.json")
        _command("key", "export", "--audience", api, "--output", keys, "--data", str(folder))
        files = (str(folder / "server.pem"), str(folder / "server.key"))
        stack.enter_context(_running("demonstration.resource_server", keys, api.rpartition(":")[2], *files))
        yield stage


def write_certificate(file: Path, name: str) -> None:
    """Write a new self-signed certificate, and its key beside it as .key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    private = key.private_bytes(pem, pkcs8, serialization.NoEncryption())
    with open(file.with_suffix(".key"), "wb", opener=_private) as stream:  # private under any umask
        stream.write(private)
    file.write_bytes(certificate.public_bytes(pem))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def free_ports(count: int) -> list[int]:
    """Return ports that no process listens on, below those that the kernel gives to connections."""
    found: list[int] = []
    for port in random.sample(range(20_000, 32_000), 1_000):
        with suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            found.append(port)
        if len(found) == count:
            break
    return found


def _command(*arguments: str) -> None:
    """Run a command quietly in this process, which need not start another one; raise what it raises."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        main(arguments, prog_name="macaroon-cbat", standalone_mode=False)


@contextmanager
def _running(module: str, *arguments: str) -> Iterator[None]:
    """Run a server until the block ends; it is ready when it prints its first line."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise RuntimeError(f"{module} did not start: {process.communicate()[1]}")
            yield
        finally:
            process.terminate()
            process.communicate()
