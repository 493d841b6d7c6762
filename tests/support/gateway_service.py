"""A gateway that follows a service or asks it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.followed_service import Realm
from tests.support.gateway_process import Answered, Running, gateway
from tests.support.proxy_requests import Asked, nginx
from tests.support.tls_servers import Client

WANTED = '[[rule]]\npath = "/invoices"\nscope = "read"\n[[rule]]\npath = "/health"\npublic = true\n'


def bound(token: str, holder: Client) -> str:
    return attenuate(token, [confirmation(thumbprint_of(DerCertificate(holder.der)))])


def ask(running: Running, token: str, holder: Client) -> Answered:
    return nginx(running, Asked(token=token, certificate=holder.der))


@contextmanager
def following(realm: Realm, **changes: Any) -> Iterator[Running]:
    """Run a gateway that follows the service's keys and revocations."""
    folder = realm.folder / "gateway"
    folder.mkdir(exist_ok=True)
    (folder / "secret").write_text(realm.invoices + "\n")
    service = {
        "issuer": realm.service.issuer,
        "client_id": "invoices",
        "client_secret_file": "secret",
        "certificate": str(realm.certificate),
        "ca": str(realm.service.ca),
        "snapshot": "snapshot.json",
        **changes,
    }
    with gateway(folder, rules=WANTED, keys=None, service=service) as running:
        yield running


@contextmanager
def asking(folder: Path, issuer: str, ca: Path, secret: str, **changes: Any) -> Iterator[Running]:
    """Run a gateway that asks the service about every token."""
    folder.mkdir(exist_ok=True)
    (folder / "secret").write_text(secret)
    settings = {
        "issuer": issuer,
        "client_id": "asker",
        "client_secret_file": "secret",
        "ca": str(ca),
        **changes,
    }
    with gateway(folder, rules=WANTED, keys=None, introspection=settings) as running:
        yield running
