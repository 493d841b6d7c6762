"""Apache with mod_oauth2 as `macaroon-cbat proxy-config apache` configures it, and a false service."""

import os
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.ports import free_port
from tests.support.proxies.clients import Ask, Reply, send, send_h2, shared_context
from tests.support.proxies.processes import binary_of, process, wait_for_port
from tests.support.relying.resource_servers import MODULES
from tests.support.service_process import in_process

STORE = "/etc/ssl/certs/ca-certificates.crt"
"""The CAs that libcurl of Debian believes: mod_oauth2 has no setting for others."""

MAIN = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/log
Mutex file:{folder} default
User {user[0]}
Group {user[1]}
{modules}
Include {folder}/httpd.conf
"""
LOADED = (
    "mpm_event",
    "authn_core",
    "authz_core",
    "authz_user",
    "headers",
    "socache_shmcb",
    "ssl",
    "http2",
    "lua",
    "proxy",
    "proxy_http",
    "oauth2",
)


@dataclass(frozen=True)
class Gateway:
    """One running Apache, and where it listens."""

    folder: Path
    tls: int
    clear: int

    def ask(self, ask: Ask) -> Reply:
        """Send a request to the TLS listener."""
        ca = self.folder / "ca.pem"
        if ask.is_h2:
            return send_h2(self.tls, ask, ca)
        return send(self.tls, ask, shared_context(ca, ask.client))[0]


@contextmanager
def apache_gateway(
    upstream: int, believed: Path, issuer: str, client_id: str, secret: str, *options: object
) -> Iterator[Gateway]:
    """Run Apache on a machine that believes the CA of this file, as far as Apache can see."""
    with TemporaryDirectory(prefix="mod-oauth2-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        gateway = Gateway(folder, free_port(), free_port())
        files = development_certificates(folder)
        (folder / "secret").write_text(secret)
        (folder / "secret").chmod(0o600)
        (folder / "believed.pem").write_bytes(believed.read_bytes())
        (folder / "believed.pem").chmod(0o644)
        in_process(
            "proxy-config", "apache", "--listen", f"127.0.0.1:{gateway.tls}",
            "--http-listen", f"127.0.0.1:{gateway.clear}", "--upstream", f"127.0.0.1:{upstream}",
            "--cert", files.certificate, "--key", files.key, "--issuer", issuer, "--client-id", client_id,
            "--client-secret-file", folder / "secret", "--output", folder, *options,
        )  # fmt: skip
        modules = "\n".join(f"LoadModule {one}_module {MODULES}/mod_{one}.so" for one in LOADED)
        user = ("www-data", "www-data") if os.getuid() == 0 else (f"#{os.getuid()}", f"#{os.getgid()}")
        (folder / "main.conf").write_text(MAIN.format(folder=folder, modules=modules, user=user))
        with process(_command(folder), folder) as running:
            wait_for_port(gateway.tls, running, folder)
            yield gateway


def _command(folder: Path) -> list[str]:
    """Return the command: Apache in a mount namespace, where a file is the system's CAs."""
    apache = [binary_of("apache"), "-f", f"{folder}/main.conf", "-D", "FOREGROUND"]
    bind = f'mount --bind {folder}/believed.pem {STORE} && exec "$@"'
    if os.getuid() == 0:
        return ["unshare", "--mount", "sh", "-c", bind, "sh", *apache]
    again = ["unshare", "--user", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", bind, "sh", *again, *apache]


class _Handler(socketserver.StreamRequestHandler):
    timeout = 60

    def handle(self) -> None:
        server = self.server
        assert isinstance(server, NoService)
        fields = {}
        is_asked = bool(self.rfile.readline())
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b":")
            fields[name.lower()] = value.strip()
        self.rfile.read(int(fields.get(b"content-length", b"0")))
        server.asked += is_asked
        if server.answer is None:
            server.ended.wait()
            return
        self.wfile.write(server.answer)


class NoService(socketserver.ThreadingTCPServer):
    """A TLS server with the service's certificate. It answers with `answer`, None being silence."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        """Listen with the certificate in this folder."""
        self.answer: bytes | None = b""
        self.asked = 0
        self.ended = threading.Event()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / "server.pem", folder / "server.key")
        super().__init__((host, 0), _Handler)

    @property
    def port(self) -> int:
        """The URL at which it listens."""
        port: int = self.server_address[1]
        return port

    def get_request(self) -> tuple[ssl.SSLSocket, tuple[str, int]]:
        """Take a connection, whose handshake is made in the handler's thread."""
        connection, address = super().get_request()
        wrapped = self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return wrapped, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when Apache hangs up."""

    @contextmanager
    def serving(self) -> Iterator["NoService"]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self.ended.set()
            self.shutdown()
            self.server_close()
            thread.join()
