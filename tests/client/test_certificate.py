import logging
import threading
import time
from pathlib import Path

import httpx
import pytest

from macaroon_cbat.client import ClientCertificate, Credentials
from macaroon_cbat.client.trust import server_trust
from macaroon_cbat.errors import SettingsError
from tests.support.client_files import Files, Pair, keep_stat, make_pair, replace, write_in_place
from tests.support.token_server import Server

NO_CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"


def presented(credentials: Credentials, server: Server) -> str:
    """Return the thumbprint of what a server sees over a connection with these credentials."""
    with httpx.Client(verify=credentials.context(server.ca)) as client:
        seen: str = client.get(server.url("/echo")).json()["certificate"]
        return seen


@pytest.mark.parametrize("kind", ["RSA", "P-256", "Ed25519"])
def test_every_kind_of_key(tmp_path: Path, server: Server, kind: str) -> None:
    """RSA, P-256 and Ed25519 keys all make credentials that a server accepts."""
    pair = make_pair(kind)
    files = Files(tmp_path / "c.pem", tmp_path / "k.pem")
    files.write(pair)
    credentials = ClientCertificate(files.certificate, files.key).current()
    assert (credentials.thumbprint, credentials.certificate) == (pair.thumbprint, pair.der)
    assert presented(credentials, server) == pair.thumbprint


@pytest.mark.parametrize("order", ["certificate first", "key first"])
def test_one_file_for_both(tmp_path: Path, pair: Pair, order: str) -> None:
    """Certificate and key may share a file, in any order."""
    parts = [pair.certificate, pair.key]
    (tmp_path / "both.pem").write_bytes(b"".join(parts if order == "certificate first" else parts[::-1]))
    assert ClientCertificate(tmp_path / "both.pem").current().thumbprint == pair.thumbprint


def test_leaf_comes_first(tmp_path: Path, server: Server) -> None:
    """With a chain in the file, the thumbprint is the leaf's, which is the first certificate."""
    authority = make_pair()
    leaf = make_pair(issuer=authority)
    Files(tmp_path / "c", tmp_path / "k").write(leaf)
    (tmp_path / "c").write_bytes(b"Bag Attributes\n" + leaf.certificate + b"\n" + authority.certificate)
    credentials = ClientCertificate(tmp_path / "c", tmp_path / "k").current()
    assert credentials.thumbprint == presented(credentials, server) == leaf.thumbprint


def test_der_certificate(tmp_path: Path, pair: Pair) -> None:
    """The certificate may be DER."""
    Files(tmp_path / "c", tmp_path / "k").write(pair)
    (tmp_path / "c").write_bytes(pair.der)
    assert ClientCertificate(tmp_path / "c", tmp_path / "k").current().thumbprint == pair.thumbprint


@pytest.mark.parametrize("label", [b"", b" TRUSTED", b" X509"], ids=["plain", "TRUSTED", "X509"])
def test_openssl_gets_only_what_is_hashed(
    tmp_path: Path, server: Server, other_pair: Pair, label: bytes
) -> None:
    """Under each label that OpenSSL knows, the certificate that is presented is the one that is hashed."""
    issuer = make_pair(issuer=other_pair)
    leaf = make_pair(issuer=issuer)
    relabelled = leaf.certificate.replace(b" CERT", label + b" CERT").replace(b"\n", b" \r\n")
    (tmp_path / "c").write_bytes(relabelled + issuer.certificate)
    (tmp_path / "k").write_bytes(leaf.key)
    credentials = ClientCertificate(tmp_path / "c", tmp_path / "k").current()
    assert credentials.thumbprint == presented(credentials, server) == leaf.thumbprint


def test_encrypted_key_needs_its_password(tmp_path: Path) -> None:
    """An encrypted key without its password, or with a wrong one, is a SettingsError and no prompt."""
    pair = make_pair(password=b"sesame")
    files = Files(tmp_path / "c", tmp_path / "k")
    files.write(pair)
    assert ClientCertificate(*files_of(files), password="sesame").current().thumbprint == pair.thumbprint
    with pytest.raises(SettingsError, match="is encrypted: give its passphrase"):
        ClientCertificate(*files_of(files))
    with pytest.raises(
        SettingsError, match=r"the passphrase does not fit the encrypted key in .*k: give the one"
    ):
        ClientCertificate(*files_of(files), password="open")


def test_a_certificate_alone_is_told_to_lack_its_key(tmp_path: Path) -> None:
    """A certificate without a key, readable by all as certificates are, is asked for the key and no mode."""
    files = Files(tmp_path / "c", tmp_path / "k")
    files.write(make_pair())
    files.certificate.chmod(0o644)
    with pytest.raises(SettingsError, match="holds a certificate without its key: name the key's file too"):
        ClientCertificate(files.certificate)


def test_a_key_of_another_certificate_is_named_in_words(tmp_path: Path) -> None:
    """Two files that do not belong together are named so, and not as OpenSSL has it."""
    files, others = (Files(tmp_path / name, tmp_path / f"{name}.key") for name in ("c", "d"))
    files.write(make_pair())
    others.write(make_pair())
    with pytest.raises(SettingsError, match="the key belongs to another certificate"):
        ClientCertificate(files.certificate, others.key)


def files_of(files: Files) -> tuple[Path, Path]:
    return files.certificate, files.key


@pytest.mark.parametrize(
    ("certificate", "key", "says"),
    [
        (None, b"", "cannot read .*c.pem: No such file or directory; name"),
        (b"", None, "cannot read .*k.pem: No such file or directory; name"),
        (b"", b"", "c.pem is empty: name a certificate"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            b"",
            "c.pem is neither a PEM nor a DER certificate: name the client's certificate",
        ),
        ("certificate", b"no key", "k.pem.*private key that belongs to it"),
        ("certificate", "foreign", "k.pem.*private key that belongs to it"),
        ("certificate", "RSA", "k.pem.*private key that belongs to it"),
    ],
)
def test_first_load_says_what_to_do(
    tmp_path: Path, pair: Pair, certificate: bytes | str | None, key: bytes | str | None, says: str
) -> None:
    """A file that cannot be loaded at first is a SettingsError: one line that names it and a remedy."""
    foreign = {"foreign": make_pair().key, "RSA": make_pair("RSA").key, "certificate": pair.certificate}
    for name, content in (("c.pem", certificate), ("k.pem", key)):
        if content is not None:
            (tmp_path / name).write_bytes(foreign[content] if isinstance(content, str) else content)
    with pytest.raises(SettingsError, match=says) as caught:
        ClientCertificate(tmp_path / "c.pem", tmp_path / "k.pem")
    assert "\n" not in str(caught.value)


def test_unchanged_files_keep_their_credentials(
    files: Files, certificate: ClientCertificate, pair: Pair
) -> None:
    """Files that were only touched, or replaced by the same content, change nothing."""
    credentials = certificate.current()
    files.certificate.touch()
    assert certificate.current() is credentials
    files.write(pair)
    assert certificate.current() is credentials


@pytest.mark.parametrize("way", [replace, write_in_place])
def test_rotation_is_seen_at_once(
    files: Files, certificate: ClientCertificate, other_pair: Pair, way: object
) -> None:
    """The call after a rotation gives the new certificate, however the files were written."""
    assert callable(way)
    before = certificate.current()
    way(files.certificate, other_pair.certificate)
    way(files.key, other_pair.key)
    after = certificate.current()
    assert after.thumbprint == other_pair.thumbprint
    assert after.generation > before.generation


def test_rotation_by_symlink(tmp_path: Path, pair: Pair, other_pair: Pair) -> None:
    """A symbolic link that points elsewhere is a rotation, as Kubernetes does it."""
    for name, content in (("one", pair), ("two", other_pair)):
        (tmp_path / name).mkdir()
        Files(tmp_path / name / "c", tmp_path / name / "k").write(content)
    link = tmp_path / "now"
    link.symlink_to("one")
    certificate = ClientCertificate(link / "c", link / "k")
    (tmp_path / "next").symlink_to("two")
    (tmp_path / "next").replace(link)
    assert certificate.current().thumbprint == other_pair.thumbprint


def test_every_change_is_seen_at_once(files: Files, certificate: ClientCertificate, pair: Pair) -> None:
    """Changes that follow each other faster than the clock of the file system are seen one by one."""
    same_size = twin(pair)
    for number in range(100):
        expected = (same_size, pair)[number % 2]
        write_in_place(files.certificate, expected.certificate)
        write_in_place(files.key, expected.key)
        assert certificate.current().thumbprint == expected.thumbprint


def twin(pair: Pair) -> Pair:
    """Return another pair whose files have the same size."""
    while True:
        other = make_pair()
        if len(other.certificate) == len(pair.certificate) and len(other.key) == len(pair.key):
            return other


def test_rotation_that_keeps_the_times_is_seen(files: Files, pair: Pair) -> None:
    """A change that keeps size, inode and modification time, as some copying tools do, is seen."""
    renewed = twin(pair)
    files.write(pair)
    certificate = ClientCertificate(files.certificate, files.key)
    keep_stat(files.certificate, renewed.certificate)
    keep_stat(files.key, renewed.key)
    assert certificate.current().thumbprint == renewed.thumbprint


@pytest.mark.parametrize(
    "state", ["new certificate, old key", "no key", "half a certificate", "no certificate"]
)
def test_half_done_rotation_keeps_the_old_pair(
    files: Files,
    certificate: ClientCertificate,
    other_pair: Pair,
    caplog: pytest.LogCaptureFixture,
    state: str,
) -> None:
    """In a half-done rotation the old pair stays in use, with one warning, until the new one is whole."""
    before = certificate.current()
    if state == "no key":
        files.key.unlink()
    elif state == "no certificate":
        files.certificate.unlink()
    else:
        half = len(other_pair.certificate) // (2 if state == "half a certificate" else 1)
        replace(files.certificate, other_pair.certificate[:half])
    assert {certificate.current() for _ in range(5)} == {before}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert before.thumbprint in caplog.text
    files.write(other_pair)
    assert certificate.current().thumbprint == other_pair.thumbprint
    replace(files.key, b"")
    certificate.current()
    assert len(caplog.records) == 2, "a later rotation warns again"


def test_old_credentials_stay_usable(
    files: Files, certificate: ClientCertificate, server: Server, pair: Pair, other_pair: Pair
) -> None:
    """Credentials are a snapshot: after a rotation they still present what they name."""
    before = certificate.current()
    files.write(other_pair)
    assert presented(before, server) == pair.thumbprint


def test_threads_never_see_a_mixed_pair(files: Files, server: Server, pair: Pair, other_pair: Pair) -> None:
    """While the files change all the time, each thread sees one pair or the other, and never an error."""
    certificate = ClientCertificate(files.certificate, files.key)
    is_over = threading.Event()
    wrong: list[object] = []
    looks = [0] * 4

    def look(number: int) -> None:
        while not is_over.is_set():
            try:
                credentials = certificate.current()
                credentials.context(server.ca)
                ssl_pair = (credentials.certificate, credentials.thumbprint)
                if ssl_pair not in ((pair.der, pair.thumbprint), (other_pair.der, other_pair.thumbprint)):
                    wrong.append(ssl_pair)
                looks[number] += 1
            except Exception as error:  # noqa: BLE001 # whatever it is, it is a failure
                wrong.append(error)

    threads = [threading.Thread(target=look, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    rounds, deadline = 0, time.monotonic() + 60
    while (rounds < 100 or min(looks) < 50) and not wrong and time.monotonic() < deadline:
        files.write(other_pair)
        files.write(pair)
        rounds += 1
    is_over.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert min(looks) >= 50, looks
    assert certificate.current().thumbprint == pair.thumbprint


def test_unusable_ca_is_named(tmp_path: Path) -> None:
    """A CA file that is missing or holds no certificate is a SettingsError that names it."""
    (tmp_path / "ca.pem").write_text("no certificate")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(SettingsError, match=f"{name}.*name a PEM file with the CA"):
            server_trust(tmp_path / name)


def test_repr_shows_no_key(certificate: ClientCertificate, pair: Pair) -> None:
    """The repr of a certificate shows its thumbprint, never its key."""
    shown = repr(certificate) + repr(certificate.current())
    assert pair.thumbprint in shown
    assert "KEY" not in shown.replace(pair.thumbprint, "")  # one thumbprint in 6,000 has these letters
