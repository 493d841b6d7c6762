"""Requests per second of a guarded Flask view beside the same view unguarded, on the embedded server.

One process serves both over mutual TLS with keep-alive; all lines take turns in every round.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme
from children import children, in_turn
from service import Throughput
from timing import Extent
from tls_load import Answers, Load, answers, throughput_of

from macaroon_cbat.macaroon.keys import write_key_file
from tests.support.gateway_tokens import good
from tests.support.ports import free_port
from tests.support.tls_servers import Client, make_client, next_line
from tests.support.tokens import KEYS

SERVER = """
import sys
from pathlib import Path
from flask import Flask
from macaroon_cbat.resource import Guard
from macaroon_cbat.tls import serve

folder, port = Path(sys.argv[1]), int(sys.argv[2])
app = Flask("api")
guard = Guard(app, keys=folder / "keys.json")
app.add_url_rule("/open", "open", lambda: "in")
app.add_url_rule("/guarded", "guarded", guard.require("read")(lambda: "in"))
serve(lambda: app, port=port, certificate=folder / "server.pem", key=folder / "server.key",
      on_ready=lambda *_: print("ready", flush=True))
"""


def throughput(extent: Extent) -> list[Throughput]:
    """Return the figures of every line."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        holder = make_client(folder, "holder")
        with _server(folder) as port:
            loads = _loads(folder, port, holder)
            spent: dict[str, list[Answers]] = {line: [] for line in loads}
            for load in loads.values() if extent.is_warmed else ():
                answers(load, extent.seconds / 4)
            for _ in range(extent.load_rounds):
                for line, load in loads.items():
                    spent[line].append(answers(load, extent.seconds))
    return [throughput_of(line, rounds) for line, rounds in spent.items()]


def _loads(folder: Path, port: int, holder: Client) -> dict[str, Load]:
    text = good(holder.der)

    def load(path: str, request: bytes | Callable[[int], bytes] = b"") -> Load:
        return Load(port, folder / "ca.pem", holder.file, request or _request(path, text))

    return {
        "Flask, an unguarded view": load("/open"),
        "Flask, a guarded view": load("/guarded"),
        "Flask, guarded, distinct children": load(
            "/guarded", in_turn([_request("/guarded", child) for child in children(text)])
        ),
    }


def _request(path: str, text: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {text}\r\n\r\n".encode()


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """Run the application; give its port."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    own = authority.issue_cert("localhost")
    own.cert_chain_pems[0].write_to_path(folder / "server.pem")
    own.private_key_pem.write_to_path(folder / "server.key")
    (folder / "keys.json").write_bytes(write_key_file(KEYS))
    port = free_port()
    command = [sys.executable, "-c", SERVER, str(folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert next_line(process) == "ready"
            yield port
        finally:
            process.terminate()
