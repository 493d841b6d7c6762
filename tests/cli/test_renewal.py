"""`serve` goes on while its certificate, its CAs, its proxy's secret and its logs are replaced."""

import json
import os
import signal
import socket
import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support import fork_server
from tests.support.certificates import Identity, authority, certified
from tests.support.command_line import API, COMMAND, ROOT, Served, members, run, serving, with_database
from tests.support.command_line import environment as environment_of
from tests.support.metrics import scrape
from tests.support.ports import free_port
from tests.support.renewals import CA, Pair, encrypted, new_pair
from tests.support.running_services import (
    ask,
    await_log,
    connect,
    context,
    eventually,
    hang_up,
    identity_file,
    log_of,
    port_of,
    statuses,
    write,
)
from tests.support.tls_servers import next_line, wait_until

TODAY = datetime.now(UTC)
BOTH = pytest.mark.parametrize("workers", ["1", "2"])
DN = "CN=billing,O=Example"
EXPIRY = "server_certificate_expiry_timestamp_seconds{}"


def presented(port: int) -> set[bytes]:
    """Return the server certificates that many new connections meet."""
    found = set()
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the CAs of the system, which take long
    CA.configure_trust(trusting)
    for _ in range(10):
        with closing(_connected(port, trusting)) as one:
            found.add(one.getpeercert(True) or b"")
    return found


def _connected(port: int, trusting: ssl.SSLContext) -> ssl.SSLSocket:
    return trusting.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")


def test_a_renewed_key_may_have_another_passphrase(data, tmp_path):
    """An encrypted key is opened with the passphrase in a private file, which is followed like the key."""
    first, second = new_pair((-1, 20)), new_pair((-1, 40))
    certificate, key = lay_down(tmp_path, Pair(first.certificate, encrypted(first.key)))
    passphrase = write(tmp_path / "passphrase", b"passphrase\n")
    options = ("--cert", certificate, "--key", key, "--key-passphrase-file", str(passphrase))
    with serving(data, *options) as service:
        assert presented(port_of(service)) == {first.der}
        lay_down(tmp_path, Pair(second.certificate, encrypted(second.key, b"another")))
        write(passphrase, b"another\n")
        hang_up(service)
        eventually(lambda: presented(port_of(service)), {second.der})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "is encrypted: name its passphrase with --key-passphrase-file"),
        (b"wrong\n", "does not open: name its passphrase"),
        (b"", "is empty: write the secret into it"),
    ],
)
def test_a_key_that_does_not_open_is_said(data, tmp_path, content, words):
    """A passphrase that is missing or wrong is one line at the start, and never a question on a terminal."""
    pair = new_pair((-1, 20))
    certificate, key = lay_down(tmp_path, Pair(pair.certificate, encrypted(pair.key)))
    given = () if content is None else ("--key-passphrase-file", write(tmp_path / "passphrase", content))
    done = run(
        "serve", "--data", data, "--port", str(free_port()), "--cert", certificate, "--key", key, *given
    )
    assert (done.returncode, words in done.stderr.decode()) == (2, True), done.stderr


def lay_down(folder: Path, pair: Pair) -> tuple[str, str]:
    certificate = write(folder / "tls.crt", pair.certificate)
    return str(certificate), str(write(folder / "tls.key", pair.key))


@BOTH
@pytest.mark.parametrize("signals", [0, 3], ids=["by itself", "by SIGHUP"])
def test_a_renewed_certificate_is_presented(data, tmp_path, workers, signals):
    """Soon by itself and also after SIGHUPs, `serve` presents a renewed certificate and shows its expiry."""
    first, second = new_pair((-1, 20)), new_pair((-1, 40))
    certificate, key = lay_down(tmp_path, first)
    metrics = free_port()
    options = ("--cert", certificate, "--key", key, "--workers", workers, "--management-port", str(metrics))
    with serving(data, *options) as service:
        assert presented(port_of(service)) == {first.der}
        assert scrape(metrics)[EXPIRY] == first.expires
        lay_down(tmp_path, second)
        for _ in range(signals):
            hang_up(service)
        eventually(lambda: presented(port_of(service)), {second.der})
        eventually(lambda: {scrape(metrics)[EXPIRY] for _ in range(8)}, {second.expires})
        assert "WARNING" not in log_of(service)


@BOTH
def test_a_pair_that_does_not_fit_is_one_warning(data, tmp_path, workers):
    """Of all the processes of `serve` one warns, once, and says what to do; the old pair is presented on."""
    first, second = new_pair(), new_pair()
    certificate, key = lay_down(tmp_path, first)
    with serving(data, "--cert", certificate, "--key", key, "--workers", workers) as service:
        write(Path(key), second.key)
        await_log(service, "WARNING")
        for _ in range(3):
            hang_up(service)
        assert presented(port_of(service)) == {first.der}
        write(Path(certificate), second.certificate)
        eventually(lambda: presented(port_of(service)), {second.der})
        [warning] = [line for line in log_of(service).splitlines() if "WARNING" in line]
        assert "name two files that belong together" in warning


@pytest.fixture
def authorities() -> tuple[Identity, Identity]:
    """Return the CA of clients before and after a replacement."""
    return tuple(authority(f"CN={name} CA") for name in ("Old", "New"))  # type: ignore[return-value]


@BOTH
def test_a_replaced_client_ca_counts_for_every_connection(data, tmp_path, authorities, workers):
    """A certificate of the old CA lets no client in any more: over no new, open or resumed connection."""
    old, new = authorities
    holders = [certified(DN, ca, today=TODAY) for ca in authorities]
    files = [identity_file(tmp_path, f"client-{n}", one) for n, one in enumerate(holders)]
    trusted = write(tmp_path / "ca.pem", old.pem)
    _register(data)
    with serving(data, "--workers", workers, MACAROON_CBAT_CLIENT_CA=str(trusted)) as service:
        assert statuses(service, files[0], client_id="billing") == {200}
        assert statuses(service, files[1], client_id="billing") == {401}
        with closing(connect(service, files[0])) as connection:
            assert ask(connection, client_id="billing")[0] == 200
            sessions = _sessions(service, files[0])
            write(trusted, new.pem)
            eventually(lambda: statuses(service, files[1], client_id="billing"), {200})
            eventually(lambda: statuses(service, files[0], client_id="billing"), {401})
            assert ask(connection, client_id="billing")[0] == 401
            assert _resumed(service, sessions) == [(False, 401), (False, 401)]


def _register(data: Path) -> None:
    metadata = ("--auth", "tls_client_auth", "--subject-dn", DN)
    members("client", "add", "billing", "--scope", "read", "--audience", API, *metadata, "--data", data)


def _sessions(service: Any, client: Path) -> list[tuple[ssl.SSLContext, ssl.SSLSession | None]]:
    """Return TLS sessions of both versions, each after a request that was served."""
    found = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        made = context(service, client)
        made.minimum_version = made.maximum_version = version
        with closing(connect(service, client)) as connection:
            connection.sock = _connected(port_of(service), made)
            assert ask(connection, client_id="billing")[0] == 200
            found.append((made, connection.sock.session))
    return found


def _resumed(service: Any, sessions: list[tuple[Any, Any]]) -> list[tuple[bool, int]]:
    """Try to resume each session; return whether it was, and the answer to a request over it."""
    found = []
    for made, session in sessions:
        sock = socket.create_connection(("127.0.0.1", port_of(service)))
        with closing(connect(service)) as connection:
            connection.sock = made.wrap_socket(sock, server_hostname="localhost", session=session)
            reused = bool(connection.sock.session_reused)
            found.append((reused, ask(connection, client_id="billing")[0]))
    return found


@dataclass(frozen=True)
class Trusting:
    """A service that trusts the clients of one CA, and its clients: ours, a stranger, and a self-made one."""

    service: Served
    file: Path
    authorities: list[Identity]
    clients: list[Path | None]

    def answers(self, client: Path | None) -> set[int]:
        """Return the answers to requests of a client."""
        return statuses(self.service, client, workers=1, client_id="billing")

    def hang_up_and_wait(self) -> None:
        """Wait until the service obeys: it opens its audit log anew, and reads its files again."""
        log = self.file.with_name("audit.log")
        log.unlink()
        hang_up(self.service)
        wait_until(log.exists)


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trusting]:
    folder = tmp_path_factory.mktemp("trusting")
    both = [authority(f"CN={name} CA") for name in ("Old", "New")]
    identities = [certified(DN, signer, today=TODAY) for signer in (*both, None)]
    files = [identity_file(folder, f"client-{n}", one) for n, one in enumerate(identities)]
    file, data = write(folder / "ca.pem", both[0].pem), with_database(folder / "data")
    _register(data)
    log = folder / "audit.log"
    with serving(data, MACAROON_CBAT_CLIENT_CA=str(file), MACAROON_CBAT_AUDIT_LOG=str(log)) as service:
        wait_until(log.exists)
        yield Trusting(service, file, both, [*files, None])


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda file: write(file, b""), id="emptied"),
        pytest.param(lambda file: file.write_bytes(b""), id="emptied in place"),
        pytest.param(lambda file: file.unlink(), id="removed"),
        pytest.param(lambda file: write(file, file.read_bytes()[:300]), id="half"),
        pytest.param(lambda file: write(file, b"# no CA at present\n"), id="a remark"),
        pytest.param(
            lambda file: write(file, certified(DN, today=TODAY).pem.replace(b"E", b"F")), id="garbage"
        ),
    ],
)
def test_a_client_ca_file_without_a_ca_lets_no_stranger_in(trusting, spoil):
    """An empty or broken CA file never means any CA: the CAs read before stay, one warning says so."""
    service, file, (old, new) = trusting.service, trusting.file, trusting.authorities
    mine, stranger, selfmade, _ = trusting.clients
    write(file, old.pem)
    hang_up(service)
    eventually(lambda: trusting.answers(mine), {200})
    warnings = log_of(service).count("WARNING")
    spoil(file)
    hang_up(service)
    await_log(service, "keeping the trusted CAs read before", warnings + 1)
    trusting.hang_up_and_wait()
    for client, status in ((mine, 200), (stranger, 401), (selfmade, 401), (None, 401)):
        assert trusting.answers(client) == {status}
    write(file, new.pem)
    eventually(lambda: trusting.answers(stranger), {200})
    assert log_of(service).count("WARNING") == warnings + 1


@BOTH
def test_a_replaced_proxy_secret_counts(data, tmp_path, workers):
    """The proxy is believed with the secret that is in the file now, and no more with the one before."""
    holder, file = certified("CN=holder", today=TODAY), tmp_path / "proxy.secret"
    write(file, b"the-first-secret-of-it\n")
    secret = members("client", "add", "bound", "--bound", "--scope", "read", "--data", data)["client_secret"]
    variables = {
        "MACAROON_CBAT_CERTIFICATE_FORMAT": "haproxy-sha256",
        "MACAROON_CBAT_TRUSTED_PROXIES": "secret",
        "MACAROON_CBAT_PROXY_SECRET_FILE": str(file),
    }
    with serving(data, "--workers", workers, **variables) as service:

        def answered(shown: str) -> set[int]:
            headers = {"Clientcertx5t": str(holder.thumbprint), "Proxysecret": shown}
            return statuses(service, None, headers, client_id="bound", client_secret=secret)

        assert answered("the-first-secret-of-it") == {200}
        write(file, b"another-secret-of-it\n")
        eventually(lambda: answered("another-secret-of-it"), {200})
        eventually(lambda: answered("the-first-secret-of-it"), {400})
        write(file, b"")
        hang_up(service)
        await_log(service, "keeping the proxy's secret read before")
        assert answered("") == {400}
        assert answered("another-secret-of-it") == {200}


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@BOTH
def test_a_rotated_audit_log_loses_no_record(data, tmp_path, workers):
    """While logrotate moves the file and sends SIGHUP again and again, each token has its one whole line."""
    file = tmp_path / "audit.log"
    secret = members("client", "add", "billing", "--scope", "read", "--data", data)["client_secret"]
    with serving(data, "--workers", workers, MACAROON_CBAT_AUDIT_LOG=str(file)) as service:

        def mint(_: int) -> None:
            with closing(connect(service)) as connection:
                assert ask(connection, client_id="billing", client_secret=secret)[0] == 200

        with ThreadPoolExecutor(4) as pool:
            minting = pool.map(mint, range(120))
            for number in range(6):
                wait_until(file.exists)
                file.rename(tmp_path / f"audit.log.{number}")
                hang_up(service)
            list(minting)
    found = [line for one in tmp_path.glob("audit.log*") for line in lines(one)]
    assert len({one["token_id"] for one in found if one["event"] == "token.minted"}) == 120


@BOTH
def test_sighup_opens_the_audit_log_anew(data, tmp_path, workers):
    """After SIGHUP the new file is there before any record, and every process has let go of the old one."""
    file, moved = tmp_path / "audit.log", tmp_path / "audit.log.1"
    with serving(data, "--workers", workers, MACAROON_CBAT_AUDIT_LOG=str(file)) as service:
        wait_until(file.exists)
        file.rename(moved)
        hang_up(service)
        wait_until(file.exists)
        wait_until(lambda: not _holders(service.pid, moved))
        assert file.stat().st_mode & 0o777 == 0o600


def _holders(pid: int, file: Path) -> list[str]:
    """Return the descriptors of a process and its children that are this file."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    links = [link for one in (str(pid), *children) for link in Path(f"/proc/{one}/fd").iterdir()]
    return [str(link) for link in links if link.exists() and link.resolve() == file]


@BOTH
@pytest.mark.parametrize("prefix", [[], ["nohup"]], ids=["plain", "nohup"])
def test_sighup_before_it_is_ready_ends_nothing(data, workers, prefix):
    """SIGHUP long before `serve` listens, and while it stops, does not end it otherwise than SIGTERM does."""
    command = [*prefix, *COMMAND, "serve", "--data", str(data), "--port", str(free_port())]
    with fork_server.Popen(
        [*command, "--workers", workers],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=environment_of(),
    ) as process:
        wait_until(lambda: _hears_hangups(process.pid))
        for _ in range(50):
            process.send_signal(signal.SIGHUP)
        assert next_line(process).startswith("macaroon-cbat serves")
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        assert process.wait(60) == 0


def _hears_hangups(pid: int) -> bool:
    """Tell whether the process has a handler for SIGHUP by now."""
    [caught] = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("SigCgt")
    ]
    return bool(int(caught.split()[1], 16) & 1 << (signal.SIGHUP - 1))


def kill_workers(service: Any) -> None:
    """Kill every worker, and wait until others have taken their places."""
    children = Path(f"/proc/{service.pid}/task/{service.pid}/children")
    dead = set(children.read_text().split())
    for pid in dead:
        os.kill(int(pid), signal.SIGKILL)
    wait_until(lambda: len(set(children.read_text().split()) - dead) == len(dead))


def test_workers_that_are_killed_come_back_with_the_files_of_now(data, tmp_path):
    """A worker that takes a dead one's place presents the renewed certificate, and hears SIGHUP."""
    first, second, third = new_pair(), new_pair(), new_pair()
    certificate, key = lay_down(tmp_path, first)
    with serving(data, "--cert", certificate, "--key", key, "--workers", "2") as service:
        lay_down(tmp_path, second)
        eventually(lambda: presented(port_of(service)), {second.der})
        await_log(service, "presenting")
        kill_workers(service)
        assert presented(port_of(service)) == {second.der}
        lay_down(tmp_path, third)
        hang_up(service)
        eventually(lambda: presented(port_of(service)), {third.der})


def test_a_broken_ca_file_does_not_bring_an_old_ca_back(data, tmp_path, authorities):
    """With the CA file replaced and then broken, new workers start, and trust the last good CA alone."""
    holders = [certified(DN, ca, today=TODAY) for ca in authorities]
    files = [identity_file(tmp_path, f"client-{n}", one) for n, one in enumerate(holders)]
    trusted = write(tmp_path / "ca.pem", authorities[0].pem)
    _register(data)
    with serving(data, "--workers", "2", MACAROON_CBAT_CLIENT_CA=str(trusted)) as service:
        write(trusted, authorities[1].pem)
        eventually(lambda: statuses(service, files[1], client_id="billing"), {200})
        await_log(service, "read the trusted CAs again")  # the parent has them too
        write(trusted, b"")
        await_log(service, "keeping the trusted CAs read before")
        for _ in range(3):
            kill_workers(service)
        assert statuses(service, files[1], client_id="billing") == {200}
        assert statuses(service, files[0], client_id="billing") == {401}
        assert log_of(service).count("WARNING") == 1


def test_a_broken_secret_file_does_not_bring_an_old_secret_back(data, tmp_path):
    """With the secret replaced and its file then broken, new workers believe the last good secret alone."""
    holder, file = certified("CN=holder", today=TODAY), tmp_path / "proxy.secret"
    write(file, b"the-first-secret-of-it\n")
    secret = members("client", "add", "bound", "--bound", "--scope", "read", "--data", data)["client_secret"]
    variables = {
        "MACAROON_CBAT_CERTIFICATE_FORMAT": "haproxy-sha256",
        "MACAROON_CBAT_TRUSTED_PROXIES": "secret",
        "MACAROON_CBAT_PROXY_SECRET_FILE": str(file),
    }
    with serving(data, "--workers", "2", **variables) as service:

        def answered(shown: str) -> set[int]:
            headers = {"Clientcertx5t": str(holder.thumbprint), "Proxysecret": shown}
            return statuses(service, None, headers, client_id="bound", client_secret=secret)

        write(file, b"another-secret-of-it\n")
        eventually(lambda: answered("another-secret-of-it"), {200})
        await_log(service, "read the proxy's secret again")  # the parent has it too
        file.unlink()
        await_log(service, "keeping the proxy's secret read before")
        kill_workers(service)
        assert answered("another-secret-of-it") == {200}
        assert answered("the-first-secret-of-it") == {400}
