"""Introspection against services that answer as they should not: 503 each time, never a pass, never 401."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.resource import Introspection
from tests.support.broken_services import TEMPERS, broken_services
from tests.support.guarded_app import bound, call, make_app
from tests.support.ports import free_port
from tests.support.tls_servers import Client, make_client
from tests.support.tokens import API, GRANT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broken")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with broken_services(folder, GRANT.jti) as url:
        yield url


@pytest.fixture(scope="module")
def client(folder: Path) -> Client:
    return make_client(folder, "api")


def asking(url: str, ca: Path | None, temper: str = "good", timeout: float = 20) -> Introspection:
    return Introspection(url, API, "api", "s3cret", ca=ca, path=f"/{temper}", timeout=timeout)


def refused(verifier: Introspection, log: pytest.LogCaptureFixture) -> str:
    """Return the one log line of a request that could not be judged."""
    response = call(make_app(verifier=verifier), bound())
    assert response.status_code == 503
    assert "WWW-Authenticate" not in response.headers
    assert [record.levelno for record in log.records] == [logging.ERROR]
    assert log.records[0].getMessage().isprintable()
    assert bound()[:50] not in log.text
    assert "s3cret" not in log.text
    return log.records[0].getMessage()


def test_the_good_one_is_believed(url: str, folder: Path):
    """The same server passes the token when it answers as it should, so that the next tests say something."""
    assert call(make_app(verifier=asking(url, folder / "ca.pem")), bound()).status_code == 200


@pytest.mark.parametrize("temper", [temper for temper in TEMPERS if temper != "good"])
def test_no_usable_answer_is_503(url: str, folder: Path, log: pytest.LogCaptureFixture, temper: str):
    """An answer that is late, cut, too long, a redirect, an error or no introspection is "cannot tell"."""
    assert f"/{temper}" in refused(asking(url, folder / "ca.pem", temper, timeout=0.3), log)


def test_a_service_that_is_down_is_503(folder: Path, url: str, log: pytest.LogCaptureFixture):
    """A service that is down is "cannot tell"."""
    refused(asking(f"https://localhost:{free_port()}", folder / "ca.pem"), log)


def test_an_unknown_host_is_503(folder: Path, url: str, log: pytest.LogCaptureFixture):
    """A service whose name cannot be resolved is "cannot tell"."""
    refused(asking("https://service.invalid", folder / "ca.pem"), log)


def test_a_service_of_another_ca_is_503(url: str, client: Client, log: pytest.LogCaptureFixture):
    """A server that our CA does not vouch for is not the service, whatever it says."""
    assert "is of no CA that is trusted here" in refused(asking(url, client.file), log)


def test_a_service_under_another_name_is_503(url: str, folder: Path, log: pytest.LogCaptureFixture):
    """A server whose certificate is for other names is not the service."""
    refused(asking(url.replace("localhost", "127.0.0.2"), folder / "ca.pem"), log)


def test_the_environment_has_no_say(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Proxies, .netrc and CA bundles of the environment change nothing."""
    netrc = folder / "netrc"
    netrc.write_text("machine localhost login evil password evil\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(netrc))
    assert call(make_app(verifier=asking(url, folder / "ca.pem")), bound()).status_code == 200


def test_plain_http_is_a_settings_error():
    """The service is asked over TLS or not at all."""
    with pytest.raises(SettingsError, match="https"):
        Introspection("http://localhost:1", API, "api", "s3cret")


def test_one_way_to_authenticate_is_needed(client: Client):
    """A secret or a certificate, one of them, or it is a settings error."""
    with pytest.raises(SettingsError, match="secret or a client certificate"):
        Introspection("https://localhost:1", API, "api")
    with pytest.raises(SettingsError, match="secret or a client certificate"):
        Introspection("https://localhost:1", API, "api", "s", certificate=client.file)


@pytest.mark.parametrize("content", [None, b"", b"rubbish"], ids=["missing", "empty", "rubbish"])
def test_unusable_files_are_a_settings_error(tmp_path: Path, content: bytes | None):
    """A CA or certificate that cannot be loaded is a settings error at start-up, in one line."""
    file = tmp_path / "file.pem"
    if content is not None:
        file.write_bytes(content)
    for settings in ({"client_secret": "s", "ca": file}, {"certificate": file}):
        with pytest.raises(SettingsError, match=r"file\.pem") as error:
            Introspection("https://localhost:1", API, "api", **settings)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)


def test_an_encrypted_key_is_a_settings_error(tmp_path: Path):
    """A key under a passphrase is a settings error, not a question on the terminal."""
    client = make_client(tmp_path, "api")
    key = client.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(SettingsError, match=r"key\.pem"):
        Introspection("https://localhost:1", API, "api", certificate=client.file, key=tmp_path / "key.pem")


def test_repr_shows_no_secret(url: str, folder: Path):
    """The verifier's repr says where it asks, not how it authenticates."""
    assert "s3cret" not in repr(asking(url, folder / "ca.pem"))
