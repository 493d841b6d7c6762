"""The parts of all stands: certificates of servers and clients, and the server that shows what arrives."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme
from cryptography.hazmat.primitives.asymmetric import ed25519

from macaroon_cbat.certificate.thumbprint import DerCertificate, thumbprint_of
from macaroon_cbat.macaroon.caveats import Caveat, confirmation
from tests.support.proxies.showing_upstream import Showing, showing_upstream
from tests.support.rsa_keys import rsa_key
from tests.support.tls_servers import Client, make_client
from tests.support.tokens import token


@dataclass
class World:
    """The parts that all deployments share: certificates, and the server that shows what arrives."""

    folder: Path
    upstream: Showing
    holders: dict[str, Client] = field(default_factory=dict)

    @property
    def ca(self) -> Path:
        """The CA of the proxies' certificate."""
        return self.folder / "ca.pem"

    def bound(self, kind: str = "self-signed", *caveats: Caveat, **changes: object) -> str:
        """Return a token bound to the certificate of this kind, restricted further by caveats."""
        now = int(time.time())
        der = DerCertificate(self.holders[kind].der)
        return token(confirmation(thumbprint_of(der)), *caveats, iat=now, exp=now + 600, **changes)

    def unbound(self) -> str:
        """Return a token without a confirmation."""
        now = int(time.time())
        return token(iat=now, exp=now + 600)


@contextmanager
def make_world(folder: Path) -> Iterator[World]:
    """Make the certificates, and run the upstream until the block ends."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server = authority.issue_cert("localhost")
    server.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    client_ca = make_client(folder, "client-ca", is_authority=True)
    holders = {
        "self-signed": make_client(folder, "self-signed"),
        "thief": make_client(folder, "thief"),
        "CA-signed": make_client(folder, "of-a-ca", issuer=client_ca),
        "expired": make_client(folder, "expired", days=(-30, -1)),
        "RSA": make_client(folder, "rsa", key=rsa_key()),
        "Ed25519": make_client(folder, "ed25519", key=ed25519.Ed25519PrivateKey.generate()),
    }
    with TemporaryDirectory() as public:
        # Apache's workers are another user, who cannot enter a folder of the tests.
        Path(public).chmod(0o711)
        socket = Path(public) / "upstream.sock"
        with showing_upstream(socket) as upstream:
            yield World(folder, upstream, holders)
