"""The way to a private file: no other user may change what the name leads to."""

import os
import threading
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.modes import open_private
from macaroon_cbat.files.places import refuse_other_owner
from macaroon_cbat.macaroon.keys import audience_keys, write_key_file
from macaroon_cbat.resource.key_file import KeyFile
from tests.support.tokens import API, ISSUER, ROOT


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a key file two folders deep, everything private."""
    folder = tmp_path / "upper/lower"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    file = folder / "keys.json"
    file.write_bytes(write_key_file(audience_keys(ISSUER, API, [ROOT])))
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("mode", [0o777, 0o707, 0o703, 0o2777], ids=oct)
@pytest.mark.parametrize("up", [0, 1, 2], ids=["its folder", "the folder above", "two above"])
def test_no_folder_on_the_way_can_be_written_by_others(file: Path, up: int, mode: int):
    """A folder on the way that others can write makes the file refused, with the command that mends it."""
    folder = file.parents[up]
    folder.chmod(mode)
    with pytest.raises(SettingsError, match=rf"replaced by every user .*: chmod go-w {folder}") as refused:
        KeyFile(file)
    assert "\n" not in str(refused.value)
    folder.chmod(0o755)
    assert KeyFile(file).audience == API


@pytest.mark.parametrize("up", [0, 1, 2], ids=["its folder", "the folder above", "two above"])
def test_a_sticky_folder_may_be_shared(file: Path, up: int):
    """A folder such as /tmp, where each user replaces only what is his own, is taken."""
    file.parents[up].chmod(0o3777)
    assert KeyFile(file).audience == API


def test_the_folders_behind_a_link_count(file: Path, tmp_path: Path):
    """A link in a safe folder to a file in a folder that others can write is refused."""
    link = tmp_path / "keys.json"
    link.symlink_to("upper/lower/../lower/keys.json")
    assert KeyFile(link).audience == API
    file.parent.chmod(0o777)
    with pytest.raises(SettingsError, match=f"chmod go-w {file.parent}"):
        KeyFile(link)


def test_the_folders_of_a_link_count(file: Path, tmp_path: Path):
    """A link in a folder that others can write, on the way through a folder or at its end, is refused."""
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "folder").symlink_to(file.parent)
    (tmp_path / "first").symlink_to(shared / "folder")
    assert KeyFile(tmp_path / "first/keys.json").audience == API
    shared.chmod(0o777)
    with pytest.raises(SettingsError, match=f"chmod go-w {shared}"):
        KeyFile(tmp_path / "first/keys.json")


def test_a_circle_of_links_is_an_error(tmp_path: Path):
    """Links that lead nowhere end in one error instead of none."""
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(SettingsError, match="cannot be read"):
        KeyFile(tmp_path / "a")
    with pytest.raises(OSError, match="symbolic links"):
        open_private(tmp_path / "a", "key file")


def test_a_secret_of_kubernetes_is_taken(tmp_path: Path):
    """A secret volume is taken as the kubelet makes it: links through folders that all can write, sticky."""
    volume = tmp_path / "volume"
    version = volume / "..2026_01_01"
    version.mkdir(parents=True)
    (version / "keys.json").write_bytes(write_key_file(audience_keys(ISSUER, API, [ROOT])))
    (version / "keys.json").chmod(0o440)
    version.chmod(0o3777)
    volume.chmod(0o3777)
    (volume / "..data").symlink_to("..2026_01_01")
    (volume / "keys.json").symlink_to("..data/keys.json")
    assert KeyFile(volume / "keys.json").audience == API


def test_a_relative_name_is_looked_at_from_the_root(file: Path, monkeypatch: pytest.MonkeyPatch):
    """A name without a folder says nothing of the folders above, which count all the same."""
    monkeypatch.chdir(file.parent)
    file.parents[1].chmod(0o777)
    with pytest.raises(SettingsError, match=f"chmod go-w {file.parents[1]}"):
        KeyFile(Path("keys.json"))


def test_another_owner_is_refused(file: Path):
    """A private file that belongs neither to this process's user nor to root is refused."""
    found = list(file.stat())
    found[4] = os.geteuid() + 1
    with pytest.raises(SettingsError, match=rf"belongs to another user \(uid {found[4]}\): chown"):
        refuse_other_owner(os.stat_result(found), file, file, "key file")
    found[4] = 0
    refuse_other_owner(os.stat_result(found), file, file, "key file")


def test_a_pipe_of_the_caller_is_read(tmp_path: Path):
    """A secret in a pipe that the shell made, as in `<(pass show api)`, has no folder and is taken."""
    reading, writing = os.pipe()
    writer = threading.Thread(target=lambda: (os.write(writing, b"secret"), os.close(writing)))
    writer.start()
    with open_private(Path(f"/dev/fd/{reading}"), "secret file") as stream:
        assert stream.read() == b"secret"
    writer.join()
    os.close(reading)
