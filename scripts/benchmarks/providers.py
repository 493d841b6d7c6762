"""Requests per second and p99 of the service and of npm's oidc-provider, over mutual TLS with keep-alive.

One process each. The service has its database on disk (SQLite) and its audit log in a file; the provider
remembers the last thousand records until it ends (its memory adapter), and logs nothing. The tokens of both
are bound to the certificate of the connection: macaroons of the service, JWTs of the provider, signed with
ES256. It introspects no JWT, so another process of it is asked about opaque tokens. Each connection uses
its own refresh tokens, one after the other. All lines take turns in every round.
"""

import json
import secrets
import subprocess
import tempfile
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import msgspec
import requests
from service import Throughput, end, running
from timing import Extent
from tls_load import Answers, Load, answers, throughput_of

from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.service.oauth2.authorization import Authorization
from macaroon_cbat.service.oauth2.refresh_families import RefreshFamilies
from macaroon_cbat.service.settings import settings_from_environment
from macaroon_cbat.stores import open_stores
from macaroon_cbat.tls.development_ca import development_certificates
from tests.support.node import NODE, NODE_MODULES
from tests.support.ports import free_port
from tests.support.service_process import API, ROOT, in_process
from tests.support.tls_servers import make_client

CONNECTIONS = 16
FORM = {"grant_type": "client_credentials", "scope": "read"}


@dataclass(frozen=True, slots=True)
class Provider:
    """An authorization server that runs: the client `load` gets tokens, `api` asks about them."""

    port: int
    token_path: str
    introspection_path: str
    secrets: dict[str, str]
    refresh_tokens: list[str]
    """One for each connection."""


class _Rotated(msgspec.Struct):
    """An answer to a refresh."""

    refresh_token: str


def throughput(extent: Extent) -> list[Throughput]:
    """Return the figures of both, for each kind of request."""
    subprocess.run([str(ROOT / "scripts/setup-relying")], check=True)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        development_certificates(folder)
        certificate = make_client(folder, "holder").file
        service = stack.enter_context(_service(folder))
        jwt, opaque = (stack.enter_context(_oidc_provider(folder, form)) for form in ("jwt", "opaque"))
        loads = _Loads(folder / "ca.pem", certificate)
        lines = {
            "client_credentials, service": loads.client_credentials(service),
            "client_credentials, oidc-provider": loads.client_credentials(jwt),
            "refresh, service": loads.refresh(service),
            "refresh, oidc-provider": loads.refresh(jwt),
            "introspection, service": loads.introspection(service),
            "introspection, oidc-provider": loads.introspection(opaque),
        }
        return _measured(lines, extent)


def _measured(lines: dict[str, Load], extent: Extent) -> list[Throughput]:
    """Ask one after the other, round by round."""
    spent: dict[str, list[Answers]] = {name: [] for name in lines}
    for load in lines.values() if extent.is_warmed else ():
        answers(load, extent.seconds / 4)
    for _ in range(extent.load_rounds):
        for name, load in lines.items():
            spent[name].append(answers(load, extent.seconds))
    return [throughput_of(name, rounds) for name, rounds in spent.items()]


@dataclass(frozen=True, slots=True)
class _Loads:
    """Makes the loads of all providers, whose connections have this certificate."""

    ca: Path
    certificate: Path

    def client_credentials(self, provider: Provider) -> Load:
        """Ask for tokens."""
        return self._load(provider, _post(provider.token_path, "load", provider, FORM))

    def refresh(self, provider: Provider) -> Load:
        """Use the refresh token that came with the last answer."""
        current = list(provider.refresh_tokens)

        def request(number: int) -> bytes:
            form = {"grant_type": "refresh_token", "refresh_token": current[number]}
            return _post(provider.token_path, "load", provider, form)

        def answered(number: int, body: bytes) -> None:
            current[number] = msgspec.json.decode(body, type=_Rotated).refresh_token

        return Load(provider.port, self.ca, self.certificate, request, CONNECTIONS, answered=answered)

    def introspection(self, provider: Provider) -> Load:
        """Ask about one token again and again."""
        request = _post(provider.introspection_path, "api", provider, {"token": self._token(provider)})

        def answered(_number: int, body: bytes) -> None:
            if b'"active":true' not in body:
                raise RuntimeError(f"the token is not active: {body!r}")

        return Load(provider.port, self.ca, self.certificate, request, CONNECTIONS, answered=answered)

    def _token(self, provider: Provider) -> str:
        with requests.Session() as session:
            session.verify, session.cert, session.trust_env = str(self.ca), str(self.certificate), False
            url = f"https://localhost:{provider.port}{provider.token_path}"
            answer = session.post(url, FORM, auth=("load", provider.secrets["load"]))
        token: str = answer.json()["access_token"]
        return token

    def _load(self, provider: Provider, request: bytes) -> Load:
        return Load(provider.port, self.ca, self.certificate, request, CONNECTIONS)


def _post(path: str, client: str, provider: Provider, form: dict[str, str]) -> bytes:
    """Return the request of a client that authenticates by its secret."""
    body = urlencode(form)
    credentials = b64encode(f"{client}:{provider.secrets[client]}".encode()).decode()
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost:{provider.port}\r\nAuthorization: Basic {credentials}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


@contextmanager
def _service(folder: Path) -> Iterator[Provider]:
    """Run the service, with a refresh family for each connection."""
    port = free_port()
    issuer = f"https://localhost:{port}"
    fixed = ["--init", "--json", "--data", folder]
    rights = ["--scope", "read", "--audience", API, "--bound", "--redirect-uri", "https://app.example/back"]
    for grant in ("client_credentials", "authorization_code", "refresh_token"):
        rights += ["--grant", grant]
    added = {
        "load": in_process("client", "add", "load", *rights, *fixed),
        "api": in_process("client", "add", "api", "--serves", API, "--checks-certificates", *fixed),
    }
    families = _families(folder, issuer)
    command = ["-m", "macaroon_cbat", "serve", "--data", str(folder), "--port", str(port), "--issuer", issuer]
    with running(command, MACAROON_CBAT_AUDIT_LOG=str(folder / "audit.log")):
        known = {name: json.loads(text)["client_secret"] for name, text in added.items()}
        yield Provider(port, "/oauth2/token", "/oauth2/introspect", known, families)


def _families(folder: Path, issuer: str) -> list[str]:
    """Begin refresh families in the database, as if a person had logged in for each."""
    now = EpochSeconds(int(time.time()))
    settings = settings_from_environment({}, data=folder)
    stores = open_stores(settings.database_url, settings.wrapping_key, now)
    families = RefreshFamilies(issuer, stores.families, settings.refresh)
    client = stores.clients.look_up("load")
    assert client is not None
    authorization = Authorization(client=client, subject="user:alice", scope="read", audience=API)
    texts = [families.begin(authorization, now) for _ in range(CONNECTIONS)]
    stores.database.close()
    return texts


@contextmanager
def _oidc_provider(folder: Path, form: str) -> Iterator[Provider]:
    """Run npm's oidc-provider, whose access tokens have this form."""
    port, secret = free_port(), secrets.token_hex(32)
    settings = {
        "folder": str(folder),
        "port": port,
        "modules": str(NODE_MODULES),
        "secret": secret,
        "families": CONNECTIONS,
        "format": form,
    }
    script = str(Path(__file__).with_name("oidc_provider.mjs"))
    with (
        (folder / f"{form}.log").open("wb") as words,
        subprocess.Popen(
            [NODE, script, json.dumps(settings)], stdout=subprocess.PIPE, stderr=words
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"oidc-provider did not start: {(folder / f'{form}.log').read_text()}")
            tokens = json.loads(line)
            known = {"load": secret, "api": secret}
            yield Provider(port, "/token", "/token/introspection", known, tokens)
        finally:
            end(process)
