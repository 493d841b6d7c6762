"""A stand: one real proxy with our configuration, and the guard behind it."""

import os
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from macaroon_cbat.macaroon.keys import audience_keys, write_key_file
from tests.support.ports import free_port
from tests.support.proxies.certificates import World
from tests.support.proxies.clients import (
    Ask,
    Headers,
    Reply,
    send,
    send_by_curl,
    send_grpc,
    send_h2,
    send_unix,
    shared_context,
    tls_context,
)
from tests.support.proxies.processes import Ports, gateway_process, proxy_process
from tests.support.proxies.rows import Row
from tests.support.proxies.upstreams import guarded_upstream
from tests.support.proxies.wire import Raw, converse, converse_h2
from tests.support.tls_servers import Client
from tests.support.tokens import API, ISSUER, ROOT

_NUMBERS = count(1)
SECRET = "known-to-proxy-and-gateway"


POLICY = """\
audience = "{audience}"
keys = "{folder}/keys.json"
dpop_nonce_secret_file = "{folder}/nonces"
[listen]
{listen}
[proxy]
kind = "{row.proxy}"
format = "{row.format}"
trust = ["unix", "127.0.0.1/32"]
secret_file = "{folder}/secret"
[[rule]]
path = "/invoices"
methods = ["GET"]
scope = "read"
[[rule]]
path = "/invoices"
methods = ["POST"]
scope = "write"
[[rule]]
path = "/socket"
methods = ["GET"]
scope = "read"
[[rule]]
path = "/health"
public = true
"""


@dataclass
class Stand:
    """One row, running."""

    row: Row
    world: World
    folder: Path
    ports: Ports
    behind: int
    """The port of the server behind the proxy."""
    gateway_stack: ExitStack = field(default_factory=ExitStack)

    @property
    def socket(self) -> Path:
        """The gateway's socket."""
        return self.folder / "gateway.sock"

    def ask(self, ask: Ask) -> Reply:
        """Send a request to the TLS listener."""
        if ask.is_h2:
            return send_h2(self.ports.tls, ask, self.world.ca)
        return send(self.ports.tls, ask, shared_context(self.world.ca, ask.client))[0]

    def ask_by_curl(self, ask: Ask) -> Reply:
        """Send a request to the TLS listener over HTTP/2, as curl does."""
        return send_by_curl(self.ports.tls, ask, self.world.ca)

    def say(self, data: bytes, client: Client | None = None, before: bytes = b"") -> Raw:
        """Send the bytes of HTTP/1.1 to the TLS listener, and others before its handshake."""
        return converse(self.ports.tls, data, shared_context(self.world.ca, client), before)

    def say_h2(
        self,
        headers: Headers,
        client: Client | None = None,
        *,
        body: bytes | None = None,
        trailers: Headers = (),
        tunnel: bytes = b"",
    ) -> Raw:
        """Send one request over HTTP/2 to the TLS listener."""
        context = shared_context(self.world.ca, client, is_h2=True)
        return converse_h2(self.ports.tls, headers, context, body=body, trailers=trailers, tunnel=tunnel)

    def ask_in_the_clear(self, ask: Ask) -> Reply:
        """Send a request to the plain listener."""
        return send(self.ports.clear, ask, None)[0]

    def ask_twice(self, ask: Ask, version: ssl.TLSVersion, heir: Client | None = None) -> tuple[Reply, Reply]:
        """Send a request twice, offering the first session again: as the same, or as the heir."""
        context = tls_context(self.world.ca, ask.client, version)
        first, session = send(self.ports.tls, ask, context)
        if heir is not None:
            context.load_cert_chain(heir.file)
        return first, send(self.ports.tls, ask, context, session)[0]

    def ask_around(self, ask: Ask) -> Reply:
        """Send a request around the proxy: to the gateway, or to the server that guards itself."""
        if self.row.is_guarded:
            return send(self.behind, ask, None)[0]
        if self.row.protocol == "grpc":
            return send_grpc(self.gateway_port, ask, self.world.holders["self-signed"])
        if self.row.is_over_tcp:
            return send(self.gateway_port, ask, None)[0]
        return send_unix(self.socket, ask)

    gateway_port: int = 0

    def start_gateway(self) -> None:
        """Start the gateway."""
        self.gateway = self.gateway_stack.enter_context(gateway_process(self.folder / "gateway.toml"))

    def signal_gateway(self, number: signal.Signals) -> None:
        """Send parent and worker a signal."""
        os.killpg(self.gateway.pid, number)

    def stop_gateway(self) -> None:
        """Kill the gateway as it stands, parent and worker, without a good-bye."""
        self.signal_gateway(signal.SIGKILL)
        self.gateway.wait()
        self.gateway_stack.close()


@contextmanager
def make_stand(
    row: Row, world: World, edit: Callable[[Path], None] = lambda _: None, *, audience: str = API
) -> Iterator[Stand]:
    """Run a row until the block ends; the gateway is that of this audience."""
    base = world.upstream.socket.parent if row.proxy == "apache" else world.folder
    folder = base / str(next(_NUMBERS))  # short: the path of a Unix socket has 107 characters at most
    folder.mkdir()
    folder.chmod(0o755)  # whatever the umask: Apache's workers read refuse.lua in it
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    stand = Stand(row, world, folder, Ports(free_port(), free_port()), world.upstream.port)
    options: list[object] = ["--cert", world.folder / "server.pem", "--secret-file", folder / "secret"]
    options += ["--remove-header", "X-Acme-User"]
    options += ["--format", row.format, "--protocol", row.protocol]
    options += ["--websocket", row.websocket] if row.websocket else []
    with ExitStack() as stack:
        if row.is_asked:
            options += ["--gateway", f"127.0.0.1:{world.upstream.port}"]
        elif not row.is_guarded:
            _write_policy(stand, audience)
            options += ["--audience", audience] if audience != API else []
            stack.callback(stand.gateway_stack.close)
            stand.start_gateway()
            options += ["--gateway"]
            options += [f"127.0.0.1:{stand.gateway_port}" if row.is_over_tcp else f"unix:{stand.socket}"]
        elif not row.is_shown:
            stand.behind = stack.enter_context(guarded_upstream(row.format, SECRET))
        options += ["--upstream"]
        options += [f"unix:{world.upstream.socket}" if row.is_swapped else f"127.0.0.1:{stand.behind}"]
        stack.enter_context(proxy_process(row.proxy, folder, stand.ports, options, edit))
        yield stand


def _write_policy(stand: Stand, audience: str) -> None:
    """Write the gateway's policy file, keys and secret."""
    folder, row = stand.folder, stand.row
    (folder / "keys.json").write_bytes(write_key_file(audience_keys(ISSUER, audience, [ROOT])))
    (folder / "nonces").write_text("n" * 64)
    for name in ("keys.json", "nonces"):
        (folder / name).chmod(0o600)
    listen = f'http = "unix:{stand.socket}"'
    if row.is_over_tcp:
        stand.gateway_port = free_port()
        listen = f'{"grpc" if row.protocol == "grpc" else "http"} = "127.0.0.1:{stand.gateway_port}"'
    (folder / "gateway.toml").write_text(
        POLICY.format(audience=audience, folder=folder, listen=listen, row=row)
    )
