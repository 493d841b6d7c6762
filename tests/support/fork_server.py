"""Processes of `python -m MODULE` that are forked from one with the package imported already.

Importing the service takes half a second of processor time, and the tests start a thousand processes. A
forked process has its own arguments, environment, folder, files and exit status; only its imports are done.
"""

import atexit
import contextlib
import gc
import importlib
import inspect
import io
import json
import os
import pkgutil
import re
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.fork_servers import ForkServers

ROOT = Path(__file__).parents[2]
_PACKAGES = (
    "audit", "certificate", "cli", "client", "macaroon", "resource", "server", "service", "stores", "tls",
)  # fmt: skip
_MODULES = (
    "flask", "alembic.command", "sqlalchemy.dialects.postgresql", "sqlalchemy.dialects.sqlite",
    "cryptography.hazmat.backends.openssl.backend", "encodings.idna", "logging.config", "urllib.request",
    "waitress", "wsgiref.simple_server",
    "fastapi", "django.core.handlers.wsgi", "django.core.handlers.asgi", "starlette.applications",
    "asyncio", "h11", "h2.connection", "wsproto",
    "macaroon_cbat.gateway.supervisor", "macaroon_cbat.gateway.worker",
)  # fmt: skip
"""Never an ASGI server: the package recognizes one by the modules that a process has loaded."""
_LEFT_OUT = ("macaroon_cbat.client.aiohttp", "macaroon_cbat.stores.migrations.")

_LONGEST = 1 << 17
_SETTINGS = {"stdin", "stdout", "stderr", "cwd", "env", "text", "bufsize", "start_new_session"}
_LANGUAGE = ("LANG", "LC_ALL", "LC_CTYPE")
_WITHOUT_EFFECT = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
"""A forked process opens its own standard files, and has imported already."""


def preload() -> None:
    """Import what most processes need; never prometheus_client, which reads its environment at that time."""
    for name in _MODULES:
        importlib.import_module(name)
    for package in _PACKAGES:
        path = [str(ROOT / "macaroon_cbat" / package)]
        for module in pkgutil.walk_packages(path, f"macaroon_cbat.{package}."):
            if not module.name.startswith(_LEFT_OUT):
                importlib.import_module(module.name)
    assert "prometheus_client" not in sys.modules


def main() -> None:
    """Fork a server for each socket that standard input brings, and wait for them at its end."""
    preload()
    gc.collect()
    gc.freeze()
    sock = socket.socket(fileno=os.dup(0))
    while fds := socket.recv_fds(sock, 16, 1)[1]:
        if not os.fork():
            sock.close()
            _serve(socket.socket(fileno=fds[0]))
            return
        os.close(fds[0])
    sock.close()
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()


def _serve(sock: socket.socket) -> None:
    """Fork a process for each message on this socket, and tell the pid and later the status of each."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([sock, woken], [], [])
        if woken in ready:
            os.read(woken, 4096)
        _tell_the_ended(sock)
        if sock in ready:
            message, fds, _, _ = socket.recv_fds(sock, _LONGEST, 3)
            if not message:
                sock.close()
                return
            if (pid := os.fork()) == 0:
                break
            for fd in fds:
                os.close(fd)
            sock.send(json.dumps({"pid": pid}).encode())
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _run(json.loads(message), fds)


def _tell_the_ended(sock: socket.socket) -> None:
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            sock.send(json.dumps({"pid": ended[0], "status": ended[1]}).encode())


def _run(message: dict[str, Any], fds: list[int]) -> None:
    if message["session"]:
        os.setsid()
    for number, fd in enumerate([os.dup(fd) for fd in fds]):
        os.dup2(fd, number)
    os.closerange(3, 1 << 16)
    os.umask(message["umask"])
    os.chdir(message["cwd"])
    os.environ.clear()
    os.environ.update(message["environment"])
    _open_standard_files()
    sys.path[0] = message["cwd"]
    sys.argv = [message["module"], *message["arguments"]]
    status = _status_of(message["module"])
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError:
        status = 120
    os._exit(status)


def _open_standard_files() -> None:
    sys.stdin = sys.__stdin__ = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, closefd=False)), "utf-8")  # type: ignore[misc]
    for name, fd, errors in (("stdout", 1, "strict"), ("stderr", 2, "backslashreplace")):
        is_line = fd == 2 or os.isatty(fd)
        raw = io.FileIO(fd, "w", closefd=False)
        file = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors, line_buffering=is_line)
        setattr(sys, name, file)
        setattr(sys, f"__{name}__", file)


def _status_of(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return (end.code or 0) & 0xFF
        sys.stderr.write(f"{end.code}\n")
        return 1
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 # as the interpreter does
        traceback.print_exc()
        return 1
    return 0


class _Server:
    """One forking process, for one set of the variables that an interpreter reads when it starts."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._lock, self._ended = threading.Lock(), dict[int, int]()
        self._socket, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            _fork_servers().serve(environment, its)

    def fork(self, message: dict[str, Any], fds: list[int]) -> int:
        """Return the pid of a new process that runs a module."""
        with self._lock:
            socket.send_fds(self._socket, [json.dumps(message).encode()], fds)
            while True:
                told = self._hear()
                if "status" not in told:
                    return int(told["pid"])

    def status_of(self, pid: int, *, is_patient: bool) -> int | None:
        """Return the wait status of an ended process; None while it runs."""
        while True:
            with self._lock:
                while select.select([self._socket], [], [], 0.05 if is_patient else 0)[0]:
                    self._hear()
                    if pid in self._ended:
                        break
                if pid in self._ended:
                    return self._ended.pop(pid)
            if not is_patient:
                return None

    def _hear(self) -> dict[str, int]:
        told: dict[str, int] = json.loads(self._socket.recv(_LONGEST))
        if "status" in told:
            self._ended[told["pid"]] = told["status"]
        return told

    def end(self) -> None:
        """End the server; what it forked goes on."""
        self._socket.close()


_servers: dict[tuple[tuple[str, str], ...], _Server] = {}
_starting = threading.Lock()
_kept = list[ForkServers]()


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Start the servers that this process and those that it forks use in this context."""
    _kept.append(ForkServers())
    try:
        yield
    finally:
        _kept.pop().end()


def _fork_servers() -> ForkServers:
    if not _kept:
        _kept.append(ForkServers())
        atexit.register(_kept[0].end)
    return _kept[0]


def _server_for(environment: dict[str, str]) -> _Server:
    read_at_start = {
        name: value
        for name, value in environment.items()
        if (name.startswith("PYTHON") or name in _LANGUAGE) and name not in _WITHOUT_EFFECT
    }
    key = tuple(sorted(read_at_start.items()))
    with _starting:
        if key not in _servers:
            _servers[key] = _Server(read_at_start)
            atexit.register(_servers[key].end)
        return _servers[key]


class _Forked(subprocess.Popen[Any]):
    """A process as `subprocess.Popen` starts it, forked in place of executed."""

    def _execute_child(self, *given: Any) -> None:
        names = list(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]  # type: ignore[attr-defined]
        call = dict(zip(names, given, strict=True))
        environment = dict(os.environ if call["env"] is None else call["env"])
        self._server = _server_for(environment)
        [umask] = re.findall(r"^Umask:\s*(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
        message = {
            "module": call["args"][2],
            "arguments": list(map(os.fspath, call["args"][3:])),
            "environment": environment,
            "cwd": os.fspath(call["cwd"] or Path.cwd()),
            "session": bool(call["start_new_session"]),
            "umask": int(umask, 8),
        }
        own = (call["p2cread"], call["c2pwrite"], call["errwrite"])
        self.pid = self._server.fork(message, [number if fd == -1 else fd for number, fd in enumerate(own)])
        self._child_created = True
        devnull = getattr(self, "_devnull", None)
        far = (call["p2cwrite"], call["c2pread"], call["errread"])
        for fd in {one for one, other in zip(own, far, strict=True) if -1 not in (one, other)} - {devnull}:
            os.close(fd)
        if devnull is not None:
            os.close(devnull)
        self._closed_child_pipe_fds = True

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        with self._waitpid_lock:  # type: ignore[attr-defined]
            if self.returncode is None:
                pid, status = self._try_wait(os.WNOHANG)
                if pid == self.pid:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
        code: int | None = self.returncode
        return code

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        status = self._server.status_of(self.pid, is_patient=not wait_flags)
        return (0, 0) if status is None else (self.pid, status)


def Popen(command: Any, **settings: Any) -> subprocess.Popen[Any]:  # noqa: N802 # as in subprocess
    """Start a process; one of `python -m MODULE` is forked."""
    is_ours = list(command[:2]) == [sys.executable, "-m"] and command[2].startswith(
        ("macaroon_cbat", "tests.")
    )
    is_plain = settings.keys() <= _SETTINGS
    return (_Forked if is_ours and is_plain else subprocess.Popen)(list(command), **settings)


def run(command: Any, *, timeout: float | None = None, check: bool = False, **settings: Any) -> Any:
    """Run a process to its end as `subprocess.run` does; one of `python -m MODULE` is forked."""
    given = settings.pop("input", None)
    if given is not None:
        settings["stdin"] = subprocess.PIPE
    if settings.pop("capture_output", False):
        settings |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Popen(command, **settings) as process:
        try:
            out, err = process.communicate(given, timeout)
        except BaseException:
            process.kill()
            raise
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command, out, err)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


if __name__ == "__main__":
    main()
