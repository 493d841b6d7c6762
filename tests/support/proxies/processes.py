"""Real proxies and gateways, each started from what our commands generate, ended by process id."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.support import fork_server
from tests.support.patience import SECONDS
from tests.support.service_process import ENVIRONMENT, ROOT, in_process

"""Seconds until a process that does not answer is taken to hang."""
WHEELS = Path(sys.prefix) / "proxies"
NGINX = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/pid;
error_log {folder}/log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/nginx.conf;
}}
"""
APACHE = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/log
Mutex file:{folder} default
User {name}
Group {group}
{modules}
Include {folder}/httpd.conf
"""
APACHE_MODULES = (
    "mpm_event",
    "authz_core",
    "headers",
    "socache_shmcb",
    "ssl",
    "http2",
    "lua",
    "proxy",
    "proxy_http",
)


@dataclass(frozen=True)
class Ports:
    """The ports of one proxy."""

    tls: int
    clear: int


@contextmanager
def proxy_process(
    name: str,
    folder: Path,
    ports: Ports,
    options: list[object],
    edit: Callable[[Path], None] = lambda _: None,
) -> Iterator[None]:
    """Generate a proxy's configuration, edited where a test spoils it, and run it until the block ends."""
    in_process(
        "proxy-config", name, "--listen", f"127.0.0.1:{ports.tls}",
        "--http-listen", f"127.0.0.1:{ports.clear}", "--output", folder, *options,
    )  # fmt: skip
    if name == "envoy":
        _hurry(folder / "envoy.yaml")
    edit(folder)
    with process(_command(name, folder), folder) as running:
        # Traefik listens before it has read its routes: a refusal in the clear shows that it has.
        wait_for(lambda: _refuses(ports.clear), running, folder)
        yield


@contextmanager
def nginx_process(folder: Path, port: int) -> Iterator[None]:
    """Run nginx on the configuration that is in the folder already, from when it listens on."""
    with process(_command("nginx", folder), folder) as running:
        wait_for_port(port, running, folder)
        yield


def _hurry(file: Path) -> None:
    """Have Envoy close a connection that it refused in a tenth of its second; nothing else changes."""
    text, mark = file.read_text(), "stat_prefix: macaroon_cbat\n"
    assert text.count(mark) == 1
    file.write_text(text.replace(mark, f"{mark}                delayed_close_timeout: 0.1s\n"))


def _refuses(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 403
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _command(name: str, folder: Path) -> list[str]:
    if name == "nginx":
        user = "user root;" if os.getuid() == 0 else ""
        (folder / "main.conf").write_text(NGINX.format(folder=folder, user=user))
    if name == "apache":
        _write_apache(folder)
    options = {
        "nginx": ["-e", f"{folder}/log", "-p", str(folder), "-c", f"{folder}/main.conf"],
        "haproxy": ["-db", "-f", f"{folder}/haproxy.cfg"],
        "apache": ["-f", f"{folder}/main.conf", "-D", "FOREGROUND"],
        "caddy": ["run", "--adapter", "caddyfile", "--config", f"{folder}/Caddyfile"],
        "traefik": [f"--configfile={folder}/traefik.yml"],
        "envoy": ["-c", f"{folder}/envoy.yaml", "-l", "warn", "--concurrency", "1", "--disable-hot-restart"],
    }
    return [binary_of(name), *options[name]]


def binary_of(name: str) -> str:
    """Return the path of a proxy, of scripts/setup-proxies or of the system; a user's PATH may lack sbin."""
    if name == "envoy":  # its script wraps the binary and would leave it behind
        return str(WHEELS / "envoy/_bin/envoy")
    tool = {"apache": "apache2"}.get(name, name)
    path = shutil.which(tool, path=f"{WHEELS / 'bin'}:{os.environ['PATH']}:/usr/sbin")
    assert path is not None, f"{tool} is missing: run scripts/setup-proxies"
    return path


def _write_apache(folder: Path) -> None:
    modules = Path("/usr/lib/apache2/modules")
    lines = "\n".join(f"LoadModule {name}_module {modules}/mod_{name}.so" for name in APACHE_MODULES)
    user = ("www-data", "www-data") if os.getuid() == 0 else (f"#{os.getuid()}", f"#{os.getgid()}")
    (folder / "main.conf").write_text(
        APACHE.format(folder=folder, modules=lines, name=user[0], group=user[1])
    )


@contextmanager
def gateway_process(policy: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run `macaroon-cbat gateway` until the block ends, or until another process ends it."""
    with (policy.parent / "gateway.log").open("ab") as log:
        gateway = fork_server.Popen(
            [sys.executable, "-m", "macaroon_cbat", "gateway", str(policy)],
            cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        assert gateway.stdout is not None
        assert b"ready" in gateway.stdout.readline(), (policy.parent / "gateway.log").read_text()
        yield gateway
    finally:
        _end(gateway)


@contextmanager
def process(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends."""
    with (folder / "output").open("ab") as log:
        home = {
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
            "GOGC": "off",
        }
        running = fork_server.Popen(
            command,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **home},
            start_new_session=True,
        )
    try:
        yield running
    finally:
        # At once, with its workers: Traefik and Apache would wait some seconds for open connections.
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.kill()
        running.wait()


def wait_for_port(port: int, running: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until a process listens on this port of this machine."""

    def answers() -> bool:
        with socket.socket() as asking:
            return asking.connect_ex(("127.0.0.1", port)) == 0

    wait_for(answers, running, folder)


def wait_for(holds: Callable[[], bool], running: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until it holds; fail with the logs when the process ends or it takes too long."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert running.poll() is None, _logs(folder)
        assert time.monotonic() < deadline, _logs(folder)
        time.sleep(0.02)


def _logs(folder: Path) -> str:
    return "\n".join(f.read_text() for f in (folder / "output", folder / "log") if f.is_file())


def _end(running: subprocess.Popen[bytes]) -> None:
    if running.poll() is None:
        running.terminate()
        try:
            running.wait(5)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
    if running.stdout is not None:
        running.stdout.close()
