"""The command line as people and scripts use it: real processes, pipes and files."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from click.testing import CliRunner, Result

from macaroon_cbat.cli import main
from macaroon_cbat.macaroon.caveats import Caveat
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.macaroon.keys import RootKey, audience_key, audience_keys, write_key_file
from macaroon_cbat.macaroon.minting import mint
from macaroon_cbat.service import settings_from_environment
from macaroon_cbat.stores import open_stores
from tests.support import fork_server
from tests.support.patience import SECONDS
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "macaroon_cbat")
API = "https://api.example"
READING = {
    "client list": ("client", "list"),
    "key list": ("key", "list"),
    "key export": ("key", "export", "--audience", API),
    "revocation list": ("revocation", "list"),
}
"""The commands that only read the database."""
ISSUER = "https://as.example"
ROOT_KEY = RootKey("k1", bytes(range(32)))
KEY_FILE = write_key_file(audience_keys(ISSUER, API, [ROOT_KEY]))


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without settings of the service, which would get in the way."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MACAROON_CBAT_")}
    return kept | {"PYTHONWARNINGS": "error"} | variables


def with_database(data: Path) -> Path:
    """Make what `serve` makes in its data folder, quicker; return the folder."""
    shutil.copytree(_made().name, data, dirs_exist_ok=True)
    return data


@cache
def _made() -> "TemporaryDirectory[str]":
    """Return a data folder with a database and its wrapping key, of which each test gets a copy."""
    folder = TemporaryDirectory()
    settings = settings_from_environment({}, data=Path(folder.name))
    open_stores(settings.database_url, settings.wrapping_key, EpochSeconds(int(time.time()))).database.close()
    return folder


def run(
    *arguments: str | Path, stdin: str | bytes = b"", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a process of its own."""
    return fork_server.run(
        [*COMMAND, *map(str, arguments)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        cwd=ROOT,
        env=environment(**variables),
        timeout=SECONDS,
        check=False,
    )


def call(*arguments: str | Path, stdin: str | bytes = b"", **variables: str) -> Result:
    """Run the command in this process, which is quicker."""
    words = [*map(str, arguments)]
    return CliRunner().invoke(main, words, input=stdin, env=variables, prog_name="macaroon-cbat")


def out(*arguments: str | Path, stdin: str | bytes = b"") -> str:
    """Return what the command writes, having succeeded."""
    result = call(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def members(*arguments: str | Path, stdin: str | bytes = b"") -> Any:
    """Return what the command writes with --json."""
    return json.loads(out(*arguments, "--json", stdin=stdin))


def complaint(result: Result, status: int) -> str:
    """Check that the command failed in one line; return the line."""
    assert result.exit_code == status, result.output
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


@dataclass
class Served:
    """A service that runs on loopback until the test ends."""

    issuer: str
    data: Path
    greeting: str
    pid: int

    @property
    def access(self) -> tuple[str | Path, ...]:
        """Return the options of `token mint` that reach it."""
        return ("--issuer", self.issuer, "--cacert", self.data / "ca.pem")


@contextmanager
def serving(data: Path, *options: str, is_exported: bool = False, **variables: str) -> Iterator[Served]:
    """Run `macaroon-cbat serve` in a process until the block ends."""
    port = free_port()
    named = [] if is_exported else ["--data", str(data)]
    command = [*COMMAND, "serve", *named, "--port", str(port), *options]
    with (data.parent / f"{data.name}.log").open("wb") as log:
        process = fork_server.Popen(
            command, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=environment(**variables)
        )
        try:
            yield Served(f"https://localhost:{port}", data, _greeting(process), process.pid)
        finally:
            process.terminate()
            process.wait(SECONDS)
            assert process.stdout is not None
            process.stdout.close()


def _greeting(process: subprocess.Popen[bytes]) -> str:
    """Return what the service says once it is ready."""
    assert process.stdout is not None
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        assert ready, "the service says nothing"
        more = os.read(process.stdout.fileno(), 65536)
        assert more, "the service has ended"
        text += more
    return text.decode()


def token(*caveats: Caveat, exp: int = 600) -> str:
    """Return a token of a service that is not running."""
    now = EpochSeconds(int(time.time()))
    grant = Grant(
        aud=API,
        client_id="billing",
        exp=now + exp,
        iat=now,
        jti="A" * 22,
        kid="k1",
        scope="read write",
        sub="billing",
    )
    return mint(audience_key(ROOT_KEY, API), ISSUER, grant, caveats)
