"""Processes in which no library can be imported but those of some extras, as after `pip install`."""

import atexit
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OURS = "macaroon_cbat"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS: list[str] = sorted(PROJECT["optional-dependencies"])


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


@cache
def _interpreter() -> "subprocess.Popen[str]":
    """Start the interpreter whose children run the probes of this process."""
    command = [sys.executable, "-m", "tests.support.bare_interpreter"]
    started = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT
    )
    atexit.register(_end, started)
    _tell(started, sorted(foreign_modules()))
    return started


def _tell(interpreter: "subprocess.Popen[str]", message: object) -> None:
    assert interpreter.stdin is not None
    interpreter.stdin.write(json.dumps(message) + "\n")


def _end(interpreter: "subprocess.Popen[str]") -> None:
    with interpreter:
        pass


def run_with(extras: Iterable[str], code: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run code in a process that has the libraries of these extras alone, and none of them imported yet."""
    interpreter = _interpreter()
    assert interpreter.stdout is not None
    with NamedTemporaryFile("r") as out, NamedTemporaryFile("r") as err:
        message = {"hidden": sorted(foreign_modules(extras)), "code": code, "arguments": arguments}
        _tell(interpreter, message | {"out": out.name, "err": err.name})
        status = int(interpreter.stdout.readline())
        return subprocess.CompletedProcess([code, *arguments], status, out.read(), err.read())


def json_of(extras: Iterable[str], code: str, *arguments: str) -> Any:
    """Return what the code prints as JSON in such a process."""
    done = run_with(extras, code, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
