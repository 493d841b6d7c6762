"""The distributions, as `pip` installs them."""

import subprocess
import sys

import pytest

from tests.support.installations import ROOT


def wheels(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run scripts/wheels."""
    command = [str(ROOT / "scripts/wheels"), *arguments]
    return subprocess.run(command, capture_output=True, check=False, text=True, timeout=550)


@pytest.mark.timeout(600)
def test_the_wheel_installs_with_what_its_extras_need():
    """The wheel is complete, its metadata is valid, and fresh environments run what each extra is for."""
    done = wheels("--python", sys.executable, "plain", "flask", "requests", "metrics")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\npassed  ") == 4


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--python", "3.999"], "Python 3.999 is not installed: pyenv install 3.999, or choose interpreters"),
        (["--python", "/no/python"], "Python /no/python is not installed: name another one"),
        (["no-extra"], "'no-extra' is no extra: the extras are plain, "),
    ],
    ids=["version", "path", "extra"],
)
def test_a_trial_that_cannot_be_run_says_why(arguments, line):
    """A missing interpreter, or an extra that there is not, is named with its remedy; nothing passes."""
    done = wheels(*arguments)
    assert done.returncode == 2
    assert line in done.stderr
    assert done.stdout == ""
