"""Wheel and sdist: building them, and what they must and must not have."""

import subprocess
import sys
import tomllib
from email.parser import BytesParser
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = tuple(PROJECT["optional-dependencies"])
_MEMBERS = ("Name", "Version", "Summary", "Author", "Keywords", "Requires-Python", "Description-Content-Type")
_ABSENT = ("License", "License-Expression", "Project-URL", "Home-page")
"""The licence is the owner's to choose, and there is no address to name."""


def build(folder: Path) -> tuple[Path, Path]:
    """Build the sdist, and the wheel from the sdist; return wheel and sdist."""
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    [wheel], [sdist] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


def content_faults(wheel: Path) -> list[str]:
    """Return a line for each file that the wheel lacks or has without need."""
    package = ROOT / "macaroon_cbat"
    expected = {
        str(file.relative_to(ROOT))
        for file in package.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    with ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    lacking = [
        f"{name} is missing in the wheel: look at [tool.hatch.build]" for name in sorted(expected - found)
    ]
    return lacking + [
        f"{name} is in the wheel: it is not of the package" for name in sorted(found - expected)
    ]


def metadata_faults(wheel: Path) -> list[str]:
    """Return a line for each member of the metadata that is missing or unwanted."""
    with ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = BytesParser().parsebytes(archive.read(name))
    lacking = [
        f"{member} is missing in the metadata: set it in pyproject.toml"
        for member in _MEMBERS
        if not metadata[member]
    ]
    return lacking + [
        f"{member} is in the metadata: leave it out" for member in _ABSENT if member in metadata
    ]
