"""Front servers that write any text into the environment: uWSGI's own protocol, and Apache's mod_wsgi."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copy, which
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from macaroon_cbat.certificate.forwarded import Forwarded, trusted_proxies
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import ProxyMisconfigured
from tests.support.patience import SECONDS
from tests.support.ports import free_port
from tests.support.servers.uwsgi_protocol import REQUEST, packet

PROBE = Path(__file__).parents[2] / "support" / "proxies" / "probe.wsgi"
FORGED = {
    "REMOTE_ADDR": "10.0.0.7",
    "SERVER_SOFTWARE": "gevent/26.9",
    "macaroon_cbat.peer_certificate": "a certificate",
    "gunicorn.socket": "x",
    "werkzeug.socket": "x",
    "waitress.client_disconnected": "x",
    "mod_wsgi.version": "4",
    "SSL_CLIENT_CERT": "x",
    "HTTP_CLIENTCERTX5T": "none",
}
APACHE = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/log
Mutex file:{folder} default
User {user}
Group {group}
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule wsgi_module /usr/lib/apache2/modules/mod_wsgi.so
Listen 127.0.0.1:{port}
WSGIScriptAlias /app {folder}/probe.wsgi
WSGITrustedProxyHeaders X-Forwarded-For X-Script-Name
<Directory {folder}>
    Require all granted
</Directory>
"""


@contextmanager
def started(command: list[str], port: int, log: Path) -> Iterator[None]:
    """Run a server until the block ends, once it takes connections."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    deadline = time.monotonic() + SECONDS
    try:
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.02)
        yield
    finally:
        with suppress(ProcessLookupError):  # at once: Apache would wait ten seconds for mod_wsgi's workers
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def exchange(port: int, raw: bytes) -> dict[str, Any]:
    """Return the environment that a request makes."""
    with socket.create_connection(("127.0.0.1", port), SECONDS) as sock:
        sock.sendall(raw)
        answer = b""
        while part := sock.recv(65_536):
            answer += part
    body = answer.partition(b"\r\n\r\n")[2]
    found: dict[str, Any] = json.loads(body[body.index(b"{") : body.rindex(b"}") + 1])
    return found


def is_refused(environ: dict[str, Any]) -> None:
    """Assert that nothing in this environment makes its sender the proxy at 10.0.0.7, or at a Unix socket."""
    connection = WsgiConnection(environ)
    assert (connection.shows_address(), connection.address(), connection.is_unix_socket()) == (
        False,
        None,
        False,
    )
    assert (connection.certificate(), connection.merges_trailers()) == (None, True)
    with pytest.raises(ProxyMisconfigured, match="trust by network is not possible"):
        Forwarded("haproxy-sha256", trust=trusted_proxies(["10.0.0.7"]))(connection)
    peer = Forwarded("haproxy-sha256", trust=trusted_proxies(["unix"]))(connection)
    assert (peer.thumbprint, peer.is_from_proxy) == (None, False)
    assert connection.why_hidden() is not None


def test_uwsgi_s_own_protocol(tmp_path: Path):
    """No text that a sender writes in uWSGI's protocol is an address, a socket or a certificate."""
    port = free_port()
    server = which("uwsgi") or "uwsgi"
    options = [
        "--plugin",
        "python3",
        "--socket",
        f"127.0.0.1:{port}",
        "--wsgi-file",
        str(PROBE),
        "--die-on-term",
    ]
    with started([server, *options], port, tmp_path / "log"):
        environ = exchange(port, packet({**REQUEST, **FORGED}))
    assert {key: environ[key] for key in FORGED} == FORGED
    is_refused(environ)
    assert WsgiConnection(environ).variable("SSL_CLIENT_CERT") is None
    assert "this server shows none to applications: serve with" in str(WsgiConnection(environ).why_hidden())


@pytest.fixture(scope="module")
def apache() -> Iterator[int]:
    """Run Apache with mod_wsgi told to take addresses and prefixes from headers; return its port."""
    user = ("www-data", "www-data") if os.getuid() == 0 else (f"#{os.getuid()}", f"#{os.getgid()}")
    port = free_port()
    with TemporaryDirectory(prefix="mod-wsgi-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        copy(PROBE, folder)
        text = APACHE.format(folder=folder, user=user[0], group=user[1], port=port)
        (folder / "main.conf").write_text(text)
        command = [which("apache2") or "/usr/sbin/apache2", "-f", f"{folder}/main.conf", "-D", "FOREGROUND"]
        with started(command, port, folder / "output"):
            yield port


def test_mod_wsgi_that_believes_headers(apache: int):
    """A connection of mod_wsgi has no address and no socket if mod_wsgi takes them from headers."""
    lines = ["GET /app/invoices HTTP/1.1", "Host: localhost", "Connection: close"]
    forged = ["X-Forwarded-For: 10.0.0.7", "X-Script-Name: /public", "", ""]
    environ = exchange(apache, "\r\n".join([*lines, *forged]).encode())
    assert environ["REMOTE_ADDR"] == "10.0.0.7"
    assert environ["SCRIPT_NAME"] == "/public"
    is_refused(environ)
    assert "certificate_source=macaroon_cbat.apache_variable" in str(WsgiConnection(environ).why_hidden())
    honest = exchange(apache, "\r\n".join([*lines, "", ""]).encode())
    assert (honest["SCRIPT_NAME"], honest["PATH_INFO"]) == ("/app", "/invoices")
