"""A gateway process with a policy file of its own, and proxies' ways of asking it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from macaroon_cbat.macaroon.keys import write_key_file
from tests.support import fork_server
from tests.support.service_process import ENVIRONMENT, ROOT
from tests.support.tls_servers import SECONDS, end, next_line
from tests.support.tokens import API, KEYS

HEADERS = (
    "Principalclient",
    "Principalsubject",
    "Principalscope",
    "Principaltokenid",
    "Principalcertificate",
)
HEALTH = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/health"}
"""The question about a public path."""
NO_PRINCIPAL = dict.fromkeys(HEADERS, "")
RULES = """
[[rule]]
path = "/invoices"
methods = ["GET", "HEAD"]
scope = "read"
[[rule]]
path = "/invoices"
scope = "write"
[[rule]]
path = "/admin"
scope = "root"
[[rule]]
path = "/any"
scope = ""
[[rule]]
path = "/health"
public = true
[[rule]]
path = "/health/secret"
exact = true
scope = "root"
"""


@dataclass
class Answered:
    """The answer of a gateway to a proxy."""

    status: int
    headers: dict[str, str]
    body: bytes = b""

    @property
    def principal(self) -> dict[str, str]:
        """The headers that a proxy copies to the server behind it."""
        return {name: self.headers[name] for name in HEADERS if name in self.headers}


@dataclass
class Running:
    """One gateway process."""

    folder: Path
    http: str
    process: "subprocess.Popen[bytes]"
    grpc: str | None = None
    metrics: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    def connect(self) -> socket.socket:
        """Return a new connection, as a proxy's."""
        return connect(self.http)

    def ask(
        self, headers: Any, method: str = "GET", target: str = "/", sock: socket.socket | None = None
    ) -> Answered:
        """Send one sub-request over a connection of its own, or over this one."""
        connection = sock or self.connect()
        try:
            return send(connection, headers, method, target)
        finally:
            if sock is None:
                connection.close()

    def audit(self) -> list[dict[str, Any]]:
        """Return what was audited so far."""
        return [json.loads(line) for line in (self.folder / "audit.log").read_text().splitlines()]

    def log(self) -> str:
        """Return what was logged so far."""
        return (self.folder / "log").read_text()

    def await_log(self, text: str, count: int = 1) -> None:
        """Wait until this was logged so many times."""
        deadline = time.monotonic() + SECONDS
        while self.log().count(text) < count:
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def signal_workers(self, number: int = signal.SIGKILL) -> None:
        """Signal every process that the gateway has started: kill them, unless another signal is named."""
        for child in self._children():
            os.kill(int(child), number)

    def statuses(self, headers: Any) -> set[int]:
        """Return the statuses that the workers answer: each is asked while all others are stopped.

        Of many connections at once a busy machine may give all to the one worker that runs.
        """
        workers = [int(child) for child in self._children()]
        return {self._asked_alone(headers, [one for one in workers if one != alone]) for alone in workers}

    def _asked_alone(self, headers: Any, others: list[int]) -> int:
        try:
            for pid in others:
                os.kill(pid, signal.SIGSTOP)
            return self.ask(headers).status
        finally:
            for pid in others:
                os.kill(pid, signal.SIGCONT)

    def _children(self) -> list[str]:
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()

    def hang_up(self) -> None:
        """Have the policy file read again."""
        self.process.send_signal(signal.SIGHUP)

    def write(self, rules: str, **changes: str) -> None:
        """Replace the policy file, as an editor does that writes another file and renames it."""
        replace_policy(self.folder, rules, **{**self.fields, **changes})


def connect(place: str) -> socket.socket:
    if place.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(SECONDS)
            sock.connect(place.removeprefix("unix:"))
        except OSError:
            sock.close()
            raise
        return sock
    host, port = place.split(":")
    return socket.create_connection((host, int(port)), SECONDS)


def send(sock: socket.socket, headers: Any, method: str = "GET", target: str = "/") -> Answered:
    """Send one sub-request with these very header fields."""
    connection = HTTPConnection("gateway")
    connection.sock = sock
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items() if isinstance(headers, dict) else headers:
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    body = response.read()
    return Answered(response.status, dict(response.getheaders()), body)


def replace_policy(folder: Path, rules: str = RULES, **fields: Any) -> Path:
    """Write the policy file; `listen` and `proxy` are tables, the rest stands at the top."""
    tables = {name: fields.pop(name) for name in list(fields) if isinstance(fields[name], dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items()]
    for name, members in tables.items():
        lines += [f"[{name}]", *(f"{member} = {json.dumps(value)}" for member, value in members.items())]
    file = folder / "gateway.toml"
    draft = folder / "gateway.toml.new"
    draft.write_text("\n".join(lines) + "\n" + rules)
    draft.replace(file)
    return file


def _policy_of(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the policy that tests start from, changed as told; what is None is left out."""
    fields: dict[str, Any] = {
        "audience": API,
        "audit_log": "audit.log",
        "audit_refusals": 0,  # tests read the line of each refusal
        "keys": "keys.json",
        "listen": {"http": "unix:gateway.sock"},
        "proxy": {"kind": "nginx", "trust": ["unix"]},
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


@contextmanager
def gateway(
    folder: Path, *options: str, rules: str = RULES, files: int | None = None, **changes: Any
) -> Iterator[Running]:
    """Run a gateway until the block ends; over a Unix socket unless `listen` says otherwise.

    It may open so many `files` at most.
    """
    folder.mkdir(exist_ok=True)
    keys = folder / "keys.json"
    keys.write_bytes(write_key_file(KEYS))
    keys.chmod(0o600)
    fields = _policy_of(changes)
    file = replace_policy(folder, rules, **fields)
    listen = fields["listen"]
    http = listen.get("http", "").replace("unix:", f"unix:{folder}/")
    with (folder / "log").open("ab") as log:
        process = fork_server.Popen(
            [*_limited(files), sys.executable, "-m", "macaroon_cbat", "gateway", str(file), *options],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env=ENVIRONMENT,
        )
    try:
        line = next_line(process)
        assert line.startswith("macaroon-cbat gateway ready on "), line
        yield Running(folder, http, process, listen.get("grpc"), listen.get("metrics"), fields)
    finally:
        end(process)


def _limited(files: int | None) -> list[str]:
    """Return what runs a command that may open so many files."""
    return [] if files is None else ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh"]
