"""A person's login from a terminal over real TLS: macaroon-cbat login, token get and logout."""

import json
import re
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from macaroon_cbat.client.login_file import LoginFile
from tests.support import fork_server
from tests.support.command_line import call, complaint
from tests.support.people import COOKIE
from tests.support.ports import free_port
from tests.support.service_process import API, ENVIRONMENT, ROOT, Service, in_process, process

GRANTS = ("--grant", "device_code", "--grant", "refresh_token")
HIDDEN = re.compile(r'<input type="hidden" name="([^"]*)" value="([^"]*)">')


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run a service at which people sign in, with a client for terminals and a resource server."""
    data = tmp_path_factory.mktemp("people") / "data"
    data.mkdir()
    service = Service(data, free_port())
    service.prepare()
    service.add("terminal", "--auth", "none", "--bound", *GRANTS, "--scope", "read", "--audience", API)
    command = ["tests.support.service_for_people", str(data), str(service.port)]
    with process(command, data, service.port, {}, is_killed=True):
        yield service


@contextmanager
def logging_in(service: Service, file: Path, *options: str) -> Iterator[fork_server.Popen]:
    """Run `macaroon-cbat login`; it waits for its person when the block begins."""
    command = [
        sys.executable,
        "-m",
        "macaroon_cbat",
        "login",
        "--issuer",
        service.issuer,
        "--login",
        str(file),
    ]
    command += ["--cacert", str(service.ca), "--client-id", "terminal", *options]
    with fork_server.Popen(command, stdout=-1, stderr=-1, text=True, cwd=ROOT, env=ENVIRONMENT) as running:
        yield running


def decide(service: Service, running: fork_server.Popen, word: str) -> None:
    """Open the URL that the terminal shows, in a browser in which Ada has signed in, and decide there."""
    shown = next(line for line in running.stdout if "user_code=" in line).strip()
    context = ssl.create_default_context(cafile=service.ca)
    with httpx.Client(verify=context, trust_env=False, cookies={COOKIE: "ada.1"}) as browser:
        page = browser.get(shown)
        form = dict(HIDDEN.findall(page.text)) | {"decision": word}
        headers = {"Origin": service.issuer, "Sec-Fetch-Site": "same-origin"}
        assert browser.post(f"{service.issuer}/device", data=form, headers=headers).status_code == 200


def test_a_terminal_logs_in_gets_tokens_and_logs_out(service: Service, tmp_path: Path):
    """A person approves in a browser; the terminal then has tokens until it logs out, which revokes them."""
    file = tmp_path / "kept" / "login.json"
    with logging_in(service, file) as running:
        decide(service, running, "approve")
        told, _ = running.communicate(timeout=60)
        assert (running.returncode, f"the login is in {file}" in told) == (0, True)
    assert [one.stat().st_mode & 0o777 for one in (file, LoginFile(file).own_certificate)] == [0o600, 0o600]
    token = in_process("token", "get", "--login", file).strip()
    words = inspected(token, tmp_path).split()
    assert {"user:ada", API, in_process("thumbprint", LoginFile(file).own_certificate).strip()} <= {*words}
    expired = json.loads(file.read_text()) | {"renew_access_at": 0}
    file.write_text(json.dumps(expired))
    renewed = json.loads(in_process("token", "get", "--json", "--login", file))
    assert renewed["access_token"] != token
    stolen = {one: one.read_bytes() for one in (file, LoginFile(file).own_certificate)}
    in_process("logout", "--login", file)
    assert [one for one in stolen if one.exists()] == []
    for one, content in stolen.items():
        one.write_bytes(content.replace(b'"renew_access_at": ', b'"renew_access_at": -'))
    assert "invalid_grant" in complaint(call("token", "get", "--login", file), 1)


def test_a_denied_terminal_keeps_nothing(service: Service, tmp_path: Path):
    """A login that the person denies says so, fails, and leaves no file."""
    file = tmp_path / "kept" / "login.json"
    with logging_in(service, file) as running:
        decide(service, running, "deny")
        _, complaint = running.communicate(timeout=60)
        assert running.returncode == 1
        assert complaint == "Error: the login was denied in the browser\n"
    assert [one.name for one in file.parent.iterdir()] == ["login.json.lock"]


def inspected(token: str, folder: Path) -> str:
    (folder / "token").write_text(token)
    return in_process("token", "inspect", folder / "token")
