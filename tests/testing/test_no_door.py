"""The kit is no way into an application in production: no request can do what it does in a process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from macaroon_cbat.macaroon.keys import audience_keys
from macaroon_cbat.testing import FakeHolder, fake_keys
from macaroon_cbat.testing.connections import asgi_extensions, wsgi_connection
from tests.support.adapters import ADAPTERS, Adapter
from tests.support.ports import free_port
from tests.support.tls_servers import wait_until
from tests.support.tokens import API, ISSUER, KEYS, NOW, RootKey

HOLDER = FakeHolder(KEYS, clock=lambda: NOW)
CERTIFICATE = HOLDER.certificate or b""


NAMES = [
    "macaroon_cbat.peer_certificate",
    "macaroon-cbat.peer-certificate",
    "Macaroon-Cbat-Peer-Certificate",
    "HTTP_macaroon_cbat.peer_certificate",
    "waitress.client_disconnected",
    "extensions",
    "tls",
    "client-cert-chain",
]


@pytest.fixture(params=ADAPTERS.values(), ids=list(ADAPTERS))
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each adapter in turn."""
    chosen: Adapter = request.param
    return chosen


@pytest.mark.parametrize("name", NAMES)
def test_no_header_is_what_the_kit_writes(adapter: Adapter, name: str):
    """A client that sends the kit's keys as headers, with the holder's certificate, is refused."""
    app, token = adapter.make(), HOLDER.token("read")
    pem = asgi_extensions(HOLDER.certificate)["tls"]["client_cert_chain"][0].replace("\n", " ")
    for value in (CERTIFICATE.decode("latin-1").encode("unicode_escape").decode(), pem, HOLDER.thumbprint):
        reply = adapter.call(app, token, certificate=None, headers=[(name, value)])
        assert reply.status == 401


@pytest.mark.parametrize(
    "value", [CERTIFICATE.decode("latin-1"), HOLDER.thumbprint, "yes"], ids=["DER", "thumbprint", "a word"]
)
def test_text_is_no_certificate(value: str):
    """A sender in uWSGI's protocol, which writes any key of the environment as text, shows no certificate."""
    flask = ADAPTERS["Flask"]
    written = dict.fromkeys(wsgi_connection(HOLDER.certificate, "127.0.0.1"), value)
    reply = flask.call(flask.make(), HOLDER.token("read"), certificate=None, shown=written)
    assert reply.status in (401, 503)


def test_fake_keys_open_no_real_service():
    """A guard with the keys of a real service refuses what fake keys mint, under the same names."""
    real = audience_keys(ISSUER, API, [RootKey("test", bytes(range(32)))])
    flask = ADAPTERS["Flask"]
    fake = fake_keys(API, issuer=ISSUER)
    thief = FakeHolder(fake, certificate=CERTIFICATE, clock=lambda: NOW)
    reply = flask.call(flask.make(keys=real), thief.token("read"), certificate=CERTIFICATE)
    assert reply.status == 401
    secrets = {fake_keys().keys["test"].secret for _ in range(3)} | {fake.keys["test"].secret}
    assert len(secrets) == 4


def test_no_guard_imports_the_kit():
    """A process that guards or serves has none of the kit loaded."""
    modules = (
        "resource",
        "resource.flask",
        "resource.django",
        "resource.starlette",
        "resource.wsgi",
        "service",
    )
    code = "import sys\n" + "\n".join(f"import macaroon_cbat.{one}" for one in modules)
    code += "\nsys.exit(any(name.startswith('macaroon_cbat.testing') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


SERVED = """
import functools
from macaroon_cbat.resource import asgi
from macaroon_cbat.testing import FakeHolder, fake_keys

keys = fake_keys()
holder = FakeHolder(keys)
with open("token", "w") as file:
    file.write(holder.token("read"))

async def view(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})

app = holder.over_tls(asgi.Guard(keys=keys).require("read")(view))

async def around(scope, receive, send):
    async def sending(message):
        await send(message)
    await app(scope, receive, sending)

class Sending:
    def __init__(self, send):
        self.send = send
    async def __call__(self, message):
        await self.send(message)

async def behind(scope, receive, send):
    await around(scope, receive, Sending(functools.partial(send)) if scope["type"] == "http" else send)

async def both(scope, receive, send):
    await (behind if scope.get("path") == "/behind" else app)(scope, receive, send)
"""

FAILURE = "over_tls stands in an application that a server runs"
SERVERS = {
    "uvicorn": ("uvicorn", "--http", "httptools", "--port", "{port}"),
    "uvicorn, h11": ("uvicorn", "--http", "h11", "--port", "{port}"),
    "hypercorn": ("hypercorn", "-b", "127.0.0.1:{port}"),
    "daphne": ("daphne", "-b", "127.0.0.1", "-p", "{port}"),
    "granian": ("granian", "--interface", "asginl", "--host", "127.0.0.1", "--port", "{port}"),
    "gunicorn": ("gunicorn", "-k", "asgi", "-b", "127.0.0.1:{port}"),
}


def status_of(port: int, path: str, folder: Path) -> int | None:
    """Return the status of a request with the holder's token; None while nothing listens."""
    try:
        headers = {"Authorization": f"Bearer {(folder / 'token').read_text()}"}
        return httpx.get(f"http://127.0.0.1:{port}/{path}", headers=headers, timeout=60).status_code
    except (httpx.TransportError, OSError):
        time.sleep(0.1)
        return None


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_a_server_runs_no_application_over_fake_tls(command: tuple[str, ...], tmp_path: Path):
    """An application left over fake TLS in production fails under a server, alone or behind middlewares."""
    port = free_port()
    (tmp_path / "served.py").write_text(SERVED)
    name, *arguments = (one.format(port=port) for one in command)
    program = [str(Path(sys.executable).with_name(name)), *arguments, "served:both"]
    with (tmp_path / "log").open("w") as log:
        environ = {**os.environ, "PYTHONPATH": str(tmp_path)}
        server = subprocess.Popen(program, cwd=tmp_path, env=environ, stdout=log, stderr=log)
    try:
        for path in ("alone", "behind"):
            before = len((tmp_path / "log").read_text())
            assert next(filter(None, (status_of(port, path, tmp_path) for _ in range(600)))) == 500
            wait_until(lambda start=before: FAILURE in (tmp_path / "log").read_text()[start:])
    finally:
        server.terminate()
        server.wait(60)
