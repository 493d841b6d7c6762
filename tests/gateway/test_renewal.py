"""The files beside a gateway's policy: followed by every worker, without SIGHUP and without a restart."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import fork_server
from tests.support.followed_service import Realm
from tests.support.gateway_process import HEALTH, Running, gateway, replace_policy
from tests.support.gateway_service import ask as ask_service
from tests.support.gateway_service import asking, bound
from tests.support.service_process import API, ENVIRONMENT, ROOT
from tests.support.tls_servers import SECONDS, Client, make_client, next_line, wait_until

REFUSED = {
    "X-Forwarded-Method": "GET",
    "X-Forwarded-Uri": "/invoices",
    "Authorization": "Bearer x",
    "Clientcertverify": "NONE",
}
PROXY = {"kind": "nginx", "trust": ["unix"], "secret_file": "proxy.secret"}


def shown(running: Running, secret: str) -> set[int]:
    """Return what proxies with this secret are answered, in all workers."""
    return running.statuses({**HEALTH, "Proxysecret": secret})


def counts_alone(running: Running, secret: str, before: str) -> bool:
    """Tell whether every worker wants this secret, and none that of before any more."""
    return shown(running, secret) == {200} and shown(running, before) == {403}


def write(file: Path, content: str) -> None:
    draft = file.with_name(file.name + ".new")
    draft.write_text(content)
    draft.replace(file)


def test_a_replaced_proxy_secret_counts(tmp_path: Path):
    """Every worker wants the secret that is in the file now, and that alone; a bad file changes nothing."""
    file = tmp_path / "proxy.secret"
    write(file, "the-first-secret-of-it\n")
    with gateway(tmp_path, "--workers", "2", proxy=PROXY) as running:
        assert shown(running, "the-first-secret-of-it") == {200}
        write(file, "another-secret-of-it\n")
        wait_until(lambda: counts_alone(running, "another-secret-of-it", "the-first-secret-of-it"))
        write(file, "")
        running.await_log("keeping the policy read before")
        running.hang_up()
        file.unlink()
        running.await_log("cannot be read")
        assert shown(running, "another-secret-of-it") == {200}
        assert shown(running, "") == {403}
        write(file, "a-third-secret-of-it\n")
        wait_until(lambda: shown(running, "a-third-secret-of-it") == {200})


def test_a_secret_that_a_new_policy_names_is_followed(tmp_path: Path):
    """A secret file that was not in the policy at the start is followed from the reload on."""
    file = tmp_path / "proxy.secret"
    write(file, "the-first-secret-of-it\n")
    with gateway(tmp_path) as running:
        running.write('[[rule]]\npath = "/health"\npublic = true\n', proxy=PROXY)
        wait_until(lambda: shown(running, "") == {403})
        write(file, "another-secret-of-it\n")
        wait_until(lambda: shown(running, "another-secret-of-it") == {200})


def test_a_replaced_client_secret_is_used(tmp_path: Path, holder: Client):
    """A gateway that asks about each token authenticates with the secret that its file holds now."""
    realm = Realm(tmp_path, {})
    secret = realm.service.add("asker", "--serves", API, "--understands-caveats")
    folder = tmp_path / "asking"
    with (
        realm.service.running(),
        asking(folder, realm.service.issuer, realm.service.ca, "not-the-secret") as running,
    ):
        token = bound(realm.token(), holder)
        assert ask_service(running, token, holder).status == 503
        write(folder / "secret", secret)
        wait_until(lambda: ask_service(running, token, holder).status == 200)


def test_a_certificate_that_does_not_fit_is_one_warning(tmp_path: Path, holder: Client):
    """While the gateway's own certificate is no good it goes on with the one before, and says so once."""
    realm = Realm(tmp_path, {})
    own = make_client(tmp_path, "own")
    options = ("--auth", "self_signed_tls_client_auth", "--certificate", str(own.file))
    realm.service.add("asker", "--serves", API, "--understands-caveats", *options)
    changes = {"certificate": str(own.file), "client_secret_file": None}
    with realm.service.running(), _asking_by(tmp_path / "asking", realm, changes) as running:
        token = bound(realm.token(), holder)
        wait_until(lambda: ask_service(running, token, holder).status == 200)
        own.file.write_text("half of a certifi")
        assert {ask_service(running, token, holder).status for _ in range(5)} == {200}
        own.file.unlink()
        assert {ask_service(running, token, holder).status for _ in range(5)} == {200}
        assert running.log().count("keeping the client certificate read before") == 2


def _asking_by(folder: Path, realm: Realm, changes: dict[str, str | None]):
    folder.mkdir()
    settings = {"issuer": realm.service.issuer, "client_id": "asker", "ca": str(realm.service.ca), **changes}
    named = {name: value for name, value in settings.items() if value is not None}
    rule = '[[rule]]\npath = "/invoices"\nscope = "read"\n'
    return gateway(folder, rules=rule, keys=None, introspection=named)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_opens_the_audit_log_anew(tmp_path: Path, workers: str):
    """After SIGHUP the new log is there before any record, no process holds the old one, nothing is lost."""
    with gateway(tmp_path, "--workers", workers) as running:
        file, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
        running.ask(REFUSED)
        file.rename(moved)
        running.hang_up()
        wait_until(lambda: file.exists() and not _holders(running, moved))
        running.ask(REFUSED)
        assert len(running.audit()) == len(moved.read_text().splitlines()) == 1


def _holders(running: Running, file: Path) -> list[str]:
    pid = running.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    links = [link for one in (str(pid), *children) for link in Path(f"/proc/{one}/fd").iterdir()]
    return [str(link) for link in links if link.exists() and link.resolve() == file]


@pytest.mark.parametrize("prefix", [[], ["nohup"]], ids=["plain", "nohup"])
def test_sighup_at_any_time_ends_nothing(tmp_path: Path, prefix: list[str]):
    """SIGHUP before the gateway listens, and while it stops, ends it no otherwise than SIGTERM does."""
    with gateway(tmp_path):
        pass  # its files are there now
    fields = {"audience": API, "keys": "keys.json", "listen": {"http": "unix:g.sock"}}
    file = replace_policy(tmp_path, **fields, proxy={"kind": "nginx", "trust": ["unix"]})
    command = [*prefix, sys.executable, "-m", "macaroon_cbat", "gateway", str(file), "--workers", "2"]
    with fork_server.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env=ENVIRONMENT
    ) as process:
        wait_until(lambda: _hears_hangups(process.pid))
        for _ in range(50):
            process.send_signal(signal.SIGHUP)
        assert next_line(process).startswith("macaroon-cbat gateway ready")
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        assert process.wait(SECONDS) == 0


def _hears_hangups(pid: int) -> bool:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [caught] = [line for line in lines if line.startswith("SigCgt")]
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGHUP - 1))
