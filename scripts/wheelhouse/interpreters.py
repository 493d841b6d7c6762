"""The interpreters that the wheel is tried with."""

import re
import shutil
import subprocess
from pathlib import Path

VERSIONS = ("3.11", "3.12", "3.13")


def interpreter(name: str) -> str:
    """Return the path of an interpreter: a version such as 3.12, a name on the PATH or a path.

    Raises LookupError, with the command that installs it, if there is none.
    """
    is_version = re.fullmatch(r"3\.\d+", name) is not None
    candidates = [f"python{name}", *_of_pyenv(name)] if is_version else [name]
    for candidate in candidates:
        if _runs(candidate, name if is_version else None):
            return candidate
    remedy = f"pyenv install {name}" if is_version else "name another one"
    raise LookupError(f"Python {name} is not installed: {remedy}, or choose interpreters with --python")


def _runs(candidate: str, version: str | None) -> bool:
    """Return True if it starts: a version manager has stubs for versions that are not installed."""
    if shutil.which(candidate) is None:
        return False
    code = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
    return done.returncode == 0 and (version is None or done.stdout.strip() == version)


def _of_pyenv(version: str) -> list[str]:
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return []
    done = subprocess.run([pyenv, "prefix", version], capture_output=True, text=True, check=False)
    return [str(Path(done.stdout.strip()) / "bin/python")] if done.returncode == 0 else []
