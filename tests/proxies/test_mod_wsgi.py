"""An application inside Apache: its variable of the certificate, which no header can write."""

import json
import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from macaroon_cbat.certificate.apache import apache_variable
from macaroon_cbat.certificate.source import NO_CERTIFICATE, presented_certificate
from macaroon_cbat.certificate.wsgi_connection import WsgiConnection
from macaroon_cbat.errors import AmbiguousHeader, ProxyMisconfigured
from tests.support.certificate_spellings import make_certificate, pem
from tests.support.certificates import Identity, certified
from tests.support.patience import SECONDS
from tests.support.ports import free_port
from tests.support.proxies.processes import binary_of, process, wait_for

APACHE = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/log
Mutex file:{folder} default
User {user}
Group {group}
{modules}
Listen 127.0.0.1:{tls}
Listen 127.0.0.1:{hidden}
Listen 127.0.0.1:{clear}
WSGIScriptAlias / {folder}/probe.wsgi
<Directory {folder}>
    Require all granted
</Directory>
<VirtualHost 127.0.0.1:{tls}>
    SSLEngine on
    SSLCertificateFile {folder}/server.pem
    SSLVerifyClient optional_no_ca
    SSLOptions +ExportCertData
</VirtualHost>
<VirtualHost 127.0.0.1:{hidden}>
    SSLEngine on
    SSLCertificateFile {folder}/server.pem
    SSLVerifyClient optional_no_ca
    SSLOptions +StdEnvVars
</VirtualHost>
"""
MODULES = ("mpm_event", "authz_core", "ssl", "wsgi")


@dataclass(frozen=True)
class Apache:
    """A running Apache: with the certificate exported, without, and without TLS."""

    folder: Path
    tls: int
    hidden: int
    clear: int

    def environ(self, port: int, client: Identity | None = None, **headers: str) -> dict[str, Any]:
        """Return the environment of a request over a connection with this certificate."""
        scheme = "http" if port == self.clear else "https"
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if client is not None:
            file = self.folder / "client.pem"
            file.write_bytes(client.pem + client.key_pem)
            context.load_cert_chain(file)
        request = urllib.request.Request(f"{scheme}://127.0.0.1:{port}/", headers=headers)
        with urllib.request.urlopen(request, context=context, timeout=SECONDS) as response:
            found: dict[str, Any] = json.loads(response.read())
        return found


@pytest.fixture(scope="module")
def apache() -> Iterator[Apache]:
    """Run Apache with mod_wsgi; its user must be able to read the folder, which is why it is no tmp_path."""
    with TemporaryDirectory(prefix="mod-wsgi-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = Apache(folder, free_port(), free_port(), free_port())
        identity = certified("CN=localhost", usage=None)
        (folder / "server.pem").write_bytes(identity.pem + identity.key_pem)
        copy(Path(__file__).parents[1] / "support" / "proxies" / "probe.wsgi", folder)
        _configure(server)
        with _running(server):
            yield server


def _configure(server: Apache) -> None:
    folder = Path("/usr/lib/apache2/modules")
    modules = "\n".join(f"LoadModule {name}_module {folder}/mod_{name}.so" for name in MODULES)
    user = ("www-data", "www-data") if os.getuid() == 0 else (f"#{os.getuid()}", f"#{os.getgid()}")
    text = APACHE.format(**vars(server), modules=modules, user=user[0], group=user[1])
    (server.folder / "main.conf").write_text(text)


@contextmanager
def _running(server: Apache) -> Iterator[None]:
    command = [binary_of("apache"), "-f", f"{server.folder}/main.conf", "-D", "FOREGROUND"]
    with process(command, server.folder) as running:
        wait_for(lambda: _answers(server), running, server.folder)
        yield


def _answers(server: Apache) -> bool:
    with suppress(OSError):
        server.environ(server.clear)
        return True
    return False


def test_the_certificate_of_apache_s_connection_is_found(apache: Apache):
    """The variable holds the certificate that the client presented, of any issuer."""
    for subject in ("CN=holder", "CN=other,O=Example"):
        client = certified(subject, days=(-1, 4000))
        assert apache_variable(WsgiConnection(apache.environ(apache.tls, client))) == presented_certificate(
            client.der
        )


def test_no_certificate_is_read_as_none(apache: Apache):
    """Without a certificate Apache shows an empty variable."""
    environ = apache.environ(apache.tls)
    assert environ["SSL_CLIENT_CERT"] == ""
    assert apache_variable(WsgiConnection(environ)) == NO_CERTIFICATE


@pytest.mark.parametrize(
    "name", ["SSL_CLIENT_CERT", "SSL-Client-Cert", "Ssl.Client.Cert", "mod_wsgi.version", "REMOTE_USER"]
)
def test_no_header_is_the_variable(apache: Apache, name: str):
    """The variable is Apache's, whatever header a client sends."""
    value = pem(make_certificate("forged")).replace("\n", " ").strip()
    assert apache_variable(WsgiConnection(apache.environ(apache.tls, **{name: value}))) == NO_CERTIFICATE
    client = certified("CN=holder", days=(-1, 4000))
    seen = apache_variable(WsgiConnection(apache.environ(apache.tls, client, **{name: value})))
    assert seen == presented_certificate(client.der)


def test_an_apache_that_does_not_show_it_is_misconfigured(apache: Apache):
    """Without ExportCertData, and without TLS, nothing can be told: not even that there was none."""
    client = certified("CN=holder", days=(-1, 4000))
    for environ in (apache.environ(apache.hidden, client), apache.environ(apache.clear)):
        with pytest.raises(ProxyMisconfigured, match=r"SSLOptions \+ExportCertData"):
            apache_variable(WsgiConnection(environ))


def test_under_another_server_the_variable_does_not_count():
    """A variable of this name is an error under another server, and under Apache when its text is spoiled."""
    text = pem(make_certificate("holder"))
    with pytest.raises(ProxyMisconfigured):
        apache_variable(WsgiConnection({"SSL_CLIENT_CERT": text, "SERVER_SOFTWARE": "gunicorn/27.0.1"}))
    for spoiled in (text[:-1], text + text, text + " ", text.replace("\n", " ")):
        with pytest.raises(AmbiguousHeader):
            apache_variable(WsgiConnection({"SSL_CLIENT_CERT": spoiled, "mod_wsgi.version": (4, 9, 4)}))
