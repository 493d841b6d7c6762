"""A service with a holder, an operator, and resource servers that follow its feeds."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client import requests as for_requests
from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from macaroon_cbat.resource import ServiceConnection
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.holders import House
from tests.support.ports import free_port
from tests.support.service_process import API, Service
from tests.support.tls_servers import Server, make_client, wait_until


class Realm:
    """A service of its own, a holder, and a resource server that follows the service's feeds."""

    def __init__(self, folder: Path, database: Mapping[str, str], gate: int | None = None) -> None:
        """Register everybody; nothing runs yet."""
        self.folder = folder
        development_certificates(folder / "data")
        self.service = Service(folder / "data", free_port(), database, gate)
        self.service.prepare()
        self.certificate = make_client(folder, "invoices").file
        self.billing = self.service.add("billing", "--scope", "read", "--audience", API)
        self.ops = self.service.add("ops", "--scope", "admin")
        self.invoices = self.service.add("invoices", "--scope", "keys revocations", "--serves", API)

    @property
    def following(self) -> dict[str, Any]:
        """The settings of a resource server that follows."""
        connection = {"issuer": self.service.issuer, "client_id": "invoices", "client_secret": self.invoices}
        files = {"certificate": self.certificate, "ca": self.service.ca}
        return {**connection, **files, "audience": API, "snapshot": self.folder / "snapshot.json"}

    def connection(self) -> ServiceConnection:
        """Return the connection of one more follower."""
        files = {"certificate": self.certificate, "ca": self.service.ca}
        return ServiceConnection(self.service.issuer, "invoices", self.invoices, timeout=60, **files)

    def token(self) -> str:
        """Return a new token."""
        return self.service.client("billing", self.billing, resource=API)()

    def operator(self) -> requests.Session:
        """Return what administers over HTTP."""
        tokens = self.service.client("ops", self.ops, resource=self.service.issuer)
        auth = for_requests.MacaroonAuth(tokens, ClientCertificate(self.certificate))
        return for_requests.certificate_session(auth, self.service.ca)

    def revoke(self, kind: str, value: str) -> None:
        """Revoke something, registered or not, on the command line."""
        self.service.command("revoke", "--force", kind, value)


@contextmanager
def caller(server: Server, token: str, house: House, kind: str = "P-256") -> Iterator[Any]:
    """Give a call to the resource server over one kept connection, with children of the token."""
    auth = for_requests.MacaroonAuth(token, house.certificate(kind))
    with for_requests.certificate_session(auth, server.folder / "ca.pem") as session:
        yield lambda: session.get(f"https://localhost:{server.port}/invoices", timeout=60).status_code


def passes(call: Callable[[], int]) -> None:
    """Wait until a follower lets this call pass: 503 is its answer until it has read the feeds once."""
    wait_until(lambda: call() != 503)
    assert call() == 200


def jti_of(token: str) -> str:
    return read_identifier(read_macaroon(token).identifier).jti
