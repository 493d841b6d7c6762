"""Client secrets in files: private, and followed when they are replaced."""

from pathlib import Path

import pytest

from macaroon_cbat.client import TokenClient
from macaroon_cbat.errors import Refused, SettingsError
from macaroon_cbat.files import replace_file
from macaroon_cbat.resource import Introspection, ServiceConnection
from tests.support.client_files import Pair, make_pair
from tests.support.token_server import Server

ISSUER = "https://issuer.example"


def token_client(secret: str | Path, _: Path) -> object:
    return TokenClient(issuer=ISSUER, client_id="billing", client_secret=secret)


def introspection(secret: str | Path, _: Path) -> object:
    return Introspection(ISSUER, "https://api.example", "api", secret)


def service_connection(secret: str | Path, certificate: Path) -> object:
    return ServiceConnection(ISSUER, "api", secret, certificate=certificate)


TAKERS = [token_client, introspection, service_connection]


@pytest.fixture
def both(tmp_path: Path) -> Path:
    """Return a file with a certificate and its key."""
    pair: Pair = make_pair()
    replace_file(tmp_path / "both.pem", [pair.certificate, pair.key])
    return tmp_path / "both.pem"


@pytest.mark.parametrize("take", TAKERS, ids=lambda take: take.__name__)
def test_a_secret_that_others_can_read_is_refused(tmp_path: Path, both: Path, take) -> None:
    """A Path is a file with the secret, which no other user can read; a str is the secret itself."""
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    file.chmod(0o644)
    with pytest.raises(SettingsError, match=rf"the secret file {file} can be used by others .*chmod 600"):
        take(file, both)
    file.chmod(0o600)
    assert "s3cret" not in repr(take(file, both))
    assert take("s3cret", both)


@pytest.mark.parametrize("take", TAKERS, ids=lambda take: take.__name__)
@pytest.mark.parametrize("content", [None, b"", b"two\nlines"], ids=["missing", "empty", "two lines"])
def test_an_unusable_secret_is_said_at_once(tmp_path: Path, both: Path, take, content: bytes | None) -> None:
    """A file without one secret in it is a SettingsError when the object is made."""
    file = tmp_path / "secret"
    if content is not None:
        replace_file(file, [content])
    with pytest.raises(SettingsError, match=f"the secret file {file}"):
        take(file, both)


@pytest.mark.parametrize("take", TAKERS, ids=lambda take: take.__name__)
def test_the_name_of_a_file_is_no_secret(tmp_path: Path, both: Path, take) -> None:
    """A text that names a file is refused at once, for the service would only say `invalid_client`."""
    (tmp_path / "client.secret").write_text("s" * 43)
    with pytest.raises(SettingsError, match=r"client_secret is the name of a file: write Path\("):
        take(str(tmp_path / "client.secret"), both)


def test_a_replaced_secret_is_used_at_once(server: Server, tmp_path: Path) -> None:
    """The secret that is in the file by now is tried, once, when the service refuses the old one."""
    file = tmp_path / "secret"
    replace_file(file, [b"old"])
    client = server.client("secret-is-new", client_secret=file)
    replace_file(file, [b"new\n"])
    assert client()
    assert [asked["basic"] for asked in server.asked("secret-is-new")] == ["billing:old", "billing:new"]


def test_a_wrong_secret_is_sent_once(server: Server, tmp_path: Path) -> None:
    """While the file stays as it is, a refused secret is not sent again by the same call."""
    file = tmp_path / "secret"
    replace_file(file, [b"wrong"])
    before = len(server.asked("secret-is-new"))
    with pytest.raises(Refused, match="invalid_client"):
        server.client("secret-is-new", client_secret=file)()
    assert len(server.asked("secret-is-new")) == before + 1
