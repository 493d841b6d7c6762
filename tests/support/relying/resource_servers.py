"""Resource servers of others, each asking the real service, over TLS that takes any client certificate."""

import json
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPSConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.node import NODE, NODE_MODULES
from tests.support.ports import free_port
from tests.support.proxies.processes import binary_of, wait_for_port
from tests.support.proxies.processes import process as proxy_process
from tests.support.service_process import Service, process
from tests.support.tls_servers import SECONDS, Client

KINDS = ("mod_auth_openidc", "Authlib", "django-oauth-toolkit", "token-introspection")
MODULES = Path("/usr/lib/apache2/modules")
APACHE = """\
ServerRoot {folder}
ServerName localhost
PidFile {folder}/pid
ErrorLog {folder}/log
Mutex file:{folder} default
User {user[0]}
Group {user[1]}
{modules}
Listen 127.0.0.1:{port}
DocumentRoot {folder}/public
SSLEngine on
SSLCertificateFile {folder}/server.pem
SSLCertificateKeyFile {folder}/server.key
SSLVerifyClient optional_no_ca
OIDCCryptoPassphrase of-a-test
OIDCCABundlePath {ca}
OIDCOAuthIntrospectionEndpoint {endpoint}
OIDCOAuthIntrospectionEndpointAuth client_secret_basic
OIDCOAuthClientID {client_id}
OIDCOAuthClientSecret {client_secret}
OIDCOAuthRemoteUserClaim sub
<Location />
    AuthType oauth20
    <RequireAll>
        Require valid-user
        Require claim scope:read
    </RequireAll>
</Location>
"""
APACHE_MODULES = ("mpm_event", "authn_core", "authz_core", "authz_user", "ssl", "auth_openidc")


@dataclass(frozen=True)
class Bed:
    """One running resource server."""

    port: int
    ca: Path

    def ask(self, token: str | None, client: Client | None = None) -> int:
        """Return the status of a request with this token over a connection with this client certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        if client is not None:
            context.load_cert_chain(client.file)
        connection = HTTPSConnection("localhost", self.port, context=context, timeout=SECONDS)
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            connection.request("GET", "/invoices", headers=headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()


@contextmanager
def bed(kind: str, service: Service, client_id: str, client_secret: str, **more: Any) -> Iterator[Bed]:
    """Run a resource server that introspects as this client until the block ends."""
    with TemporaryDirectory(prefix="relying-") as name:  # Apache's workers cannot enter a folder of the tests
        folder = Path(name)
        folder.chmod(0o755)
        files = development_certificates(folder)
        (folder / "service.pem").write_bytes(service.ca.read_bytes())
        (folder / "service.pem").chmod(0o644)  # whatever the umask: Apache's workers are another user
        asking = {"endpoint": f"{service.issuer}/oauth2/introspect", "ca": f"{folder}/service.pem"}
        asking |= {"client_id": client_id, "client_secret": client_secret}
        settings = {"folder": str(folder), "port": free_port(), **asking, **more}
        with _RUNNING[kind](folder, settings):
            yield Bed(settings["port"], files.ca)


@contextmanager
def _apache(folder: Path, settings: dict[str, Any]) -> Iterator[None]:
    (folder / "public").mkdir()
    (folder / "public/invoices").write_text("let in")
    (folder / "public").chmod(0o755)
    (folder / "public/invoices").chmod(0o644)
    modules = "\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in APACHE_MODULES)
    user = ("www-data", "www-data") if os.getuid() == 0 else (f"#{os.getuid()}", f"#{os.getgid()}")
    (folder / "main.conf").write_text(APACHE.format(**settings, modules=modules, user=user))
    command = [binary_of("apache"), "-f", f"{folder}/main.conf", "-D", "FOREGROUND"]
    with proxy_process(command, folder) as running:
        wait_for_port(settings["port"], running, folder)
        yield


@contextmanager
def _python(module: str, folder: Path, settings: dict[str, Any]) -> Iterator[None]:
    # The warnings of others' packages are theirs.
    environment = {"REQUESTS_CA_BUNDLE": settings["ca"], "PYTHONWARNINGS": "default"}
    with process([module, json.dumps(settings)], folder, settings["port"], environment):
        yield


@contextmanager
def _node(folder: Path, settings: dict[str, Any]) -> Iterator[None]:
    script = Path(__file__).with_name("node_server.js")
    trusting = ["env", f"NODE_EXTRA_CA_CERTS={settings['ca']}"]
    command = [*trusting, NODE, str(script), json.dumps({**settings, "modules": str(NODE_MODULES)})]
    with proxy_process(command, folder) as running:
        wait_for_port(settings["port"], running, folder)
        yield


_RUNNING = {
    "mod_auth_openidc": _apache,
    "Authlib": partial(_python, "tests.support.relying.flask_server"),
    "django-oauth-toolkit": partial(_python, "tests.support.relying.django_server"),
    "token-introspection": _node,
}
