"""Files are written behind links, through pipes and devices, and over nothing that is there already."""

import os
import socket
import threading
from pathlib import Path

import pytest

from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files import written
from macaroon_cbat.files.replacement import refuse_mounted
from tests.support.another_user import no_room


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def write(file: Path, content: bytes = b"new", *, may_replace: bool = False) -> None:
    with written(file, "secret file", may_replace=may_replace) as stream:
        stream.write(content)


def begin(file: Path, *, may_replace: bool = False) -> None:
    """Begin to write, which must be refused."""
    with written(file, "secret file", may_replace=may_replace):
        pytest.fail("nothing may begin")


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_a_new_file_is_for_its_owner(file):
    """A new file has mode 0600, whatever the umask says, and nothing is left beside it."""
    before = os.umask(0)
    try:
        write(file)
    finally:
        os.umask(before)
    assert (file.read_bytes(), mode(file), list(file.parent.iterdir())) == (b"new", 0o600, [file])


def test_what_exists_stays(file):
    """A file that exists is not written over, and the block does not begin."""
    file.write_text("old")
    with pytest.raises(FileExistsError):
        begin(file)
    assert (file.read_text(), list(file.parent.iterdir())) == ("old", [file])


def test_of_two_at_once_one_is_refused(file):
    """While one process writes a new file, another one that wants the name is refused before it begins."""
    with written(file, "secret file", may_replace=False) as stream:
        with pytest.raises(FileExistsError):
            begin(file)
        stream.write(b"of the first")
    assert file.read_bytes() == b"of the first"


@pytest.mark.parametrize("may_replace", [False, True], ids=["new", "replaced"])
def test_an_error_leaves_all_as_it_was(file, *, may_replace: bool):
    """Content that cannot be had leaves no new file, and the old one as it was."""
    (file.parent / "old").write_text("old")
    with (
        pytest.raises(ZeroDivisionError),
        written(file.parent / ("old" if may_replace else "new"), "secret file", may_replace=may_replace),
    ):
        raise ZeroDivisionError
    assert [(one.name, one.read_text()) for one in file.parent.iterdir()] == [("old", "old")]


@pytest.mark.parametrize("content", [None, "old"], ids=["dangling", "to a file"])
@pytest.mark.parametrize("kind", ["relative", "absolute", "of a folder"])
def test_what_is_behind_a_link_is_written(tmp_path, content: str | None, kind: str):
    """A link stays a link, and what it leads to is written, made if it is not there."""
    (tmp_path / "real").mkdir()
    target = tmp_path / "real/secret"
    if content is not None:
        target.write_text(content)
    link = tmp_path / ("folder" if kind == "of a folder" else "link")
    link.symlink_to({"relative": Path("real/secret"), "absolute": target, "of a folder": "real"}[kind])
    write(link / "secret" if kind == "of a folder" else link, may_replace=True)
    assert link.is_symlink()
    assert (target.read_bytes(), mode(target), [*target.parent.iterdir()]) == (b"new", 0o600, [target])


def test_a_link_to_a_file_is_no_new_name(file):
    """A link to a file is not free for a new one: what it leads to stays."""
    (file.parent / "old").write_text("old")
    file.symlink_to("old")
    with pytest.raises(FileExistsError):
        begin(file)
    assert file.read_text() == "old"


def _loop(file: Path) -> None:
    file.symlink_to(file.name)


def _socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(file))


UNWRITABLE = {
    "no folder": (lambda file: file.parent.rmdir(), FileNotFoundError),
    "a folder that is none": (lambda file: (file.parent.rmdir(), file.parent.touch()), NotADirectoryError),
    "a folder": (Path.mkdir, IsADirectoryError),
    "links in a circle": (_loop, OSError),
    "a socket": (_socket, OSError),
}


@pytest.mark.parametrize("may_replace", [False, True], ids=["new", "replaced"])
@pytest.mark.parametrize(("make", "error"), UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_cannot_be_written_does_not_begin(tmp_path, make, error, *, may_replace: bool):
    """A file that cannot be written is refused before the block begins, and nothing is left."""
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder/secret"
    make(file)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(error):
        begin(file, may_replace=may_replace)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("may_replace", [False, True], ids=["new", "replaced"])
def test_a_full_disk_does_not_begin(file, *, may_replace: bool):
    """A disk without room for a secret is noticed before the block begins, and nothing is left."""
    with no_room(), pytest.raises(OSError, match="File too large"):
        begin(file, may_replace=may_replace)
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize("may_replace", [False, True], ids=["new", "replaced"])
def test_a_pipe_is_written_through(file, *, may_replace: bool):
    """A named pipe gets the content and stays a pipe."""
    os.mkfifo(file)
    got = []
    reader = threading.Thread(target=lambda: got.append(file.read_bytes()))
    reader.start()
    write(file, may_replace=may_replace)
    reader.join()
    assert (got, file.is_fifo()) == ([b"new"], True)


@pytest.mark.parametrize("may_replace", [False, True], ids=["new", "replaced"])
def test_a_device_is_written_through(file, *, may_replace: bool):
    """A character device, here a terminal behind a link, gets the content and stays a device."""
    reading, writing = os.openpty()
    terminal = Path(os.ttyname(writing))
    file.symlink_to(terminal)
    write(file, may_replace=may_replace)
    assert os.read(reading, 10) == b"new"
    assert (file.is_symlink(), terminal.is_char_device()) == (True, True)
    os.close(writing)
    os.close(reading)


@pytest.mark.parametrize("folder", ["/dev/fd", "/proc/self/fd"])
def test_a_descriptor_is_written_to(file, folder: str):
    """A descriptor of this process is written to where it stands: a log that it appends to keeps all."""
    file.write_text("line\n")
    with file.open("ab") as log:
        write(Path(f"{folder}/{log.fileno()}"))
    assert (file.read_text(), list(file.parent.iterdir())) == ("line\nnew", [file])


def test_a_descriptor_for_reading_does_not_begin(file):
    """A descriptor that is open for reading or closed, is refused before the block begins."""
    file.write_text("old")
    with file.open("rb") as stream:
        descriptor = Path(f"/dev/fd/{stream.fileno()}")
        with pytest.raises(OSError, match="reading only"):
            begin(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        begin(descriptor)
    assert file.read_text() == "old"


def test_what_kubernetes_keeps_is_not_written(tmp_path):
    """A volume whose files the kubelet puts back gets no file that would be lost with the next change."""
    (tmp_path / "..2026_01_01").mkdir()
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "secret").symlink_to("..data/secret")
    with pytest.raises(SettingsError, match="is kept by Kubernetes"):
        begin(tmp_path / "secret", may_replace=True)
    assert list((tmp_path / "..2026_01_01").iterdir()) == []


def test_the_group_that_could_read_reads_on(file):
    """Only a file that its group could read and do no more with leaves that to its group."""
    found = []
    for before in (0o640, 0o440, 0o660, 0o644, 0o666, 0o600):
        file.write_text("old")
        file.chmod(before)
        write(file, may_replace=True)
        found.append(mode(file))
        file.unlink()
    assert found == [0o640, 0o640, 0o600, 0o600, 0o600, 0o600]


def test_a_file_that_is_a_mount_is_refused(tmp_path):
    """A file that a container mounts by itself cannot be replaced; others of such a folder can."""
    mounts = tmp_path / "mountinfo"
    mounts.write_bytes(
        rb"77 70 0:61 /k /data/a\040b\134c/wrapping.key ro,relatime - ext4 /dev/sda rw" + b"\n"
    )
    with pytest.raises(OSError, match="mounted by itself"):
        refuse_mounted(Path("/data/a b\\c/wrapping.key"), mounts)
    refuse_mounted(Path("/data/a b\\c/wrapping"), mounts)
    refuse_mounted(Path("/data"), mounts)
