from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.rsa_keys import rsa_key
from tests.support.tls_servers import Client, Server, make_client, running


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Client]:
    """Client certificates of every kind."""
    folder: Path = tmp_path_factory.mktemp("clients")
    authority = make_client(folder, "authority", is_authority=True)
    return {
        "P-256": make_client(folder, "p256"),
        "P-384": make_client(folder, "p384", key=ec.generate_private_key(ec.SECP384R1())),
        "P-521": make_client(folder, "p521", key=ec.generate_private_key(ec.SECP521R1())),
        "RSA": make_client(folder, "rsa", key=rsa_key()),
        "Ed25519": make_client(folder, "ed25519", key=ed25519.Ed25519PrivateKey.generate()),
        "expired": make_client(folder, "expired", days=(-30, -1)),
        "not yet valid": make_client(folder, "future", days=(1, 30)),
        "for servers": make_client(folder, "servers", usage=ExtendedKeyUsageOID.SERVER_AUTH),
        "a CA itself": make_client(folder, "self-ca", is_authority=True),
        "of an unknown CA": make_client(folder, "unknown", issuer=authority),
        "with its CA": make_client(folder, "chain", issuer=authority, chain=(authority,)),
        "expired, of a CA": make_client(folder, "expired-ca", issuer=authority, days=(-30, -1)),
        "20 KB": make_client(folder, "20k", padding=20_000),
        "32 KB": make_client(folder, "32k", padding=32_000),
    }
