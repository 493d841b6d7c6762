"""A folder in which the commands and programs of a chapter work: a service, a resource server, files.

Chapters name the service `https://auth.example` and the resource server `https://api.example`, and write
into `/etc` and `/run`; all of that is here on loopback and in the folder.
"""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.guide import Block
from tests.support.patience import SECONDS
from tests.support.ports import free_port
from tests.support.service_process import Service, process
from tests.support.tls_servers import make_client
from tests.support.typed_commands import typed_commands
from tests.support.typed_program import run_program

ROOT = Path(__file__).parents[2]
FOLDERS = ("etc/ssl", "etc/nginx/conf.d", "etc/haproxy", "etc/apache2/sites-available", "run/macaroon-cbat")

SERVERS = re.compile(
    r"(export \S+; )?(macaroon-cbat (serve|gateway (?!--check))|gunicorn |uvicorn |python invoices.py)"
)
"""The last command of a block that runs until it is ended: it is ended once it listens."""

PORTS = ("8000", "8443", "9100", "9191", "9192", "9443")
"""Ports of the documentation, which other programs may have taken."""

_NAMED = re.compile(r"# ([\w-]+\.(?:py|toml))\b")


@dataclass(frozen=True)
class World:
    """The folder, and the URLs that are really there."""

    folder: Path
    issuer: str
    audience: str
    commands: Path
    """The folder of the command that shell blocks type."""
    databases: dict[str, str] = field(default_factory=dict)
    """The servers in the place of the documentation's hosts of a database."""
    ports: dict[str, str] = field(default_factory=lambda: {port: str(free_port()) for port in PORTS})

    def localized(self, text: str) -> str:
        """Return the text with the names of this world in the place of the documentation's."""
        text = re.sub(rf"\b({'|'.join(PORTS)})\b", lambda port: self.ports[port[1]], text)
        text = text.replace("https://auth.example", self.issuer).replace("https://api.example", self.audience)
        for name, server in self.databases.items():
            text = text.replace(name, server)
        for top in ("/etc/", "/run/"):
            text = text.replace(top, f"{self.folder}{top}")
        return text

    def environment(self, *commands: Path) -> dict[str, str]:
        """Return the environment of a person who works in the folder, and has these commands before all."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MACAROON_CBAT_")}
        return (
            kept
            | self._variables()
            | {
                "PATH": ":".join([*map(str, commands), str(Path(sys.executable).parent), os.environ["PATH"]]),
                "PYTHONPATH": str(ROOT),
            }
        )

    def _variables(self) -> dict[str, str]:
        return {"MACAROON_CBAT_DATA": str(self.folder / "data")}

    def run(self, block: Block) -> None:
        """Run a block as it stands, but for the names; a first line such as `# app.py` names its file."""
        text = self.localized(block.text)
        named = _NAMED.match(text)
        if named:
            (self.folder / named[1]).write_text(text)
        if block.language == "python":
            program = f"import {named[1].removesuffix('.py')}" if named else text
            _check(block, run_program(program, self.folder, **self._variables()))
        elif block.language == "sh":
            *before, last = re.sub(r"\\\n\s*", "", text).strip().splitlines()
            if not SERVERS.match(last):
                before.append(last)
            self._type("\n".join(before), block)
            if SERVERS.match(last):
                self._start(block, last)

    def _start(self, block: Block, command: str) -> None:
        """Run a server until it takes connections, and end it."""
        found = SERVERS.match(command)
        exported = "" if found is None else found[1] or ""
        with subprocess.Popen(
            ["bash", "-euc", f"{exported}exec {command.removeprefix(exported)}"],
            cwd=self.folder,
            env=self.environment(),
        ) as server:
            try:
                while not self._answers():
                    assert server.poll() is None, f"{block} ended"
                    time.sleep(0.05)
            finally:
                server.terminate()

    def _answers(self) -> bool:
        """Return True if a server of a chapter listens: at port 9443, or at the gateway's socket."""
        with socket.socket() as network, socket.socket(socket.AF_UNIX) as local:
            at_port = network.connect_ex(("127.0.0.1", int(self.ports["9443"]))) == 0
            return at_port or local.connect_ex(str(self.folder / "gateway.sock")) == 0

    def _type(self, commands: str, block: Block) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=self.folder,
            env=self.environment(self.commands),
            capture_output=True,
            check=False,
            text=True,
            timeout=SECONDS,
        )
        _check(block, done)


def _check(block: Block, done: "subprocess.CompletedProcess[str]") -> None:
    assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"


def databases_of(port: int) -> dict[str, str]:
    """Return the server that listens there, for an administrator and as two hosts of one database."""
    here = f"127.0.0.1:{port}"
    return {"postgres@db1.example": f"cbat@{here}", "db1.example,db2.example": f"{here},{here}"}


@contextmanager
def world(folder: Path, databases: dict[str, str] | None = None) -> Iterator[World]:
    """Run the service and the resource server until the block ends."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    service = Service(folder / "data", free_port())
    service.data.mkdir()
    port = free_port()
    with typed_commands() as commands, service.running():
        here = World(folder, service.issuer, f"https://localhost:{port}", commands, databases or {})
        _fill(here, service)
        argument = (
            f'{{"folder": "{folder}/api", "port": {port}, "keys": "{folder}/keys.json", "require": "either"}}'
        )
        (folder / "api").mkdir()
        with process(["tests.support.guarded_process", argument], folder / "api", port, {}):
            authorities = (service.ca, folder / "api/ca.pem")
            (folder / "ca.pem").write_text("".join(file.read_text() for file in authorities))
            yield here


def _fill(here: World, service: Service) -> None:
    """Write the files that chapters begin with."""
    folder = here.folder
    scopes = ("--scope", "read write", "--audience", here.audience)
    service.command("client", "add", "billing", *scopes, "--secret-file", folder / "billing.secret")
    service.export(folder / "keys.json", here.audience)
    for name in ("client", "api"):
        made = make_client(folder, name).file.read_bytes()
        _write_pair(folder, name, made)
    for end in ("pem", "key"):
        (folder / f"etc/ssl/api.{end}").write_bytes((folder / f"api.{end}").read_bytes())
        (folder / f"etc/ssl/api.{end}").chmod(0o600)
    (folder / "token").write_text(service.client("billing", _secret(folder))() + "\n")


def _write_pair(folder: Path, name: str, both: bytes) -> None:
    """Write certificate and key, which lie in one file, into two."""
    at = both.index(b"-----BEGIN CERTIFICATE-----")
    end = both.index(b"-----END CERTIFICATE-----") + len(b"-----END CERTIFICATE-----\n")
    (folder / f"{name}.pem").write_bytes(both[at:end])
    (folder / f"{name}.key").write_bytes(both[:at] + both[end:])
    (folder / f"{name}.key").chmod(0o600)


def _secret(folder: Path) -> str:
    return (folder / "billing.secret").read_text().strip()
