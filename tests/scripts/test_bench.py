"""The benchmarks, so small that no figure counts: each of them runs with the code as it is."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GROUPS = {
    "core": 15,
    "certificates": 26,
    "revocations": 10,
    "refusing": 4,
    "service": 3,
    "gateway": 5,
    "proxies": 7,
}
"""The groups, and how many figures each has."""


@pytest.mark.timeout(320)
@pytest.mark.parametrize("group", GROUPS)
def test_each_group_of_the_benchmarks_runs(group):
    """A group measures all its cases, with a usual umask, and says so in JSON."""
    done = subprocess.run(
        [ROOT / "scripts" / "bench", "--small", "--json", group],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
        umask=0o022,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)["groups"]
    assert {name: len(lines) for name, lines in figures.items()} == {group: GROUPS[group]}


def test_an_unknown_group_is_refused():
    """A group that does not exist is wrong usage; the message names those that do."""
    done = subprocess.run(
        [ROOT / "scripts" / "bench", "cores"], check=False, capture_output=True, text=True, timeout=100
    )
    assert (done.returncode, "no group cores; there is: core, certificates," in done.stderr) == (2, True)
