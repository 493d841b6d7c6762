"""Requests per second and p99 of nginx and Envoy that ask the gateway, beside the same proxies without it.

Lines between have a bare server that says 200 to everything in the place of the gateway, over gRPC one of
grpc.aio: what asking any server costs. Behind each stands an nginx that answers at once.
All lines take turns in every round, and each sends distinct children of one token in turn.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from children import children, in_turn
from gateway import BARE_GRPC
from service import Throughput
from timing import Extent
from tls_load import Answers, Load, answers, throughput_of

from tests.support.ports import free_port
from tests.support.proxies.certificates import World, make_world
from tests.support.proxies.deployment import Stand, make_stand
from tests.support.proxies.processes import binary_of, process, wait_for_port
from tests.support.proxies.rows import Row
from tests.support.service_process import ROOT

UPSTREAM = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 512; }}
http {{
    access_log off; keepalive_requests 1000000;
    client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
    uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200 "ok\\n"; }} }}
}}
"""
BARE = """
import asyncio, os, sys, uvloop

class Bare(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.waiting = transport, b""
    def data_received(self, data):
        self.waiting += data
        count = self.waiting.count(b"\\r\\n\\r\\n")
        self.waiting = self.waiting.rpartition(b"\\r\\n\\r\\n")[2]
        self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n" * count)

async def main():
    server = await asyncio.get_running_loop().create_unix_server(Bare, sys.argv[1])
    os.chmod(sys.argv[1], 0o666)
    print("ready", flush=True)
    await server.serve_forever()

uvloop.run(main())
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One configuration of the table."""

    name: str
    row: Row
    is_bare: bool = False


def throughput(extent: Extent) -> list[Throughput]:
    """Return the figures of every line."""
    subprocess.run([str(ROOT / "scripts/setup-proxies")], check=True)
    with tempfile.TemporaryDirectory() as folder, make_world(Path(folder)) as made, ExitStack() as stack:
        port = stack.enter_context(_upstream(made.folder))
        world = replace(made, upstream=replace(made.upstream, port=port))
        loads = {line.name: _load(stack.enter_context(_stand(line, world)), world) for line in _lines()}
        spent: dict[str, list[Answers]] = {each: [] for each in loads}
        for load in loads.values() if extent.is_warmed else ():
            answers(load, extent.seconds / 4)
        for _ in range(extent.load_rounds):
            for name, load in loads.items():
                spent[name].append(answers(load, extent.seconds))
    return [throughput_of(name, rounds) for name, rounds in spent.items()]


def _lines() -> Iterator[Line]:
    for proxy in ("nginx", "envoy"):
        protocols = ("http", "grpc") if proxy == "envoy" else ("http",)
        yield Line(f"{proxy}, asking no server", Row(proxy, proxy, is_guarded=True))
        for protocol in protocols:
            named = f" ({protocol})" if len(protocols) > 1 else ""
            row = Row(proxy, proxy, protocol=protocol)
            yield Line(f"{proxy}, asking a bare server{named}", row, is_bare=True)
            yield Line(f"{proxy}, asking the gateway{named}", Row(proxy, proxy, protocol=protocol))


@contextmanager
def _stand(line: Line, world: World) -> Iterator[Stand]:
    """Run one line; the bare server takes the gateway's place."""
    with make_stand(line.row, world) as stand:
        if not line.is_bare:
            yield stand
            return
        stand.stop_gateway()
        code, place = BARE_GRPC, str(stand.gateway_port)
        if line.row.protocol == "http":
            stand.socket.unlink()
            code, place = BARE, str(stand.socket)
        with subprocess.Popen([sys.executable, "-c", code, place], stdout=subprocess.PIPE) as bare:
            try:
                assert bare.stdout is not None
                assert bare.stdout.readline()
                yield stand
            finally:
                bare.terminate()


def _load(stand: Stand, world: World) -> Load:
    start = "GET /invoices HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
    requests = [f"{start}{child}\r\n\r\n".encode() for child in children(world.bound())]
    return Load(stand.ports.tls, world.ca, world.holders["self-signed"].file, in_turn(requests))


@contextmanager
def _upstream(folder: Path) -> Iterator[int]:
    """Run the server behind all proxies."""
    place, port = folder / "upstream", free_port()
    place.mkdir()
    (place / "main.conf").write_text(UPSTREAM.format(folder=place, port=port))
    command = [binary_of("nginx"), "-e", f"{place}/log", "-p", str(place), "-c", f"{place}/main.conf"]
    with process(command, place) as running:
        wait_for_port(port, running, place)
        yield port
