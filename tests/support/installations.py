"""Interpreters in which no library can be imported but those of some extras, as after `pip install`."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OURS = "macaroon_cbat"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: list[str] = sorted(PROJECT["optional-dependencies"])
_PRELUDE = """
import sys
from importlib.machinery import PathFinder
HIDDEN = frozenset({hidden!r})
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in HIDDEN else PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Finder
for name in [name for name in sys.modules if name.partition(".")[0] in HIDDEN]:
    del sys.modules[name]
"""


def distributions(extras: Iterable[str] = ()) -> set[str]:
    """Return what `pip install macaroon_cbat[extras]` installs besides this package, by canonical name."""
    found: set[tuple[str, str]] = set()
    pending = [(OURS, extra) for extra in ("", *extras)]
    while pending:
        one = pending.pop()
        if one not in found:
            found.add(one)
            pending += _needed_by(*one)
    return {name for name, _ in found} - {canonicalize_name(OURS), OURS}


def _needed_by(name: str, extra: str) -> list[tuple[str, str]]:
    wanted = [Requirement(text) for text in _requirements(name, extra)]
    return [
        (canonicalize_name(one.name).replace("macaroon-cbat", OURS), each)
        for one in wanted
        if one.marker is None or one.marker.evaluate({"extra": extra})
        for each in ("", *one.extras)
    ]


def _requirements(name: str, extra: str) -> list[str]:
    if name != OURS:
        return requires(name) or []
    return PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]


@cache
def _modules() -> dict[str, set[str]]:
    """Return the distributions that each importable name may come from, by that name."""
    return {
        module: {canonicalize_name(name) for name in names}
        for module, names in packages_distributions().items()
    }


def foreign_modules(extras: Iterable[str] = ()) -> set[str]:
    """Return the names that can be imported here and could not be with these extras alone."""
    there = distributions(extras) | {canonicalize_name(OURS)}
    return {module for module, names in _modules().items() if not names & there}


def run_with(extras: Iterable[str], code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run code in a fresh interpreter that has the libraries of these extras alone."""
    prelude = _PRELUDE.format(hidden=sorted(foreign_modules(extras)))
    return subprocess.run(
        [sys.executable, "-c", prelude + code, *arguments],
        capture_output=True,
        check=False,
        text=True,
        cwd=ROOT,
        timeout=100,
    )


def json_of(extras: Iterable[str], code: str, *arguments: str) -> Any:
    """Return what the code prints as JSON in such an interpreter."""
    done = run_with(extras, code, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
