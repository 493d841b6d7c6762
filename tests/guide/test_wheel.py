"""The guide in the built wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.guide import FOLDER, ROOT


def test_the_guide_is_in_the_wheel(tmp_path: Path):
    """A built wheel holds every chapter and every picture, as they are here."""
    build = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=ROOT, check=True, capture_output=True)
    [file] = tmp_path.glob("*.whl")
    prefix = "macaroon_cbat/guide/"
    with zipfile.ZipFile(file) as wheel:
        shipped = {name: wheel.read(name) for name in wheel.namelist() if name.startswith(prefix)}
    assert shipped == {prefix + one.name: one.read_bytes() for one in FOLDER.iterdir()}
