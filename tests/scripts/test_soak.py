"""The soak, so short that it only shows that everything in it runs."""

import subprocess
from pathlib import Path

import pytest

from tests.support.patience import LONG_TEST

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(LONG_TEST)
def test_the_soak_runs():
    """Holders, followers, kills, rotations and two failovers happen, and nothing goes wrong."""
    done = subprocess.run(
        [ROOT / "scripts" / "soak", "16", "--holders", "3", "--followers", "4", "--pause", "0.2"],
        check=False,
        capture_output=True,
        text=True,
        umask=0o022,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    counted = {line.split("|")[1].strip() for line in done.stdout.splitlines() if line.startswith("| ")}
    wanted = {"an own token: 200", "a child of another certificate: 401", "checks of all followers"}
    assert wanted <= counted, done.stdout
    assert done.stdout.count("the standby is promoted") == 2
    assert done.stdout.splitlines()[-1] == "nothing was let in wrongly, no revocation was lost"
