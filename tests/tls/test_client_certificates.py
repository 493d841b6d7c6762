import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.tls_servers import Client, Server, ask, make_client

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
KINDS = [
    "P-256", "P-384", "P-521", "RSA", "Ed25519", "expired", "not yet valid", "for servers", "a CA itself",
    "of an unknown CA", "with its CA", "expired, of a CA", "20 KB", "32 KB",
]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_any_certificate_is_shown(
    server: Server, clients: dict[str, Client], kind: str, version: ssl.TLSVersion
) -> None:
    """The application sees exactly the DER bytes of the client's certificate, of whatever kind it is."""
    context = server.context(clients[kind], version)
    assert server.ask(context=context).json()["certificate"] == clients[kind].der.hex()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("length", [0, 1, 2, 8, 9, 20])
def test_what_else_a_client_sends_is_shown(
    server: Server, tmp_path: Path, version: ssl.TLSVersion, length: int
) -> None:
    """The application sees the first eight certificates that come beside the client's own, in their order."""
    links = [make_client(tmp_path, f"link {number}", is_authority=True) for number in range(length)]
    shown = make_client(tmp_path, "shown", chain=tuple(links))
    answer = server.ask(context=server.context(shown, version)).json()
    assert answer["certificate"] == shown.der.hex()
    assert answer["intermediates"] == [link.der.hex() for link in links[:8]]


@pytest.mark.parametrize("version", VERSIONS)
def test_no_certificate_is_none(server: Server, version: ssl.TLSVersion) -> None:
    """A client without a certificate is served, and the application sees None."""
    answer = server.ask(context=server.context(version=version)).json()
    assert (answer["certificate"], answer["intermediates"]) == (None, [])


def test_every_request_of_a_connection_shows_it(server: Server, clients: dict[str, Client]) -> None:
    """The certificate belongs to the connection, so each of its requests shows it."""
    with server.connect(server.context(clients["P-256"])) as connection:
        shown = {ask(connection).json()["certificate"] for _ in range(3)}
    assert shown == {clients["P-256"].der.hex()}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stolen_certificate_is_refused(
    server: Server, clients: dict[str, Client], tmp_path: Path, version: ssl.TLSVersion
) -> None:
    """A client that holds a certificate but not its key does not get through the handshake."""
    context = server.context(version=version)
    victim = clients["P-256"]
    context.load_cert_chain(_with_another_key(victim, tmp_path))
    # TLS 1.3 tells the client only when it reads.
    with pytest.raises(ssl.SSLError, match=r"DECRYPT_ERROR|decrypt error"):
        server.ask(context=context)


def _with_another_key(victim: Client, folder: Path) -> Path:
    """Write the victim's certificate with a key whose public half is the victim's and whose secret is not."""
    own = ec.generate_private_key(ec.SECP256R1())
    point = victim.certificate.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    secret = own.private_numbers().private_value.to_bytes(32)
    sec1 = (
        bytes.fromhex("30770201010420") + secret
        + bytes.fromhex("a00a06082a8648ce3d030107a144034200") + point
    )  # fmt: skip
    path = folder / "stolen.pem"
    key = ssl.DER_cert_to_PEM_cert(sec1).replace("CERTIFICATE", "EC PRIVATE KEY")
    path.write_text(key + ssl.DER_cert_to_PEM_cert(victim.der))
    return path
