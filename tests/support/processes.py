"""A pytest plugin that collects the tests once and runs them in processes that it forks.

Processes that each start an interpreter, import and collect for themselves spend more on it than most folders
of tests take. A forked process has every test at once. The tests of one file run in one process, in order.
"""

import atexit
import faulthandler
import mmap
import os
import pickle
import sys
import threading
import traceback
from collections.abc import Iterator
from itertools import groupby
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.config import create_terminal_writer

from tests.support import fork_server

_BYTES = 2
"""The length of a file's number in the queue: a process reads all of it or, at the end, nothing."""
END_SECONDS = 60
"""The seconds of a process for its end, after its last test: then it shows its threads, and has failed."""


class _Queue:
    """The numbers of the files that no process has begun: a pipe that all of them read."""

    def __init__(self, count: int) -> None:
        self._reads, writes = os.pipe()
        assert count * _BYTES < 1 << 16, "a pipe holds no more"
        with os.fdopen(writes, "wb") as file:
            file.write(b"".join(number.to_bytes(_BYTES, "big") for number in range(count)))

    def __iter__(self) -> Iterator[int]:
        while number := os.read(self._reads, _BYTES):
            yield int.from_bytes(number, "big")

    def close(self) -> None:
        os.close(self._reads)


class _Teller:
    """Tells the process that collected the tests what became of each."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reports, self._warnings = list[dict[str, Any]](), list[dict[str, Any]]()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self._reports.append(report._to_json())  # noqa: SLF001

    def pytest_warning_recorded(self, warning_message: Any, when: str, nodeid: str, location: Any) -> None:
        if when == "runtest":  # the others were heard when the tests were collected
            self._warnings.append(
                {"warning_message": warning_message, "when": when, "nodeid": nodeid, "location": location}
            )

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._connection.send_bytes(pickle.dumps((nodeid, self._reports, self._warnings)))
        self._reports, self._warnings = [], []


class _Process:
    """A forked process that runs files of tests, as it is seen by the one that forked it."""

    def __init__(self, number: int, work: "Run") -> None:
        self.connection, its = Pipe(duplex=False)
        self.pid = os.fork()
        if not self.pid:
            _end_after(lambda: work.run_files(number, its))
        its.close()
        self.ends = os.pidfd_open(self.pid)

    def close(self) -> int:
        """Wait for its end; return its exit status."""
        self.connection.close()
        os.close(self.ends)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Run:
    """A run of all tests of a session in several processes."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._files = [list(items) for _, items in groupby(session.items, lambda item: item.path)]
        self._left = {item.nodeid: item for item in session.items}
        self._queue = _Queue(len(self._files))
        self._is_over = mmap.mmap(-1, 1)
        self._base = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # noqa: SLF001

    def run(self, count: int) -> None:
        """Run them in so many processes; a test whose process ended amid it has failed."""
        processes = list[_Process]()
        try:
            for number in range(min(count, len(self._files))):
                processes.append(_Process(number, self))
            self._hear(processes)
        finally:
            self._is_over[0] = 1
            self._queue.close()
            statuses = [process.close() for process in processes]
        if not self._is_stopped:
            for item in self._left.values():
                lost = "its process ended before the test did"
                self._report(pytest.TestReport(item.nodeid, item.location, {}, "failed", lost, "call"))
            assert self._session.testsfailed or not any(statuses), f"processes ended with {statuses}"

    @property
    def _is_stopped(self) -> bool:
        return bool(self._session.shouldfail or self._session.shouldstop)

    def _hear(self, processes: list[_Process]) -> None:
        sources = {source: process for process in processes for source in (process.connection, process.ends)}
        while sources:
            for source in wait(list(sources)):
                process = sources.get(source)  # type: ignore[call-overload]
                if process is None or self._heard(process):
                    continue
                del sources[process.connection], sources[process.ends]
            if self._is_stopped:
                self._is_over[0] = 1

    def _heard(self, process: _Process) -> bool:
        """Hear of one test; return whether there may be more."""
        if not process.connection.poll():
            return False  # it has ended, and all that it told is heard
        try:
            nodeid, reports, warnings = pickle.loads(process.connection.recv_bytes())
        except EOFError:
            return False
        for warning in warnings:
            self._session.config.hook.pytest_warning_recorded.call_historic(kwargs=warning)
        for report in reports:
            self._report(pytest.TestReport._from_json(report))  # noqa: SLF001
        self._left.pop(nodeid, None)
        return True

    def _report(self, report: pytest.TestReport) -> None:
        terminal = self._session.config.pluginmanager.getplugin("terminalreporter")
        if report.failed and terminal is not None:  # a run that is cut off has said what failed
            terminal.write_line(f"\nfailed: {report.nodeid}")
        self._session.config.hook.pytest_runtest_logreport(report=report)

    def run_files(self, number: int, told: Connection) -> None:
        """Run files in this forked process as long as there are some."""
        config = self._session.config
        _become(config, number)
        factory = config._tmp_path_factory  # type: ignore[attr-defined]  # noqa: SLF001
        factory._exit_stack.pop_all()  # noqa: SLF001 # the first process removes the folders
        factory._basetemp = self._base / str(number)  # noqa: SLF001
        factory.getbasetemp().mkdir(0o700)
        config.pluginmanager.register(_Teller(told))
        try:
            items = (item for file in self._queue for item in self._files[file])
            item = next(items, None)
            while item is not None and not self._is_over[0]:
                following = next(items, None)
                config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                item = following
        finally:
            self._session._setupstate.teardown_exact(None)  # noqa: SLF001
            config._ensure_unconfigure()  # noqa: SLF001


def _become(config: pytest.Config, number: int) -> None:
    """Have a forked process capture output of its own, and leave terminal and cache to the first process."""
    config.workerinput = {"workerid": str(number)}  # type: ignore[attr-defined] # as pytest-xdist marks them
    capture = config.pluginmanager.getplugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    config.pluginmanager.unregister(name="terminalreporter")
    writer = create_terminal_writer(config, sys.stderr)  # where pytest-timeout shows the threads
    config.pluginmanager.register(SimpleNamespace(_tw=writer), "terminalreporter")


def _end_after(work: Any) -> None:
    """Do this and end the forked process, as an interpreter ends."""
    status = 1
    try:
        work()
        status = 0
    except BaseException:  # noqa: BLE001 # nothing may return into the loop of the first process
        traceback.print_exc()
    # A thread that a test has left, and that never ends, would keep the run from telling its results.
    faulthandler.dump_traceback_later(END_SECONDS, exit=True, file=2)
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    os._exit(status)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--processes", type=int, default=0, help="run the tests in so many forked processes")


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Run the tests in processes, if there are any to run and processes are asked for."""
    count = session.config.getoption("processes")
    if not count or session.config.option.collectonly or session.testsfailed or not session.items:
        return None
    assert threading.active_count() == 1, "a fork would lose threads that were started by collecting tests"
    with fork_server.shared():
        Run(session).run(count)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
    return True
