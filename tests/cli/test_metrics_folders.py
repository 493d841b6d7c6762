"""Counters find a place on a machine without a temporary folder, and a leftover variable disturbs nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import fork_server
from tests.support.command_line import ROOT, environment, run, serving
from tests.support.metrics import counted, counters, measured, workers_of
from tests.support.ports import free_port
from tests.support.tls_servers import wait_until

BOTH = pytest.mark.parametrize("workers", [1, 2])
ONE_ROUND = counted(1) | {"tokens_revoked_total{}": 1}
LEFTOVER = "/proc/nowhere"
LIMITED = "from tests.support.forbidden_files import forbid_files; forbid_files(65536); "


def counter_files(data: Path) -> list[str]:
    """Return which files of counters there are in the folder, in a folder of their own."""
    return sorted(file.name for file in data.glob("macaroon-cbat-*/*"))


@BOTH
@pytest.mark.parametrize("folder", ["/proc", "/proc/nowhere"], ids=["unwritable", "missing"])
def test_counters_need_no_temporary_folder(data, workers, folder):
    """The page counts exactly although TMPDIR cannot be written."""
    with measured(data, workers, TMPDIR=folder) as (_, caller, port):
        caller.round(0)
        assert counters(port) == ONE_ROUND


def test_one_process_counts_in_memory(data, tmp_path):
    """A single worker writes no file of counters, wherever it could."""
    with measured(data, 1, TMPDIR=str(tmp_path)) as (_, caller, port):
        caller.round(0)
        assert counters(port) == ONE_ROUND
        assert counter_files(tmp_path) == []


def test_a_successor_needs_no_room(data, tmp_path):
    """Each worker's file is on the disk before it starts, and its successor goes on in the same one."""
    with measured(data, 2, TMPDIR=str(tmp_path)) as (service, _, port):
        for killed in workers_of(service.pid):
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda dead=killed: dead not in (now := workers_of(service.pid)) and len(now) == 2)
        wait_until(lambda: counters(port)["tokens_revoked_total{}"] == 0)
        assert counter_files(tmp_path) == [
            *("counter_0.db", "counter_1.db", "gauge_livesum_0.db", "gauge_livesum_1.db"),
            *("histogram_0.db", "histogram_1.db"),
        ]
        [folder] = tmp_path.glob("macaroon-cbat-*")
        stats = [file.stat() for file in folder.iterdir()]
        assert all(one.st_blocks * 512 >= one.st_size > 0 for one in stats)


@BOTH
@pytest.mark.parametrize("name", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
def test_a_leftover_folder_is_ignored(data, workers, name):
    """A folder of counters that is gone changes nothing: the service starts, and one line says so."""
    with serving(data, "--workers", str(workers), **{name: LEFTOVER}):
        pass
    log = (data.parent / f"{data.name}.log").read_text()
    assert f"names {LEFTOVER}, which cannot be written" in log
    assert "Traceback" not in log


@BOTH
def test_a_page_has_counters_of_its_own(data, workers, tmp_path):
    """With a metrics page the counters are the service's, whatever folder the environment names."""
    other = tmp_path / "other"
    other.mkdir()
    with measured(data, workers, PROMETHEUS_MULTIPROC_DIR=str(other)) as (_, caller, port):
        caller.round(0)
        assert counters(port) == ONE_ROUND
    assert list(other.iterdir()) == []


def limited(command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a Python statement in a process whose files cannot grow beyond 64 KiB, as on a full disk."""
    return subprocess.run(
        [sys.executable, "-c", LIMITED + command],
        capture_output=True, cwd=ROOT, env=environment(), timeout=60, check=False,
    )  # fmt: skip


def test_without_any_room_there_is_one_line(tmp_path):
    """Processes that find no room for counters end in one line, with the folders and the remedy."""
    policy = tmp_path / "gateway.toml"
    (tmp_path / "keys.json").write_bytes(b"{}")
    policy.write_text(
        'audience = "https://api.example"\nkeys = "keys.json"\n'
        f'[listen]\nhttp = "unix:g.sock"\nmetrics = "127.0.0.1:{free_port()}"\n'
        '[proxy]\nkind = "nginx"\ntrust = ["unix"]\n[[rule]]\npath = "/"\nscope = ""\n'
    )
    done = limited(f"from macaroon_cbat.cli import main; main(['gateway', {str(policy)!r}])")
    assert (done.returncode, done.stdout) == (2, b"")
    [line] = done.stderr.decode().splitlines()
    assert "find no folder with room" in line
    assert "/tmp: File too large" in line
    assert line.endswith("mount a writable /tmp, or name another folder in TMPDIR")


def test_guards_and_services_of_other_servers_go_on(tmp_path):
    """Guard and service decide as ever where prometheus_client has no folder; the log says so."""
    done = fork_server.run(
        [sys.executable, "-m", "tests.support.guard_and_service", str(tmp_path)],
        capture_output=True, cwd=ROOT, env=environment(PROMETHEUS_MULTIPROC_DIR=LEFTOVER), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert b"not counted, prometheus_client cannot write" in done.stderr


FORKING = """
import os, shutil
from macaroon_cbat.errors import MissingToken
from macaroon_cbat.resource import metrics
metrics.count_refused(MissingToken("no token"))
shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"])
if os.fork() == 0:
    for _ in range(3):
        metrics.count_refused(MissingToken("no token"))
    os._exit(0)
os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_a_folder_that_goes_away_stops_no_guard(tmp_path):
    """A worker that was forked after the folder was removed judges on, though nothing is counted."""
    folder = tmp_path / "counters"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        capture_output=True, cwd=ROOT, env=environment(PROMETHEUS_MULTIPROC_DIR=str(folder)), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()


def test_the_command_needs_no_room_without_a_page(data):
    """Commands that count nothing for a page do not look for a folder."""
    done = run("client", "list", "--data", data, TMPDIR="/proc", PROMETHEUS_MULTIPROC_DIR=LEFTOVER)
    assert done.returncode == 0, done.stderr
