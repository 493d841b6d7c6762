"""A process of the token service of the client's tests."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from macaroon_cbat.client import TokenClient


@dataclass(frozen=True)
class Server:
    """The running application of these tests."""

    port: int
    ca: Path

    def url(self, path: str, host: str = "localhost") -> str:
        """Return the URL of a path; 127.0.0.1 is the same server and another origin."""
        return f"https://{host}:{self.port}{path}"

    def asked(self, temper: str) -> list[dict[str, Any]]:
        """Return what an issuer's token endpoint was asked."""
        found: list[dict[str, Any]] = self._get(f"/{temper}/asked")
        return found

    def revoke(self, token_id: str) -> None:
        """Make the resource server refuse a token from now on."""
        self._get(f"/revoke?jti={token_id}")

    def client(self, temper: str, **settings: Any) -> TokenClient:
        """Return a client of the issuer of this temper."""
        settings = {"client_id": "billing", "client_secret": "s3cret", "ca": self.ca, **settings}
        return TokenClient(issuer=self.url(f"/{temper}"), **settings)

    def _get(self, path: str) -> Any:
        with httpx.Client(verify=ssl.create_default_context(cafile=self.ca)) as client:
            return client.get(self.url(path)).json()
