"""Requests per second of the gateway alone, beside bare servers of the same kind that say 200 to everything.

Over HTTP the yardsticks are the gateway's own protocol with nothing behind it, and uvicorn with the same
parser and event loop; over gRPC, grpc.aio with a fixed answer. One process each, keep-alive. All take
turns in every round. Needs wrk and h2load (Debian: wrk, nghttp2-client).
"""

import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from children import children
from service import Throughput
from timing import Extent

from tests.support.envoy_client import CHECK, check_request
from tests.support.gateway_process import gateway
from tests.support.gateway_tokens import good
from tests.support.ports import free_port
from tests.support.proxy_requests import Asked, forwarded
from tests.support.tls_servers import make_client, next_line

CONNECTIONS = 16
BARE_HTTP = """
import asyncio, sys, uvloop
from macaroon_cbat.resource.responses import Answer
from macaroon_cbat.gateway.http_connection import HttpConnection

class Dispatcher:
    def at_once(self, question):
        return ANSWER

    def known(self, data, address):
        return None

    def remember(self, data, question):
        pass

async def main():
    loop, connections = asyncio.get_running_loop(), {}
    make = lambda: HttpConnection(Dispatcher(), connections, is_unix_socket=False, limit=1000)
    server = await loop.create_server(make, "127.0.0.1", int(sys.argv[1]))
    print("ready", flush=True)
    await server.serve_forever()

ANSWER = Answer(200, (), b"")
uvloop.run(main())
"""
BARE_ASGI = """
import sys, uvicorn

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})

print("ready", flush=True)
uvicorn.run(app, port=int(sys.argv[1]), http="httptools", loop="uvloop", lifespan="off", access_log=False,
            log_level="error", server_header=False, date_header=False)
"""
BARE_GRPC = """
import asyncio, sys, grpc.aio
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

async def check(request, context):
    return CheckResponse()

async def main():
    server = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        check, CheckRequest.FromString, CheckResponse.SerializeToString)
    server.add_generic_rpc_handlers((
        grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", {"Check": method}),))
    server.add_insecure_port("127.0.0.1:" + sys.argv[1])
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()

asyncio.run(main())
"""
IN_TURN = """
local children, requests, number = {%s}, {}, 0
function init()
    for each, child in ipairs(children) do
        wrk.headers["Authorization"] = "Bearer " .. child
        requests[each] = wrk.format()
    end
end
function request()
    number = number %% #requests + 1
    return requests[number]
end
"""
ENDING_EARLY = """
local answers = 0
function response()
    answers = answers + 1
    if answers == 64 then wrk.thread:stop() end
end
"""


def throughput(extent: Extent) -> list[Throughput]:
    """Return the figures of the gateway over HTTP and gRPC, and of the bare servers."""
    for tool, package in (("wrk", "wrk"), ("h2load", "nghttp2-client")):
        if shutil.which(tool) is None:
            sys.exit(f"scripts/bench gateway needs {tool}: sudo apt-get install {package}")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        loads = _loads(folder, stack)
        spent: dict[str, list[float]] = {line: [] for line in loads}
        for load in loads.values() if extent.is_warmed else ():
            load(extent.seconds / 4)
        for _ in range(extent.load_rounds):
            for line, load in loads.items():
                spent[line].append(load(extent.seconds))
    return [Throughput(line, max(rates), median(rates)) for line, rates in spent.items()]


def _loads(folder: Path, stack: ExitStack) -> dict[str, Callable[[float], float]]:
    """Start every server; return by the name of its line what asks it and tells the rate."""
    holder = make_client(folder, "holder")
    text = good(holder.der)
    asked = Asked(token=text, certificate=holder.der)
    script, body = folder / "wrk.lua", folder / "check"
    fields = forwarded(asked, [("Clientcert", asked.pem), ("Clientcertverify", "SUCCESS")])
    script.write_text("".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in fields))
    distinct = folder / "children.lua"
    distinct.write_text(script.read_text() + IN_TURN % ",".join(f'"{one}"' for one in children(text)))
    message = check_request(asked).SerializeToString()
    body.write_bytes(struct.pack(">BI", 0, len(message)) + message)
    http, grpc = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    trusted = ["127.0.0.1/32"]
    stack.enter_context(
        gateway(folder / "http", listen={"http": http}, proxy={"kind": "nginx", "trust": trusted})
    )
    stack.enter_context(
        gateway(folder / "grpc", listen={"grpc": grpc}, proxy={"kind": "envoy", "trust": trusted})
    )
    bare = {code: stack.enter_context(_bare(code)) for code in (BARE_HTTP, BARE_ASGI, BARE_GRPC)}
    return {
        "gateway over HTTP": lambda seconds: _wrk(http, script, seconds),
        "gateway over HTTP, distinct children": lambda seconds: _wrk(http, distinct, seconds),
        "bare, the gateway's own protocol": lambda seconds: _wrk(bare[BARE_HTTP], script, seconds),
        "bare uvicorn": lambda seconds: _wrk(bare[BARE_ASGI], script, seconds),
        "gateway over gRPC": lambda seconds: _h2load(grpc, body, seconds),
        "bare grpc.aio": lambda seconds: _h2load(bare[BARE_GRPC], body, seconds),
    }


@contextmanager
def _bare(code: str) -> Iterator[str]:
    """Run a bare server; give its address."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", code, str(port)], stdout=subprocess.PIPE)
    try:
        assert next_line(process) == "ready"
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _wrk(address: str, script: Path, seconds: float) -> float:
    """Ask for whole seconds, as wrk must; for less, each of its threads stops after 64 answers."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}", "-s", str(script)]
    if seconds < 1:
        brief = script.with_suffix(".brief.lua")
        brief.write_text(script.read_text() + ENDING_EARLY)
        command[-1] = str(brief)
    said = _run([*command, f"http://{address}/"])
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(said)
    return float(re.findall(r"Requests/sec: +([\d.]+)", said)[0])


def _h2load(address: str, body: Path, seconds: float) -> float:
    command = ["h2load", "-D", f"{max(1, round(seconds * 1000))}ms", "-c", "2", "-m", str(CONNECTIONS // 2)]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    said = _run([*command, *headers, "-d", str(body), f"http://{address}{CHECK}"])
    if " 0 failed, 0 errored" not in said:
        raise RuntimeError(said)
    return float(re.findall(r"([\d.]+) req/s", said)[0])


def _run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
