"""The README's quickstart, run as it stands there."""

import hashlib
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT.joinpath("README.md").read_text().partition("## Quickstart")[2].partition("\n## ")[0]


def test_quickstart_works_as_written(tmp_path: Path) -> None:
    """The quickstart, typed as it stands but for the ports, lets the holder in and the thief not."""
    ports = {port: free_port() for port in ("8443", "9443")}
    shell, python = (_blocks(language, ports) for language in ("sh", "python"))
    start_service, register, run_resource_server, hold, steal = shell
    resource_server, holder = python
    folder = _copy_with_environment(tmp_path)
    with _running(start_service.replace("scripts/serve", f"scripts/serve --port {ports['8443']}"), folder):
        _run(register, folder)
        (folder / ".data/invoices.py").write_text(resource_server)
        with _running(
            f'export PATH="$PWD/.venv/bin:$PATH"\n{run_resource_server}', folder, port=ports["9443"]
        ):
            assert '{"hello":"billing"}' in _run(hold, folder)
            assert '"error":"invalid_token"' in _run(steal, folder)
            (folder / "holder.py").write_text(holder)
            assert "{'hello': 'billing'}" in _run(".venv/bin/python holder.py", folder)


def _blocks(language: str, ports: dict[str, int]) -> list[str]:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", QUICKSTART, re.DOTALL | re.MULTILINE)
    return [re.sub("8443|9443", lambda port: str(ports[port[0]]), block) for block in blocks]


def _copy_with_environment(folder: Path) -> Path:
    """Return a copy of the repository's commands, set up already with the environment the tests run in."""
    shutil.copytree(ROOT / "scripts", folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    environment = folder / ".venv"
    environment.mkdir()
    for part in Path(sys.prefix).iterdir():
        if part.name != ".installed":
            (environment / part.name).symlink_to(part)
    pins = (ROOT / "pyproject.toml", ROOT / "scripts/requirements.txt")
    stamp = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()
    (environment / ".installed").write_text(stamp + "\n")
    return folder


def _run(commands: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def _running(commands: str, folder: Path, port: int | None = None) -> Iterator[None]:
    """Run a server's terminal until the block ends: until its first line, or until it listens, it starts."""
    *before, last = commands.strip().splitlines()
    script = "\n".join([*before, f"exec {last}"])
    with subprocess.Popen(["bash", "-euc", script], cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if port is None:
                assert process.stdout.readline()
            else:
                _wait_for(port, process)
            yield
        finally:
            process.terminate()
            process.communicate(timeout=60)


def _wait_for(port: int, process: "subprocess.Popen[str]") -> None:
    """Wait until the port answers, as a person would who tries again."""
    while process.poll() is None:
        time.sleep(0.05)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError("the server ended before it listened")
