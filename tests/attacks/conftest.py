from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from macaroon_cbat import Caveat, Thumbprint, confirmation, thumbprint_of
from macaroon_cbat.certificate.thumbprint import DerCertificate
from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.service_process import resource_server
from tests.support.tls_servers import Answer, Client, Server, make_client
from tests.support.tokens import KEYS, token

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


@pytest.fixture(scope="session")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder: Path = tmp_path_factory.mktemp("attacks")
    keys = folder / "keys.json"
    keys.write_bytes(write_key_file(KEYS))
    keys.chmod(0o600)
    with resource_server(folder / "api", keys=keys) as server:
        yield Target(server, make_client(folder, "holder"), make_client(folder, "thief"))
