"""A service process with a resource server registered at it, and feeds that follow it."""

import json
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.resource import KeyFeed, RevocationFeed, ServiceConnection
from tests.support.guarded_app import CERTIFICATE
from tests.support.service_process import API, Service, in_process
from tests.support.tls_servers import Client

BOUND = confirmation(thumbprint_of(DerCertificate(CERTIFICATE)))
KNOWS = ("--scope", "keys revocations", "--serves", API)


@dataclass
class Feeding:
    """The service, and the certificate and secrets of those who ask it."""

    service: Service
    holder: Client
    secrets: dict[str, str]
    followers: list[RevocationFeed] = field(default_factory=list)

    def stop(self) -> None:
        """Stop the feeds that were given out, or they ask on until the process ends."""
        for feed in self.followers:
            feed.stop()

    def register(self) -> None:
        """Register a holder, resource servers, and one that may do nothing here."""
        self.service.prepare()
        by_certificate = ("--auth", "self_signed_tls_client_auth", "--certificate", self.holder.file)
        for name, *options in (
            ("billing", "--scope", "read write", "--audience", API),
            ("invoices", *KNOWS),
            ("certified", *KNOWS, *by_certificate),
            ("bound", *KNOWS, "--bound"),
            ("elsewhere", "--scope", "keys revocations", "--serves", "https://other.example"),
            ("reporting", "--scope", "read", "--audience", API),
        ):
            self.secrets[name] = self.service.add(name, *options)

    def connection(self, name: str = "invoices", **changes: Any) -> ServiceConnection:
        """Return the connection of a resource server."""
        settings = {"certificate": self.holder.file, "ca": self.service.ca, **changes}
        issuer = settings.pop("issuer", self.service.issuer)
        return ServiceConnection(issuer, name, self.secrets[name] or None, **settings)

    def keys(self, name: str = "invoices", **changes: Any) -> KeyFeed:
        """Return a new feed of the keys."""
        return KeyFeed(self.connection(name), changes.pop("audience", API), **changes)

    def revocations(self, name: str = "invoices", **changes: Any) -> RevocationFeed:
        """Return a new feed of what is revoked, which is stopped before the service ends."""
        feed = RevocationFeed(self.connection(name), **({"monotonic": slowly} | changes))
        self.followers.append(feed)
        return feed

    def token(self) -> str:
        """Return a new token of the holder, bound to CERTIFICATE."""
        return attenuate(self.service.client("billing", self.secrets["billing"], resource=API)(), [BOUND])

    def revoke(self, kind: str, value: str) -> None:
        """Revoke something, registered or not, in another process's stead."""
        in_process("revoke", "--force", kind, value, "--data", self.service.data)

    def rotate(self) -> str:
        """Let the next key mint; return its name."""
        kid: str = json.loads(in_process("key", "rotate", "--data", self.service.data, "--json"))["kid"]
        return kid


def slowly() -> float:
    """Tell a time that passes thirty times slower, as do the 2 s for which the first feed is waited for."""
    return time.monotonic() / 30


def copy_of(file: Path, to: Path) -> Path:
    """Copy a file, private as it was."""
    shutil.copyfile(file, to)
    to.chmod(0o600)
    return to
