from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.minting import attenuate
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.service_process import API, Service, free_port
from tests.support.tls_servers import Client, make_client


@dataclass
class Realm:
    """A running service, a holder and a thief with their certificates, and the secrets of the clients."""

    service: Service
    holder: Client
    thief: Client
    secrets: dict[str, str] = field(default_factory=dict)

    def add_resource_server(self, name: str, *options: str) -> None:
        """Register a resource server of the one audience."""
        self.secrets[name] = self.service.add(name, "--serves", API, *options)

    def token(self, scope: str = "read") -> str:
        """Return a new token of the holder, unbound."""
        return self.service.client("billing", self.secrets["billing"], resource=API, scope=scope)()

    def child(self, token: str | None = None) -> str:
        """Return a child that is bound to the holder's certificate, which a thief may have."""
        return self.child_of(self.holder, token)

    def child_of(self, client: Client, token: str | None = None) -> str:
        """Return a child that is bound to the certificate of this client."""
        thumbprint = thumbprint_of(DerCertificate(client.der))
        return attenuate(token or self.token(), [confirmation(thumbprint)])


@pytest.fixture(scope="package")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    """Run the real service; `plain` and `promising` differ in what they say that they compare."""
    folder = tmp_path_factory.mktemp("relying")
    development_certificates(folder / "data")
    service = Service(folder / "data", free_port())
    realm = Realm(service, make_client(folder, "holder"), make_client(folder, "thief"))
    service.prepare()
    realm.secrets["billing"] = service.add("billing", "--scope", "read write", "--audience", API)
    realm.add_resource_server("plain")
    realm.add_resource_server("promising", "--checks-certificates")
    with service.running():
        yield realm
