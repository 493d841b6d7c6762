"""The processes of a walk: the service as its command line starts it, and guarded resource servers."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from macaroon_cbat.cli import main
from macaroon_cbat.client import TokenClient
from tests.support import fork_server
from tests.support.ports import free_port
from tests.support.tls_servers import SECONDS, Server, end, next_line

ROOT = Path(__file__).parents[2]
API = "https://api.example"
ENVIRONMENT = {
    **{k: v for k, v in os.environ.items() if not k.startswith("MACAROON_CBAT_")},
    "PYTHONWARNINGS": "error",
}


def on_a_server(url: str) -> dict[str, str]:
    """Say in the environment that the database is there, and which wrapping key all its services share."""
    return {"MACAROON_CBAT_DATABASE_URL": url, "MACAROON_CBAT_WRAPPING_KEY": "A" * 42 + "E"}


_ALONE = threading.Lock()
"""A command run in this process changes its environment for a moment."""


def in_process(*arguments: object, environment: Mapping[str, str] | None = None) -> str:
    """Run a command of `macaroon-cbat` without a process of its own, which takes a second to start."""
    with _ALONE:
        done = CliRunner().invoke(main, [str(argument) for argument in arguments], env=environment)
    assert done.exit_code == 0, done.output
    return done.stdout


def cli(*arguments: object, text: str = "", status: int = 0) -> str:
    """Run `macaroon-cbat` with these arguments and standard input; return what it prints."""
    command = [sys.executable, "-m", "macaroon_cbat", *map(str, arguments)]
    done = fork_server.run(
        command,
        check=False,
        input=text,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=SECONDS,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@dataclass
class Service:
    """One data folder, and the address at which a service process answers on it.

    `environment` says where the database is, when it is not in that folder; `gate` is the port that its
    clients know, when something stands before it.
    """

    data: Path
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    gate: int | None = None

    @property
    def issuer(self) -> str:
        """The service's URL."""
        return f"https://localhost:{self.gate or self.port}"

    @property
    def ca(self) -> Path:
        """The development CA, which its own certificate is verified with."""
        return self.data / "ca.pem"

    def prepare(self) -> None:
        """Make the database, as a service does that starts; `serve` would set up this process's log."""
        self.command("key", "list", "--init")

    def add(self, name: str, *options: object) -> str:
        """Register a client; return its secret, empty where it has none."""
        added = self.command("client", "add", name, "--json", *options)
        secret: str = json.loads(added).get("client_secret", "")
        return secret

    def export(self, file: Path, audience: str = API) -> Path:
        """Write the key file of an audience."""
        self.command("key", "export", "--audience", audience, "--output", file)
        return file

    def command(self, *arguments: object) -> str:
        """Run a command on the database, as another process does; return what it prints."""
        return in_process(*arguments, "--data", self.data, environment=self.environment)

    def client(self, name: str, secret: str | None, **options: Any) -> TokenClient:
        """Return the holder's token client."""
        return TokenClient(issuer=self.issuer, client_id=name, client_secret=secret, ca=self.ca, **options)

    @contextmanager
    def running(self, *options: str, **environment: str) -> Iterator[Server]:
        """Run the service until the block ends.

        It is killed then if it is one process: one that is told to stop lets its followers finish waiting.
        """
        command = ["macaroon_cbat", "serve", "--data", str(self.data), "--port", str(self.port), *options]
        command += ["--issuer", self.issuer]
        around, is_alone = {**self.environment, **environment}, "--workers" not in options
        with process(command, self.data, self.port, around, is_killed=is_alone) as server:
            yield server


@contextmanager
def resource_server(folder: Path, **settings: Any) -> Iterator[Server]:
    """Run a guarded application until the block ends; see tests/walks/resource_server.py for settings."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    argument = json.dumps({"folder": str(folder), "port": port, **settings}, default=str)
    with process(["tests.support.guarded_process", argument], folder, port, {}) as server:
        yield server


@contextmanager
def process(
    command: list[str], folder: Path, port: int, environment: dict[str, str], *, is_killed: bool = False
) -> Iterator[Server]:
    """Run a server until the block ends."""
    with (folder / "log").open("ab") as log:
        process = fork_server.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=ROOT,
            env={**ENVIRONMENT, **environment},
        )
    try:
        line = next_line(process)  # both say something once requests are answered
        assert "serves" in line or "ready" in line, line
        yield Server(process, port, folder)
    finally:
        if is_killed:
            process.kill()
        end(process)
