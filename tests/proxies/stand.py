"""A stand: one real proxy with our configuration, and whoever judges behind it."""

import os
import signal
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import trustme
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from macaroon_cbat.caveats import Caveat, confirmation
from macaroon_cbat.keys import write_key_file
from macaroon_cbat.thumbprint import DerCertificate, thumbprint_of
from tests.core.material import API, KEYS, token
from tests.proxies.clients import Ask, Reply, send, send_grpc, send_h2, send_unix, tls_context
from tests.proxies.processes import Ports, gateway_process, proxy_process
from tests.proxies.upstreams import guarded_upstream, showing_upstream
from tests.tls.material import Client, make_client
from tests.walks.processes import free_port

_NUMBERS = count(1)
SECRET = "known-to-proxy-and-gateway"


@dataclass(frozen=True)
class Row:
    """What stands in front of what."""

    proxy: str
    format: str
    is_guarded: bool = False
    """Whether the server behind guards itself; otherwise the gateway judges."""
    protocol: str = "http"
    is_swapped: bool = False
    """Whether the gateway is asked over TCP and the server over a Unix socket, not the other way round."""

    @property
    def name(self) -> str:
        """What it is called in the table."""
        if self.is_guarded:
            return f"{self.proxy}, guarded server ({self.format})"
        return f"{self.proxy} + gateway" + (f" ({self.protocol})" if self.proxy == "envoy" else "")

    @property
    def is_over_tcp(self) -> bool:
        """Whether the proxy reaches the gateway over TCP."""
        return self.is_swapped or self.proxy == "traefik" or self.protocol == "grpc"


ROWS = (
    Row("nginx", "nginx"),
    Row("envoy", "envoy"),
    Row("envoy", "envoy", protocol="grpc"),
    Row("haproxy", "haproxy-sha256"),
    Row("caddy", "caddy-sha256"),
    Row("traefik", "traefik"),
    Row("nginx", "nginx", is_guarded=True),
    Row("envoy", "envoy", is_guarded=True),
    Row("haproxy", "haproxy-sha256", is_guarded=True),
    Row("haproxy", "haproxy", is_guarded=True),
    Row("haproxy", "rfc9440", is_guarded=True),
    Row("apache", "apache", is_guarded=True),
    Row("caddy", "caddy-sha256", is_guarded=True),
    Row("caddy", "caddy", is_guarded=True),
    Row("caddy", "rfc9440", is_guarded=True),
    Row("traefik", "traefik", is_guarded=True),
)

POLICY = """\
audience = "{audience}"
keys = "{folder}/keys.json"
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
path = "/health"
public = true
"""


@dataclass
class World:
    """What all stands share: certificates of servers and clients, and the server that shows what arrives."""

    folder: Path
    upstream: int
    upstream_socket: Path
    holders: dict[str, Client] = field(default_factory=dict)

    @property
    def ca(self) -> Path:
        """The CA of the proxies' certificate."""
        return self.folder / "ca.pem"

    def bound(self, kind: str = "self-signed", *caveats: Caveat, **changes: object) -> str:
        """Return a token bound to the certificate of this kind, restricted further by caveats."""
        now = int(time.time())
        der = DerCertificate(self.holders[kind].der)
        return token(confirmation(thumbprint_of(der)), *caveats, iat=now, exp=now + 600, **changes)

    def unbound(self) -> str:
        """Return a token without a confirmation."""
        now = int(time.time())
        return token(iat=now, exp=now + 600)


@contextmanager
def make_world(folder: Path) -> Iterator[World]:
    """Make the certificates, and run the upstream until the block ends."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    server = authority.issue_cert("localhost")
    server.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    client_ca = make_client(folder, "client-ca", is_authority=True)
    holders = {
        "self-signed": make_client(folder, "self-signed"),
        "thief": make_client(folder, "thief"),
        "CA-signed": make_client(folder, "of-a-ca", issuer=client_ca),
        "expired": make_client(folder, "expired", days=(-30, -1)),
        "RSA": make_client(folder, "rsa", key=rsa.generate_private_key(65537, 2048)),
        "Ed25519": make_client(folder, "ed25519", key=ed25519.Ed25519PrivateKey.generate()),
    }
    with TemporaryDirectory() as public:
        Path(public).chmod(
            0o711
        )  # Apache's workers are somebody else, who cannot enter a folder of the tests
        socket = Path(public) / "upstream.sock"
        with showing_upstream(socket) as upstream:
            yield World(folder, upstream, socket, holders)


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
            return send_h2(self.ports.tls, ask, self.world.ca, self.folder)
        return send(self.ports.tls, ask, tls_context(self.world.ca, ask.client))[0]

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
    row: Row, world: World, edit: Callable[[Path], None] = lambda _: None, *, is_shown: bool = False
) -> Iterator[Stand]:
    """Run a row until the block ends; `is_shown`: before the server that shows what arrives, unguarded."""
    folder = world.folder / str(next(_NUMBERS))  # short: the path of a Unix socket has 107 characters at most
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    (folder / "secret").chmod(0o600)
    ports = Ports(free_port(), free_port())
    options: list[object] = ["--cert", world.folder / "server.pem", "--secret-file", folder / "secret"]
    options += ["--format", row.format, "--protocol", row.protocol]
    with ExitStack() as stack:
        if row.is_guarded:
            guarded = guarded_upstream(row.format, SECRET)
            behind = world.upstream if is_shown else stack.enter_context(guarded)
            stand = Stand(row, world, folder, ports, behind)
        else:
            stand = Stand(row, world, folder, ports, world.upstream)
            _write_policy(stand)
            stack.callback(stand.gateway_stack.close)
            stand.start_gateway()
            options += [
                "--gateway",
                f"127.0.0.1:{stand.gateway_port}" if row.is_over_tcp else f"unix:{stand.socket}",
            ]
        options += ["--upstream"]
        options += [f"unix:{world.upstream_socket}" if row.is_swapped else f"127.0.0.1:{stand.behind}"]
        stack.enter_context(proxy_process(row.proxy, folder, ports, options, edit))
        yield stand


def _write_policy(stand: Stand) -> None:
    """Write the gateway's policy file, keys and secret."""
    folder, row = stand.folder, stand.row
    (folder / "keys.json").write_bytes(write_key_file(KEYS))
    (folder / "keys.json").chmod(0o600)
    listen = f'http = "unix:{stand.socket}"'
    if row.is_over_tcp:
        stand.gateway_port = free_port()
        listen = f'{"grpc" if row.protocol == "grpc" else "http"} = "127.0.0.1:{stand.gateway_port}"'
    (folder / "gateway.toml").write_text(POLICY.format(audience=API, folder=folder, listen=listen, row=row))
