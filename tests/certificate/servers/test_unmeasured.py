"""Servers that show what a header or a PROXY line says in the place of the address: it never counts."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat import DerCertificate, confirmation, thumbprint_of
from macaroon_cbat.service import create_app, settings_from_environment
from macaroon_cbat.stores import ClientMetadata
from tests.support.certificate_spellings import SPELLINGS, make_certificate
from tests.support.servers.running import Server, running
from tests.support.tokens import token

PROXY_ADDRESS = "10.0.0.7"
PROXY_LINE = b"PROXY TCP4 10.0.0.7 127.0.0.1 4711 80\r\n"
BELIEVING = {"forwarded_allow_ips": "*"}
SERVERS = {
    "uvicorn's WSGI": ("uvicorn", {"serves": "wsgi", "interface": "wsgi", "http": "h11", **BELIEVING}),
    "uvicorn's WSGI, httptools": ("uvicorn", {"serves": "wsgi", "interface": "wsgi", **BELIEVING}),
    "a2wsgi": ("uvicorn", {"serves": "a2wsgi", **BELIEVING}),
    "Starlette's WSGI": ("uvicorn", {"serves": "starlette", **BELIEVING}),
    "uvicorn": ("uvicorn", {"http": "h11", **BELIEVING}),
    "gunicorn's ASGI worker": (
        "gunicorn",
        {
            "serves": "asgi",
            "worker_class": "asgi",
            "asgi_lifespan": "off",
            "proxy_protocol": True,
            "proxy_allow_ips": "*",
        },
    ),
    "hypercorn behind its ProxyFix": ("hypercorn", {"serves": "proxy_fix"}),
    "wsgiref": ("wsgiref", {}),
}
HOLDER = make_certificate("holder")
CERTIFICATE, _ = SPELLINGS["nginx"](HOLDER)
BEARER = "Authorization: Bearer " + token(confirmation(thumbprint_of(DerCertificate(HOLDER))))
SHOWN = (f"Clientcert: {CERTIFICATE}", "Clientcertverify: SUCCESS")
SECRET = "a-secret-of-the-proxy"
FORGED = tuple(
    line.format(PROXY_ADDRESS) for line in ("X-Forwarded-For: {}", "Forwarded: for={}", "X-Real-IP: {}")
)


@pytest.fixture(params=SERVERS)
def chosen(request: pytest.FixtureRequest) -> str:
    """Name each of these servers."""
    name: str = request.param
    return name


@pytest.fixture
def by_network(chosen: str, tmp_path: Path) -> Iterator[Server]:
    """Run a guarded application that trusts the proxy's address."""
    name, options = SERVERS[chosen]
    proxy = {"format": "nginx", "trust": [f"{PROXY_ADDRESS}/32"]}
    with running(name, "tcp", tmp_path, proxy=proxy, **options) as server:
        yield server


@pytest.fixture
def by_secret(chosen: str, tmp_path: Path) -> Iterator[Server]:
    """Run a guarded application that trusts whatever knows the secret."""
    name, options = SERVERS[chosen]
    proxy = {"format": "nginx", "trust": ["secret"], "secret": SECRET}
    with running(name, "tcp", tmp_path, proxy=proxy, **options) as server:
        yield server


def line_for(chosen: str) -> bytes:
    """Return the PROXY line, which gunicorn reads in the place of headers."""
    return PROXY_LINE if chosen.startswith("gunicorn") else b""


def test_trust_by_network_is_misconfigured(by_network: Server, chosen: str):
    """A stolen token with the holder's certificate, in the proxy's name, is 503, and so is every request."""
    before = line_for(chosen)
    for lines in ((*SHOWN, *FORGED), SHOWN, FORGED, ()):
        status, body = by_network.send("/invoices", BEARER, *lines, before=before)
        assert (status, body["error"]) == (503, "temporarily_unavailable")
    log = by_network.log.read_text()
    assert "trust the proxy by a Unix socket (unix), its secret (secret) or its certificate" in log


def test_the_secret_is_trust_enough(by_secret: Server):
    """On these servers a proxy is known by its secret: with it the holder's token passes, and not without."""
    shown = f"Proxysecret: {SECRET}"
    assert by_secret.send("/invoices", BEARER, *SHOWN, shown)[0] == 200
    for secrets in ((), (shown + "x",), (shown, shown)):
        assert by_secret.send("/invoices", BEARER, *SHOWN, *FORGED, *secrets)[0] == 401


def test_what_they_show_is_no_address(chosen: str, tmp_path: Path):
    """The connection shows no address and no Unix socket, whatever these servers show as the address."""
    name, options = SERVERS[chosen]
    with running(name, "tcp", tmp_path, **options) as server:
        _, body = server.send("/", *FORGED, "X-Forwarded-Host: /run/app.sock", before=line_for(chosen))
        shown = body["client"][0] if "client" in body else body["remote"]
        assert shown == ("127.0.0.1" if chosen == "wsgiref" else PROXY_ADDRESS)
        assert (body["shows_address"], body["address"], body["is_unix"]) == (False, None, False)


UNIX = {
    "uvicorn, h11": ("uvicorn", {"http": "h11"}),
    "uvicorn, httptools": ("uvicorn", {}),
    "hypercorn": ("hypercorn", {}),
}


@pytest.mark.parametrize(("name", "options"), UNIX.values(), ids=UNIX)
def test_a_unix_socket_is_one(tmp_path: Path, name: str, options: dict[str, str]):
    """At a Unix socket these ASGI servers are known to be at one, whatever headers say."""
    with running(name, f"unix:{tmp_path}/s", tmp_path, **options) as server:
        _, body = server.send("/", *FORGED, "X-Forwarded-Host: localhost")
        assert (body["shows_address"], body["address"], body["is_unix"]) == (False, None, True)


CLIENT = {"grant_type": "client_credentials", "client_id": "billing"}


@pytest.mark.parametrize(("trust", "status"), [("10.0.0.7", 503), ("secret", 401)])
def test_the_service_believes_no_address_either(tmp_path: Path, trust: str, status: int):
    """The service under uvicorn's WSGI gives no token for a public certificate and X-Forwarded-For."""
    (tmp_path / "secret").write_text(SECRET)
    variables = {
        "MACAROON_CBAT_DATA": str(tmp_path),
        "MACAROON_CBAT_CERTIFICATE_FORMAT": "nginx",
        "MACAROON_CBAT_TRUSTED_PROXIES": trust,
        "MACAROON_CBAT_PROXY_SECRET_FILE": str(tmp_path / "secret"),
    }
    if trust != "secret":
        del variables["MACAROON_CBAT_PROXY_SECRET_FILE"]
    _register(variables)
    options = {"serves": "service", "interface": "wsgi", "http": "h11", **BELIEVING}
    with running("uvicorn", "tcp", tmp_path, variables=variables, **options) as server:
        assert _ask(server, *SHOWN, *FORGED)[0] == status
        assert _ask(server, *SHOWN)[0] == status
        if trust == "secret":
            assert _ask(server, *SHOWN, f"Proxysecret: {SECRET}")[0] == 200


def _register(variables: dict[str, str]) -> None:
    """Register a client that the holder's self-signed certificate authenticates."""
    app = create_app(settings_from_environment({**os.environ, **variables}))
    stores = app.extensions["macaroon_cbat"]
    metadata = ClientMetadata(
        scope="read",
        audiences=("https://api.example",),
        token_endpoint_auth_method="self_signed_tls_client_auth",
        certificates=(thumbprint_of(DerCertificate(HOLDER)),),
    )
    stores.clients.add("billing", metadata, secret=None, now=int(time.time()))
    stores.database.close()


def _ask(server: Server, *lines: str) -> tuple[int, object]:
    """Ask for a token of the client."""
    form = "&".join(f"{name}={value}" for name, value in CLIENT.items())
    head = [
        "POST /oauth2/token HTTP/1.1",
        "Host: localhost",
        "Connection: close",
        "Content-Type: application/x-www-form-urlencoded",
        f"Content-Length: {len(form)}",
        *lines,
        "",
        form,
    ]
    return server.exchange("\r\n".join(head).encode())
