"""The processes of a gateway: how they start, count and end."""

import os
import signal
import socket
import sys
import time
from http.client import HTTPConnection
from pathlib import Path

import grpc
import pytest

from tests.support import fork_server
from tests.support.envoy_client import envoy_grpc
from tests.support.gateway_process import HEALTH, RULES, Running, connect, gateway, replace_policy
from tests.support.gateway_tokens import good
from tests.support.ports import free_port
from tests.support.proxy_requests import Asked, nginx
from tests.support.service_process import ENVIRONMENT, ROOT
from tests.support.tls_servers import SECONDS, Client, read_to_end, wait_until

HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-Method: GET\r\n"
REST = b"X-Forwarded-Uri: /health\r\n\r\n"


def test_the_socket_is_for_owner_and_group(tmp_path: Path):
    """The Unix socket lets in owner and group alone, and is gone once the gateway is."""
    with gateway(tmp_path) as running:
        file = tmp_path / "gateway.sock"
        assert file.stat().st_mode & 0o777 == 0o660
        assert running.ask(HEALTH).status == 200
        assert [one.name for one in tmp_path.glob(".*sock")] == []
    assert not file.exists()


def test_a_socket_that_was_left_behind_is_no_obstacle(tmp_path: Path):
    """After a gateway was killed, the next one takes over the name of its socket."""
    with gateway(tmp_path) as running:
        running.process.kill()
        running.process.wait(SECONDS)
        assert (tmp_path / "gateway.sock").exists()
    deadline = time.monotonic() + SECONDS
    while _is_answered(tmp_path / "gateway.sock"):  # its worker notices a moment later
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with gateway(tmp_path) as running:
        assert running.ask(HEALTH).status == 200


def _is_answered(path: Path) -> bool:
    try:
        connect(f"unix:{path}").close()
    except OSError:
        return False
    return True


def refused(folder: Path, *options: str, **fields: object) -> str:
    """Start a gateway that must not start; return the one line it says."""
    file = replace_policy(folder, **fields)
    done = fork_server.run(
        [sys.executable, "-m", "macaroon_cbat", "gateway", str(file), *options],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=ENVIRONMENT,
        timeout=SECONDS,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_a_place_in_use_is_said(tmp_path: Path):
    """A second gateway on the same socket or port does not start, and leaves the first one alone."""
    port = free_port()
    listen = {"http": "unix:gateway.sock", "grpc": f"127.0.0.1:{port}"}
    with gateway(
        tmp_path, listen=listen, proxy={"kind": "envoy", "trust": ["unix", "127.0.0.1/32"]}
    ) as running:
        assert "gateway.sock is in use" in refused(tmp_path, **running.fields)
        second = {**running.fields, "listen": {"grpc": f"127.0.0.1:{port}"}}
        assert f"port {port} on 127.0.0.1 is in use" in refused(tmp_path, **second)
        assert running.ask({}, target="/envoy/health").status == 200
    (tmp_path / "plain").write_text("mine")
    assert "is no socket" in refused(tmp_path, **{**running.fields, "listen": {"http": "unix:plain"}})
    assert (tmp_path / "plain").read_text() == "mine"


def test_workers_share_no_unix_socket_over_grpc(tmp_path: Path):
    """A gateway whose grpc place is a Unix socket starts with one worker only."""
    envoy = {"listen": {"grpc": "unix:envoy.sock"}, "proxy": {"kind": "envoy", "trust": ["unix"]}}
    with gateway(tmp_path, **envoy) as running:
        fields = running.fields
    said = refused(tmp_path, "--workers", "2", **fields)
    assert "envoy.sock is for one process: --workers 1, or listen on ADDRESS:PORT" in said


@pytest.mark.parametrize("workers", [1, 2])
def test_it_finishes_what_is_under_way(tmp_path: Path, workers: int):
    """On SIGTERM a request that has begun is still answered; idle connections and listeners close."""
    with gateway(tmp_path, "--workers", str(workers)) as running:
        idle = running.connect()
        assert running.ask(HEALTH, sock=idle).status == 200
        begun = running.connect()
        begun.sendall(HALF)
        for _ in range(20):  # the workers that answer these have accepted what came before
            assert running.ask(HEALTH).status == 200
        time.sleep(0.2)
        running.process.send_signal(signal.SIGTERM)
        with idle:
            assert read_to_end(idle) == b""
        with begun:
            begun.sendall(REST)
            answer = read_to_end(begun)
        assert answer.startswith(b"HTTP/1.1 200")
        # Another worker than the one of the idle connection may answer before it hears of the end.
        assert workers > 1 or b"connection: close" in answer
        assert running.process.wait(SECONDS) == 0
        with pytest.raises(OSError):
            connect(running.http)


def test_metrics_count_what_all_workers_did(tmp_path: Path, holder: Client, thief: Client):
    """One page shows what every worker let in, refused and could not judge."""
    port = free_port()
    listen = {"http": "unix:gateway.sock", "metrics": f"127.0.0.1:{port}"}
    with gateway(tmp_path, "--workers", "2", listen=listen) as running:
        token = good(holder.der)
        for _ in range(10):
            assert nginx(running, Asked(token=token, certificate=holder.der)).status == 200
            assert nginx(running, Asked(token=token, certificate=thief.der)).status == 401
            assert nginx(running, Asked(uri="/nothing")).status == 403
            assert running.ask({}).status == 503
        page = _page(port)
    for line in (
        'macaroon_cbat_verified_total{attenuated="no",bound="yes"} 10.0',
        'macaroon_cbat_refused_total{reason="CaveatsNotMet"} 10.0',
        'macaroon_cbat_refused_total{reason="NoRule"} 10.0',
        'macaroon_cbat_unavailable_total{reason="ProxyMisconfigured"} 10.0',
    ):
        assert line in page.splitlines()


def _page(port: int) -> str:
    connection = HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def test_workers_share_a_port_over_grpc(tmp_path: Path, holder: Client):
    """A gateway of two workers at one TCP port answers Envoy, and ends with status 0 when it is told to."""
    listen = {"grpc": f"127.0.0.1:{free_port()}"}
    proxy = {"kind": "envoy", "trust": ["127.0.0.1/32"]}
    with gateway(tmp_path, "--workers", "2", listen=listen, proxy=proxy) as running:
        asked = Asked(token=good(holder.der), certificate=holder.der)
        assert {envoy_grpc(running, asked).status for _ in range(10)} == {200}
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(SECONDS) == 0


def test_a_killed_worker_answers_envoy_again(tmp_path: Path, holder: Client):
    """The next worker answers at the same place when the one worker behind a Unix socket is killed."""
    listen = {"grpc": f"unix:{tmp_path}/grpc.sock"}
    asked = Asked(token=good(holder.der), certificate=holder.der)
    with gateway(tmp_path, listen=listen, proxy={"kind": "envoy", "trust": ["unix"]}) as running:
        assert envoy_grpc(running, asked).status == 200
        running.signal_workers()
        running.await_log("ended after")
        wait_until(lambda: _answers_envoy(running, asked))
        running.write(RULES.replace("/invoices", "/other"))
        wait_until(lambda: envoy_grpc(running, asked).status == 403)
    assert not (tmp_path / "grpc.sock").exists()


def _answers_envoy(running: Running, asked: Asked) -> bool:
    try:
        return envoy_grpc(running, asked).status == 200
    except grpc.RpcError:
        return False


def test_many_connections_leave_room(tmp_path: Path):
    """However many connections say nothing, who asks is answered, and keeps the connection."""
    listen = {"http": f"127.0.0.1:{free_port()}"}
    proxy = {"kind": "nginx", "trust": ["127.0.0.1/32"]}
    with gateway(tmp_path, files=300, listen=listen, proxy=proxy) as running, running.connect() as kept:
        assert running.ask(HEALTH, sock=kept).status == 200
        silent = [running.connect() for _ in range(600)]
        for _ in range(20):
            assert running.ask(HEALTH).status == 200
            assert running.ask(HEALTH, sock=kept).status == 200
        for sock in silent:
            sock.close()


def test_a_burst_of_connections_waits(tmp_path: Path):
    """While the gateway has no time to accept them, hundreds of connections over a Unix socket wait."""
    with gateway(tmp_path) as running:
        running.signal_workers(signal.SIGSTOP)
        burst = [running.connect() for _ in range(500)]
        running.signal_workers(signal.SIGCONT)
        assert running.ask(HEALTH, sock=burst[-1]).status == 200
        for sock in burst:
            sock.close()


def test_no_worker_outlives_its_parent(tmp_path: Path):
    """A worker ends when its parent is killed: none is left behind that judges by old rules."""
    with gateway(tmp_path) as running:
        [child] = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()
        running.process.kill()
        deadline = time.monotonic() + SECONDS
        while _lives(int(child)):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_ipv6_proxy_is_known_by_its_network(tmp_path: Path):
    """A proxy at an IPv6 address is trusted by its network."""
    port = free_port()
    listen = {"http": f"[::1]:{port}"}
    proxy = {"kind": "nginx", "trust": ["::1/128"]}
    with (
        gateway(tmp_path, listen=listen, proxy=proxy) as running,
        socket.create_connection(("::1", port), SECONDS) as sock,
    ):
        assert running.ask(HEALTH, sock=sock).status == 200


@pytest.mark.parametrize(
    ("network", "proxy", "stranger"),
    [("127.0.0.0/8", "127.0.0.1", "::1"), ("::1/128", "::1", "127.0.0.1")],
    ids=["IPv4", "IPv6"],
)
def test_every_address_is_that_of_both_families(tmp_path: Path, network: str, proxy: str, stranger: str):
    """On `[::]` a gateway serves IPv6 and IPv4, trusts by the plain address, and audits it."""
    port = free_port()
    trusting = {"kind": "nginx", "trust": [network]}
    with gateway(tmp_path, listen={"http": f"[::]:{port}"}, proxy=trusting) as running:
        with socket.create_connection((proxy, port), SECONDS) as sock:
            assert running.ask(HEALTH, sock=sock).status == 200
        with socket.create_connection((stranger, port), SECONDS) as sock:
            assert running.ask(HEALTH, sock=sock).status == 403
        assert [line["address"] for line in running.audit()] == [stranger]
