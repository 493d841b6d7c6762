"""Files with secrets: refused when other users of the machine can read or replace them."""

import os
import re
import threading
from pathlib import Path

import pytest

from macaroon_cbat.cli.options import read_secret
from macaroon_cbat.client import ClientCertificate
from macaroon_cbat.client.secret import read_secret_file
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files import modes
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.resource import Introspection, ServiceConnection
from macaroon_cbat.resource.feeds.snapshot import read_snapshot
from macaroon_cbat.stores import WrappingKey, read_or_make_wrapping_key
from macaroon_cbat.stores.wrapping_key import wrapping_key_text
from macaroon_cbat.tls import development_certificates
from macaroon_cbat.tls.context import load_pair
from tests.support.tls_servers import make_client
from tests.support.tokens import API, ISSUER

LOOSE = [0o604, 0o602, 0o644, 0o620, 0o660, 0o666, 0o777]
PRIVATE = [0o400, 0o600, 0o640, 0o440]


def read_wrapping_key(file: Path) -> WrappingKey:
    """Read a wrapping key from a file of this mode."""
    mode = file.stat().st_mode
    file.chmod(0o600)
    file.write_text(wrapping_key_text(WrappingKey(bytes(32))))
    file.chmod(mode)
    return read_or_make_wrapping_key(file)


def secret_by(read):
    """Read a secret of one line from a file of this mode."""

    def reading(file: Path) -> str:
        mode = file.stat().st_mode
        file.chmod(0o600)
        file.write_text("s3cret")
        file.chmod(mode)
        return read(file)

    return reading


READERS = {
    "holder": ClientCertificate,
    "connection": lambda file: ServiceConnection(ISSUER, "api", "s", certificate=file),
    "introspection": lambda file: Introspection(ISSUER, API, "api", certificate=file),
    "server": lambda file: load_pair(file, file),
    "gateway's secret": secret_by(read_secret_file),
    "wrapping key": read_wrapping_key,
    "snapshot": read_snapshot,
    "command's secret": secret_by(read_secret),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return make_client(tmp_path, "api").file


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("mode", LOOSE, ids=oct)
def test_what_others_can_use_is_refused(file: Path, read, mode: int):
    """A private key or secret that others can use is refused in one line, with the command that mends it."""
    file.chmod(mode)
    with pytest.raises(
        SettingsError, match=rf"can be used by others \(mode {mode:04o}\): chmod 600 {file}"
    ) as error:
        read(file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
@pytest.mark.parametrize("mode", PRIVATE, ids=oct)
def test_what_its_group_can_read_is_taken(file: Path, read, mode: int):
    """A file that its owner, and its group at most, can read is taken: Kubernetes mounts secrets so."""
    file.chmod(mode)
    assert read(file)


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_what_its_group_can_read_is_warned_of_once(file: Path, read, caplog: pytest.LogCaptureFixture):
    """A group that can read a private file is named in one warning, however often the file is read."""
    read(file)
    assert caplog.records == []
    file.chmod(0o640)
    read(file)
    read(file)
    [warning] = caplog.records
    assert (warning.levelname, warning.name) == ("WARNING", "macaroon_cbat.files")
    expected = rf"the .* {file} can be read by the group \d+ \(mode 0640\): chmod 600 {file} unless .*"
    assert re.fullmatch(expected, warning.getMessage())


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_a_folder_that_all_can_write_is_refused(file: Path, read):
    """A private file is refused where everybody could put another one in its place."""
    file.parent.chmod(0o777)
    with pytest.raises(SettingsError, match="can be replaced by every user"):
        read(file)
    file.parent.chmod(0o1777)
    assert read(file)


def test_a_key_that_becomes_loose_is_not_loaded(tmp_path: Path):
    """A certificate that is replaced by one whose key others can read is not taken up; the old one stays."""
    file, newer = make_client(tmp_path, "api").file, make_client(tmp_path, "newer").file
    certificate, connection = (
        ClientCertificate(file),
        ServiceConnection(ISSUER, "api", "s", certificate=file),
    )
    before, connections = certificate.current().thumbprint, connection.service.own()
    newer.chmod(0o644)
    newer.replace(file)
    assert certificate.current().thumbprint == before
    assert connection.service.own() is connections
    with pytest.raises(SettingsError):
        ServiceConnection(ISSUER, "api", "s", certificate=file)
    file.chmod(0o600)
    assert certificate.current().thumbprint != before
    assert connection.service.own() is not connections


@pytest.mark.parametrize("name", ["ca.key", "server.key"])
def test_development_keys_that_others_can_use_are_refused(tmp_path: Path, name: str):
    """The development CA and its server go on with no key that others can use."""
    development_certificates(tmp_path)
    (tmp_path / name).chmod(0o644)
    with pytest.raises(SettingsError, match=f"chmod 600 {tmp_path / name}"):
        development_certificates(tmp_path)


def test_a_pipe_without_a_writer_is_not_waited_for(tmp_path, monkeypatch):
    """A reload that finds a named pipe goes on, and the process can be stopped."""
    monkeypatch.setattr(modes, "PIPE_SECONDS", 0)
    os.mkfifo(pipe := tmp_path / "pipe", 0o600)
    with pytest.raises(OSError, match="no process writes into this pipe"):
        open_private(pipe, "settings file")


def test_a_pipe_is_read_to_its_end(tmp_path):
    """A secret may come from a named pipe, whose writer may be slow."""
    os.mkfifo(pipe := tmp_path / "pipe", 0o600)
    writer = threading.Thread(target=pipe.write_bytes, args=(b"s3cret",))
    writer.start()
    with open_private(pipe, "secret") as stream:
        assert stream.read() == b"s3cret"
    writer.join()
