"""Content shown under a path: in memory, else in a private temporary file, else one line about it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SHOW = """
import os
from macaroon_cbat.errors import SettingsError
from macaroon_cbat.files.in_memory import as_path
from tests.support.forbidden_files import forbid_files, forbid_files_in_memory
{forbid}
try:
    with as_path(b"secret" * 20000) as path:
        whole = open(path, "rb").read() == b"secret" * 20000
        print(os.path.realpath(path).split("/")[1], oct(os.stat(path).st_mode & 0o77), whole, end=" ")
    print(os.path.exists(path))
except SettingsError as error:
    print(error)
"""


def show(forbid: str, **variables: str) -> str:
    """Return what a process of its own says that was forbidden this."""
    script = SHOW.format(forbid=forbid)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, check=True, cwd=ROOT, env={"PATH": "/usr/bin:/bin", **variables}, text=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_content_is_in_memory():
    """The content is in no file system at all where nothing is forbidden."""
    assert show("").startswith("memfd:")


@pytest.mark.parametrize("folder", ["", "/proc", "/proc/nowhere"], ids=["unset", "unwritable", "missing"])
def test_without_memory_it_is_in_a_private_file(folder):
    """A file for its owner alone holds the content, as long as needed, where memfd_create is forbidden."""
    place = show("forbid_files_in_memory()", **({"TMPDIR": folder} if folder else {}))
    assert place.split()[1:] == ["0o0", "True", "False"]
    assert place.split()[0] in {"tmp", "var", "dev"}


def test_the_environment_says_where(tmp_path: Path):
    """The file is where TMPDIR says, and gone afterwards."""
    assert show("forbid_files_in_memory()", TMPDIR=str(tmp_path)).split()[1:] == ["0o0", "True", "False"]
    assert list(tmp_path.iterdir()) == []


def test_without_any_place_there_is_one_line(tmp_path: Path):
    """One line names each folder and the remedy where nothing has room, and nothing stays."""
    line = show("forbid_files()", TMPDIR=str(tmp_path))
    assert "\n" not in line
    assert f"({tmp_path}: File too large; /tmp: File too large; " in line
    assert line.endswith(": mount /proc, or a writable /tmp")
    assert list(tmp_path.iterdir()) == []
