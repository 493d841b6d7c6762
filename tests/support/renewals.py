"""Server certificates of a CA of the tests, and the ways in which operators and their tools replace them."""

import os
import signal
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support.tls_servers import Server, running, wait_until

CA = trustme.CA()
NOW = datetime.now(UTC)
KEPT = "keeping the server certificate read before"


@dataclass(frozen=True)
class Pair:
    """A certificate chain and its key, as PEM."""

    certificate: bytes
    key: bytes

    @property
    def der(self) -> bytes:
        """The fingerprint of the certificate, as a client sees it."""
        return x509.load_pem_x509_certificate(self.certificate).public_bytes(Encoding.DER)

    @property
    def expires(self) -> int:
        """The time of its expiry, in seconds since the epoch."""
        return int(x509.load_pem_x509_certificate(self.certificate).not_valid_after_utc.timestamp())


def new_pair(days: tuple[int, int] = (-1, 30)) -> Pair:
    """Return a pair for localhost that no other test has."""
    start, end = (NOW + timedelta(days=day) for day in days)
    return pair_until(end, start)


def pair_until(end: datetime, start: datetime) -> Pair:
    """Return a pair for localhost that is valid from then to then."""
    issued = CA.issue_cert("localhost", "127.0.0.1", not_before=start, not_after=end)
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems) + CA.cert_pem.bytes()
    return Pair(chain, issued.private_key_pem.bytes())


def encrypted(key: bytes, passphrase: bytes = b"passphrase") -> bytes:
    """Return the key with a passphrase."""
    encryption = BestAvailableEncryption(passphrase)
    return load_pem_private_key(key, None).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@dataclass
class Renewed:
    """A running server whose files a test replaces."""

    server: Server
    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """Return a client's context that trusts the CA of these tests alone."""
        context = ssl.create_default_context()
        CA.configure_trust(context)
        return context

    def presented(self) -> set[bytes]:
        """Return the certificates that many new connections meet, in all workers."""
        found: set[bytes] = set()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # it accepts an expired one too
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for _ in range(12):
            with self.server.connect(context) as connection:
                der = connection.getpeercert(True)
                assert der is not None
                found.add(der)
        return found

    def await_pair(self, pair: Pair) -> None:
        """Wait until every new connection gets this pair."""
        wait_until(lambda: self.presented() == {pair.der}, pause=0.15)

    def hang_up(self) -> None:
        """Do what `systemctl reload` and logrotate do."""
        self.server.process.send_signal(signal.SIGHUP)

    def await_log(self, text: str, count: int = 1) -> None:
        """Wait until this was logged so many times."""
        wait_until(lambda: self.server.log().count(text) >= count)

    def hang_up_and_wait(self) -> None:
        """Wait until every worker has read its files again."""
        hang_up_each([self])

    @property
    def workers(self) -> int:
        """The number of processes that serve."""
        return len(self.children()) or 1

    def children(self) -> list[int]:
        """Return the worker processes of the parent; none when it serves alone."""
        pid = self.server.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def hang_up_each(all_served: Collection[Renewed]) -> None:
    """Wait until every worker of all these servers has read its files again."""
    heard = [served.server.log().count("hangup in") for served in all_served]
    for served in all_served:
        served.hang_up()
    for served, before in zip(all_served, heard, strict=True):
        served.await_log("hangup in", before + served.workers)


@contextmanager
def serving(folder: Path, pair: Pair, place: "Place | None" = None, **settings: Any) -> Iterator[Renewed]:
    """Run a server with this pair until the block ends."""
    certificate, key = (place or in_folder)(folder, pair)
    with running(folder, certificate=str(certificate), key=str(key), **settings) as server:
        yield Renewed(server, certificate, key)


@contextmanager
def serving_each(
    folder: Path, pair: Pair, places: "Mapping[str, Place]", **settings: Any
) -> Iterator[dict[str, Renewed]]:
    """Run a server of each name until the block ends: what each does once a second, they do together."""
    with ExitStack() as stack:
        served = {}
        for name, place in places.items():
            (folder / name).mkdir()
            served[name] = stack.enter_context(serving(folder / name, pair, place, **settings))
        yield served


Place = Callable[[Path, Pair], tuple[Path, Path]]
Replace = Callable[[Renewed, Pair], None]


def in_folder(folder: Path, pair: Pair) -> tuple[Path, Path]:
    """Lay the pair down as two plain files."""
    certificate, key = folder / "tls.crt", folder / "tls.key"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    return certificate, key


def behind_data(folder: Path, pair: Pair) -> tuple[Path, Path]:
    """Lay the pair down as Kubernetes mounts a secret: links through `..data` to a folder of this version."""
    _write_version(folder, pair, "..1")
    for name in ("tls.crt", "tls.key"):
        (folder / name).symlink_to(f"..data/{name}")
    return folder / "tls.crt", folder / "tls.key"


def _write_version(folder: Path, pair: Pair, version: str) -> None:
    (folder / version).mkdir(mode=0o700)
    in_folder(folder / version, pair)
    (folder / "..data_tmp").symlink_to(version)
    (folder / "..data_tmp").replace(folder / "..data")


def by_data_link(served: Renewed, pair: Pair) -> None:
    """Replace the pair as Kubernetes does."""
    _write_version(served.key.parent, pair, "..2")


def by_rename(served: Renewed, pair: Pair) -> None:
    """Replace each file by another one that takes its name, the key first."""
    for file, content in ((served.key, pair.key), (served.certificate, pair.certificate)):
        draft = file.with_suffix(".new")
        draft.write_bytes(content)
        draft.replace(file)


def by_link(served: Renewed, pair: Pair) -> None:
    """Let both names be links to other files, as certbot does in its `live` folder."""
    for file, content in ((served.certificate, pair.certificate), (served.key, pair.key)):
        archived = file.with_name(f"archived-{file.name}")
        archived.write_bytes(content)
        link = file.with_suffix(".link")
        link.symlink_to(archived)
        link.replace(file)


def in_place(served: Renewed, pair: Pair) -> None:
    """Write over both files, the certificate first."""
    served.certificate.write_bytes(pair.certificate)
    served.key.write_bytes(pair.key)


def with_old_times(served: Renewed, pair: Pair) -> None:
    """Replace the files as `cp --preserve` or `tar` do, which set their times back."""
    by_rename(served, pair)
    for file in (served.key, served.certificate):
        os.utime(file, (1, 1))
