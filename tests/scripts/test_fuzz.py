"""`scripts/fuzz`, briefly."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_explores_and_finds_nothing():
    """Hypothesis runs at random, atheris fuzzes the formats, and what they find in a second is nothing."""
    done = subprocess.run(
        [ROOT / "scripts" / "fuzz", "1", "tests/text/test_base64url.py"],
        env=os.environ | {"PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--hypothesis-seed=" in done.stderr
    assert "Done " in done.stderr
