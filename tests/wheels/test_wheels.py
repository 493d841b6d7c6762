"""The distributions, as `pip` installs them."""

import os
import subprocess
import sys

import pytest

from tests.support.installations import ROOT
from tests.support.patience import LONG_TEST


def wheels(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run scripts/wheels; what a trial does not import is not compiled."""
    command, variables = [str(ROOT / "scripts/wheels"), *arguments], {"PIP_NO_COMPILE": "1"}
    return subprocess.run(command, capture_output=True, check=False, text=True, env=os.environ | variables)


@pytest.mark.timeout(LONG_TEST)
def test_the_wheel_installs_with_what_its_extras_need():
    """The wheel is complete, its metadata is valid, and fresh environments run what each extra is for."""
    done = wheels("--python", sys.executable, "plain", "flask", "requests", "metrics")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\npassed  ") == 4


@pytest.mark.timeout(LONG_TEST)
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
