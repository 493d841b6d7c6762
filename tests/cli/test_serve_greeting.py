"""The greeting of `serve`: where it listens, what it uses, and on one's own machine what to type next."""

import os
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from macaroon_cbat.cli.greeting import is_of_this_machine
from macaroon_cbat.tls import development_certificates
from tests.support import fork_server
from tests.support.command_line import COMMAND, ROOT, SECONDS, environment
from tests.support.ports import free_port

COMMANDS = "client add trial"


@contextmanager
def greeted(data: Path, *options: str) -> Iterator[str]:
    """Run `serve`; give what it has printed when it has printed a whole greeting."""
    command = [*COMMAND, "serve", "--data", str(data), *options]
    with (data.parent / "log").open("wb") as log:
        process = fork_server.Popen(command, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=environment())
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        assert ready, "the service says nothing"
        yield os.read(process.stdout.fileno(), 65536).decode()
    finally:
        process.terminate()
        process.wait(SECONDS)
        process.stdout.close()


def facts(greeting: str) -> dict[str, str]:
    """Return the indented lines by what they are about."""
    return dict(re.findall(r"^  (\w[\w ]*?) {2,}(\S.*)$", greeting.partition("\n\n")[0], re.MULTILINE))


def test_the_greeting_says_where_it_listens(tmp_path):
    """With port 0 the real port is named, everywhere; workers and the management port are there as well."""
    port = free_port()
    with greeted(
        tmp_path / "data", "--port", "0", "--workers", "2", "--management-port", str(port)
    ) as greeting:
        found = facts(greeting)
    [real] = re.findall(r"^127\.0\.0\.1:([0-9]+)$", found["listens on"])
    assert int(real) > 0
    assert greeting.startswith(f"macaroon-cbat serves https://localhost:{real}\n")
    assert found["workers"] == "2, with 8 threads each"
    assert found["management"] == f"http://127.0.0.1:{port}"
    assert found["server trusted"] == str(tmp_path / "data" / "ca.pem")
    assert COMMANDS in greeting


@pytest.mark.parametrize(
    ("host", "place"),
    [
        ("0.0.0.0", r"0\.0\.0\.0:[0-9]+ \(every IPv4 address\)"),
        ("localhost", r"127\.0\.0\.1:[0-9]+"),
        ("127.0.0.2", r"127\.0\.0\.2:[0-9]+"),
        ("::1", r"\[::1]:[0-9]+"),
    ],
)
def test_each_address_is_named(tmp_path, host, place):
    """The greeting says what a host stands for: all addresses, or the one that was found for its name."""
    with greeted(tmp_path / "data", "--port", "0", "--host", host) as greeting:
        assert re.fullmatch(place, facts(greeting)["listens on"])


def test_in_production_there_is_nothing_to_try(tmp_path):
    """With a certificate of its own the greeting names that, and has no commands that would add a client."""
    files = development_certificates(tmp_path / "certificates")
    pair = ("--cert", str(files.certificate), "--key", str(files.key))
    with greeted(tmp_path / "data", "--port", "0", *pair) as greeting:
        assert facts(greeting)["certificate"] == str(files.certificate)
        assert "server trusted" not in greeting
        assert COMMANDS not in greeting


def test_an_issuer_elsewhere_is_production(tmp_path):
    """With an issuer that other machines reach there are no commands to try either."""
    with greeted(tmp_path / "data", "--port", "0", "--issuer", "https://auth.example") as greeting:
        assert greeting.startswith("macaroon-cbat serves https://auth.example\n")
        assert COMMANDS not in greeting


@pytest.mark.parametrize(
    ("issuer", "is_ours"),
    [
        ("https://localhost:8443", True),
        ("https://auth.localhost", True),
        ("https://127.0.0.1", True),
        ("https://127.8.9.10:1", True),
        ("https://[::1]:8443", True),
        ("https://auth.example", False),
        ("https://localhost.example", False),
        ("https://notlocalhost", False),
        ("https://10.0.0.1", False),
        ("https://0.0.0.0", False),
        ("https://[::]", False),
        ("https://127.0.0.1.example", False),
    ],
)
def test_an_issuer_of_this_machine_is_known_by_its_host(issuer, is_ours):
    """Only `localhost`, what is below it, and loopback addresses are this machine's own."""
    assert is_of_this_machine(issuer) is is_ours
