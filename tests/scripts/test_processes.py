"""The tests' own runner loses no result."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = """
import os, pathlib, warnings, pytest

@pytest.fixture(scope="session", autouse=True)
def to_the_end(tmp_path_factory):
    yield
    pathlib.Path(f"ended-{os.getpid()}").touch()

@pytest.fixture
def spoiled():
    raise ValueError

@pytest.fixture
def ends_badly():
    yield
    raise ValueError

def test_passes(tmp_path):
    pathlib.Path(f"began-{os.getpid()}").touch()
    assert tmp_path.parent.name in ("0", "1")

def test_fails():
    os.write(1, b"written by the process")
    assert False

def test_is_an_error(spoiled):
    pass

def test_ends_in_an_error(ends_badly):
    pass

def test_warns():
    warnings.warn("a warning")

@pytest.mark.skip(reason="the runner has to tell of it")
def test_is_skipped():
    pass
"""
DEATH = """
import os

def test_before():
    pass

def test_dies():
    os._exit(0)

def test_after():
    pass
"""
NO_END = """
import threading
from tests.support import processes

processes.END_SECONDS = 1

def test_leaves_a_thread():
    threading.Thread(target=threading.Event().wait).start()
"""
BAD_END = """
def pytest_unconfigure(config):
    if hasattr(config, "workerinput"):
        raise ValueError
"""


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_results.py").write_text(RESULTS)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.support.processes",
            "--processes",
            "2",
            "-rA",
            *arguments,
        ],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def _told(answer: subprocess.CompletedProcess[str]) -> set[tuple[str, str]]:
    return set(re.findall(r"^([A-Z]+) \S+?\.py::(\w+)", answer.stdout, re.MULTILINE))


def test_every_result_is_told(tmp_path: Path) -> None:
    """A run tells each result, and fails the tests whose process ended before they did."""
    (tmp_path / "test_death.py").write_text(DEATH)
    answer = _run(tmp_path)
    assert _told(answer) == {
        ("PASSED", "test_passes"),
        ("FAILED", "test_fails"),
        ("ERROR", "test_is_an_error"),
        ("PASSED", "test_ends_in_an_error"),
        ("ERROR", "test_ends_in_an_error"),
        ("PASSED", "test_warns"),
        ("PASSED", "test_before"),
        ("FAILED", "test_dies"),
        ("FAILED", "test_after"),
    }
    assert answer.returncode == 1
    assert "1 skipped, 1 warning, 2 errors" in answer.stdout
    assert "written by the process" in answer.stdout
    assert "failed: test_results.py::test_fails" in answer.stdout.split("= FAILURES =")[0]


def test_what_lasts_a_session_is_ended(tmp_path: Path) -> None:
    """Each process ends the fixtures of its session, also when the run is stopped before its end."""
    (tmp_path / "test_more.py").write_text(RESULTS)
    assert _run(tmp_path, "-x").returncode == 1
    begun, ended = (
        {path.name.split("-")[1] for path in tmp_path.glob(f"{word}-*")} for word in ("began", "ended")
    )
    assert begun
    assert begun <= ended


def test_a_process_that_ends_badly_fails_the_run(tmp_path: Path) -> None:
    """A process that fails after its last test fails the run, in which no test failed."""
    (tmp_path / "conftest.py").write_text(BAD_END)
    answer = _run(tmp_path, "-k", "test_passes")
    assert "processes ended with [1]" in answer.stdout
    assert answer.returncode == 3


def test_a_thread_that_never_ends_holds_no_result_back(tmp_path: Path) -> None:
    """A process whose test has left a thread shows it and fails the run, which tells its results."""
    (tmp_path / "test_no_end.py").write_text(NO_END)
    answer = _run(tmp_path, "-k", "test_leaves or test_fails")
    assert _told(answer) == {("PASSED", "test_leaves_a_thread"), ("FAILED", "test_fails")}
    assert "threading.py" in answer.stderr
    answer = _run(tmp_path, "-k", "test_leaves")
    assert "processes ended with" in answer.stdout
    assert answer.returncode == 3
