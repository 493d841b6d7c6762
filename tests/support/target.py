"""The target of the attacks."""

from dataclasses import dataclass
from typing import Any

from macaroon_cbat import Caveat, Thumbprint, confirmation, thumbprint_of
from macaroon_cbat.certificate.thumbprint import DerCertificate
from tests.support.tls_servers import Answer, Client, Server
from tests.support.tokens import token

FAR = 4_102_444_800


@dataclass
class Target:
    """A guarded resource server over TLS, an honest holder and a thief with a certificate of his own."""

    server: Server
    holder: Client
    thief: Client

    def token(self, *caveats: Caveat, **changes: Any) -> str:
        """Return an unbound token of the holder's that lives for long."""
        return token(*caveats, **{"exp": FAR, **changes})

    def bound(self, *caveats: Caveat, **changes: Any) -> str:
        """Return a token bound to the holder's certificate."""
        return self.token(confirmation(self.thumbprint(self.holder)), *caveats, **changes)

    def thumbprint(self, client: Client) -> Thumbprint:
        """Return what a token is bound to."""
        return thumbprint_of(DerCertificate(client.der))

    def call(
        self, text: str | None, client: Client | None, path: str = "/invoices", **options: Any
    ) -> Answer:
        """Send one request over a new connection made with this certificate."""
        headers = {**options.pop("headers", {})}
        if text is not None:
            headers["Authorization"] = f"Bearer {text}"
        return self.server.ask(path, self.server.context(client), headers=headers, **options)
