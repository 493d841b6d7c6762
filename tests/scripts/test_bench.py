"""The benchmarks, so small that no figure counts: each of them runs with the code as it is."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.support.patience import LONG_TEST

ROOT = Path(__file__).parents[2]
GROUPS = {
    "core": 15,
    "peers": 13,
    "certificates": 26,
    "revocations": 10,
    "requests": 3,
    "refusing": 4,
    "sizing": 8,
    "followers": 33,
    "service": 3,
    "gateway": 6,
    "proxies": 8,
    "providers": 6,
    "guards": 3,
}
"""The groups, and how many figures each has."""


TOGETHER = (
    ("core", "peers", "certificates", "revocations", "requests"),
    ("refusing", "sizing", "followers", "service", "gateway", "proxies", "providers", "guards"),
)
"""The groups of each run: all of them once, and every run leaves others out."""


@pytest.mark.timeout(LONG_TEST)
@pytest.mark.parametrize("groups", TOGETHER, ids=", ".join)
def test_each_group_of_the_benchmarks_runs(groups):
    """The groups that are asked for measure all their cases, with a usual umask, and say so in JSON."""
    done = subprocess.run(
        [ROOT / "scripts" / "bench", "--small", "--json", *groups],
        check=False,
        capture_output=True,
        text=True,
        umask=0o022,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout)["groups"]
    assert {name: len(lines) for name, lines in figures.items()} == {name: GROUPS[name] for name in groups}


def test_each_group_is_in_one_run():
    """No group is left out above."""
    assert sorted(name for groups in TOGETHER for name in groups) == sorted(GROUPS)


def test_an_unknown_group_is_refused():
    """A group that does not exist is wrong usage; the message names those that do."""
    done = subprocess.run([ROOT / "scripts" / "bench", "cores"], check=False, capture_output=True, text=True)
    assert (done.returncode, "no group cores; there is: core, peers," in done.stderr) == (2, True)
