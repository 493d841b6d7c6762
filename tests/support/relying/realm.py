"""The service and the clients of resource servers of others."""

from dataclasses import dataclass, field

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import confirmation
from macaroon_cbat.macaroon.minting import attenuate
from tests.support.service_process import API, Service
from tests.support.tls_servers import Client


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
