"""Keys and signatures that an attacker may forge prove no client."""

import subprocess
import time
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from macaroon_cbat.errors import InvalidClient
from macaroon_cbat.service.oauth2.client_certificates import ClientTrust
from macaroon_cbat.service.oauth2.key_strength import weakness_of
from tests.support.certificates import Identity, authority, certified
from tests.support.command_line import call, complaint, members, with_database
from tests.support.databases import NOW
from tests.support.service import GRANT_TYPE, client_metadata, refused

DN = "CN=billing,O=Example"
MAKE = {
    "RSA of 1,024 bits": lambda: rsa.generate_private_key(65537, 1024),
    "RSA of 2,047 bits": lambda: rsa.generate_private_key(65537, 2047),
    "DSA": lambda: dsa.generate_private_key(1024),
    "P-192": lambda: ec.generate_private_key(ec.SECP192R1()),
    "RSA of 2,048 bits": lambda: rsa.generate_private_key(65537, 2048),
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "P-224": lambda: ec.generate_private_key(ec.SECP224R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "Ed448": ed448.Ed448PrivateKey.generate,
}
WEAK = ("RSA of 1,024 bits", "RSA of 2,047 bits", "DSA", "P-192")
STRONG = tuple(kind for kind in MAKE if kind not in WEAK)


@cache
def key(kind: str):
    return MAKE[kind]()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return with_database(tmp_path / "data")


@pytest.fixture
def ask(start, tmp_path):
    """Return what asks for a token with a certificate, where these CAs are trusted."""

    def ask_with(shown: Identity, *trusted: Identity):
        (tmp_path / "ca.pem").write_bytes(b"".join(one.pem for one in trusted))
        service = start(client_ca=tmp_path / "ca.pem" if trusted else None)
        by_hash = {"token_endpoint_auth_method": "self_signed_tls_client_auth"}
        by_hash["certificates"] = (shown.thumbprint,)
        by_name = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": DN}
        metadata = client_metadata(**(by_name if trusted else by_hash))
        service.stores.clients.add("it", metadata, secret=None, now=NOW)
        return service.post("/oauth2/token", GRANT_TYPE | {"client_id": "it"}, None, shown)

    return ask_with


@pytest.mark.parametrize("kind", WEAK)
def test_a_weak_key_of_a_leaf_is_refused(ask, ca, kind):
    """tls_client_auth refuses a leaf whose key others can find out, though a trusted CA issued it."""
    refused(ask(certified(DN, ca, key=key(kind)), ca), 401, "invalid_client")


@pytest.mark.parametrize("kind", WEAK)
def test_a_weak_key_of_a_ca_is_refused(ask, kind):
    """tls_client_auth refuses a chain that ends in a key which others can find out."""
    weak = authority(key=key(kind))
    refused(ask(certified(DN, weak), weak), 401, "invalid_client")


@pytest.mark.parametrize("kind", WEAK)
def test_a_weak_key_of_an_intermediate_is_refused(ask, ca, kind):
    """tls_client_auth refuses a chain with such a key in its middle."""
    weak = authority("CN=Sub CA", ca, key=key(kind))
    refused(ask(certified(DN, weak), ca, weak), 401, "invalid_client")


@pytest.mark.parametrize("kind", STRONG)
def test_a_strong_key_by_its_name(ask, ca, kind):
    """tls_client_auth takes every kind of key that is strong enough."""
    assert ask(certified(DN, ca, key=key(kind)), ca).status_code == 200


@pytest.mark.parametrize("kind", WEAK)
def test_a_weak_key_by_its_hash_is_refused(ask, kind):
    """self_signed_tls_client_auth refuses a registered certificate whose key others can find out."""
    refused(ask(certified(DN, key=key(kind))), 401, "invalid_client")


@pytest.mark.parametrize("kind", STRONG)
def test_a_strong_key_by_its_hash(ask, kind):
    """self_signed_tls_client_auth takes every kind of key that is strong enough."""
    assert ask(certified(DN, key=key(kind))).status_code == 200


@pytest.mark.parametrize("kind", WEAK)
def test_a_weak_key_is_not_registered(tmp_path, data, kind):
    """`client add` refuses a certificate with a weak key in one line, and registers nothing."""
    file = tmp_path / "client.pem"
    file.write_bytes(certified(DN, key=key(kind)).pem)
    register = ("--scope", "read", "--auth", "self_signed_tls_client_auth", "--certificate", file)
    line = complaint(call("client", "add", "it", *register, "--data", data), 2)
    assert line.startswith(f"Error: {file} has ")
    assert line.endswith(": make a new key, such as P-256, Ed25519 or RSA of 2,048 bits")
    assert members("client", "list", "--data", data) == []


@pytest.mark.parametrize("kind", WEAK)
def test_a_weak_key_does_not_replace_a_strong_one(tmp_path, data, kind):
    """A registered client is not changed to a certificate with a weak key either."""
    strong, weak = tmp_path / "strong.pem", tmp_path / "weak.pem"
    strong.write_bytes(certified(DN).pem)
    weak.write_bytes(certified(DN, key=key(kind)).pem)
    method = ("--scope", "read", "--auth", "self_signed_tls_client_auth")
    members("client", "add", "it", *method, "--certificate", strong, "--data", data)
    before = members("client", "list", "--data", data)
    assert str(weak) in complaint(call("client", "update", "it", "--certificate", weak, "--data", data), 2)
    assert members("client", "list", "--data", data) == before


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def openssl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the key and certificate of a CA: RSA, which signs over MD5 as well."""
    folder = tmp_path_factory.mktemp("openssl")
    making = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=CA")
    openssl(folder, *making, "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "extensions").write_text("extendedKeyUsage=clientAuth")
    return folder


def made_by_openssl(folder: Path, kind: str, digest: str) -> tuple[bytes, Path]:
    """Return a leaf with this kind of key, signed over this hash, and the file of its CA."""
    request = ("req", "-newkey", *kind.split(), "-nodes", "-keyout", "key", "-out", "csr", "-subj", "/CN=a")
    openssl(folder, *request)
    signing = ("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "extensions")
    openssl(folder, *signing, digest, "-outform", "DER", "-out", "leaf.der")
    return (folder / "leaf.der").read_bytes(), folder / "ca.pem"


P_256 = "ec -pkeyopt ec_paramgen_curve:P-256"
OPENSSL = {
    "SHA-1": (P_256, "-sha1"),
    "MD5": (P_256, "-md5"),
    "secp160r1": ("ec -pkeyopt ec_paramgen_curve:secp160r1", "-sha256"),
    "brainpoolP160r1": ("ec -pkeyopt ec_paramgen_curve:brainpoolP160r1", "-sha256"),
    "RSA of 512 bits": ("rsa:512", "-sha256"),
}


@pytest.mark.parametrize(("kind", "digest"), OPENSSL.values(), ids=OPENSSL)
def test_what_openssl_still_makes_is_refused(openssl_folder, kind, digest):
    """tls_client_auth refuses signatures over broken hashes, and keys on small or unnamed curves."""
    leaf, trusted = made_by_openssl(openssl_folder, kind, digest)
    with pytest.raises(InvalidClient, match="is not trusted"):
        ClientTrust(trusted).verified(leaf, int(time.time()))


@pytest.mark.parametrize(("kind", "digest"), list(OPENSSL.values())[2:], ids=list(OPENSSL)[2:])
def test_the_weakness_is_named(openssl_folder, kind, digest):
    """A key on a small or unnamed curve, or a short one, is weak by its hash too."""
    leaf, _ = made_by_openssl(openssl_folder, kind, digest)
    assert weakness_of(leaf).startswith(("a key ", "an RSA key of 512 bits"))


def test_what_openssl_makes_today_is_taken(openssl_folder):
    """A leaf as openssl makes it by default is trusted and has no weakness."""
    leaf, trusted = made_by_openssl(openssl_folder, P_256, "-sha256")
    assert ClientTrust(trusted).verified(leaf, int(time.time()))
    assert weakness_of(leaf) is None
