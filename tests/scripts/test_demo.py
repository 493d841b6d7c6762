"""The demonstration of the README, as a newcomer runs it."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFUSED, WORKING = 12, 3


@pytest.fixture(scope="module")
def played() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "demo"],
        check=False,
        capture_output=True,
        text=True,
        umask=0o022,  # most users' own, and not that of these tests
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def test_every_scene_of_the_demonstration_comes_out_right(played):
    """Each attack is refused and the holder is served, with the umask of a usual account."""
    assert (played.returncode, played.stderr) == (0, "")
    assert played.stdout.splitlines()[-1] == "all as it must be"


def test_every_scene_of_the_demonstration_is_played(played):
    """No scene is left out: each has its own line, which says ok."""
    scenes = [line for line in played.stdout.splitlines() if line.startswith("  ")]
    assert len(scenes) == REFUSED + WORKING
    assert [line for line in scenes if not line.startswith("  ok   ")] == []


def test_an_expired_child_is_refused_by_its_answer(played):
    """A child that expired longer ago than clocks may differ is refused with 401."""
    (line,) = [line for line in played.stdout.splitlines() if "expired child" in line]
    assert line.split()[-2:] == ["401", "invalid_token"]
