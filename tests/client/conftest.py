import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from macaroon_cbat.client import ClientCertificate, TokenClient
from tests.support import fork_server
from tests.support.client_files import Files, Pair, make_pair, make_token
from tests.support.sessions import LIBRARIES, Sends, session_of

_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """The running application of these tests."""

    port: int
    ca: Path

    def url(self, path: str, host: str = "localhost") -> str:
        """Return the URL of a path; 127.0.0.1 is the same server and another origin."""
        return f"https://{host}:{self.port}{path}"

    def asked(self, temper: str) -> list[dict[str, Any]]:
        """Return what an issuer's token endpoint was asked."""
        found: list[dict[str, Any]] = self._get(f"/{temper}/asked")
        return found

    def revoke(self, token_id: str) -> None:
        """Make the resource server refuse a token from now on."""
        self._get(f"/revoke?jti={token_id}")

    def client(self, temper: str, **settings: Any) -> TokenClient:
        """Return a client of the issuer of this temper."""
        settings = {"client_id": "billing", "client_secret": "s3cret", "ca": self.ca, **settings}
        return TokenClient(issuer=self.url(f"/{temper}"), **settings)

    def _get(self, path: str) -> Any:
        with httpx.Client(verify=ssl.create_default_context(cafile=self.ca)) as client:
            return client.get(self.url(path)).json()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "tests.support.token_service", str(folder)]
    with fork_server.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()), folder / "ca.pem")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


@pytest.fixture(scope="session")
def pair() -> Pair:
    return make_pair()


@pytest.fixture(scope="session")
def other_pair() -> Pair:
    return make_pair()


@pytest.fixture
def files(tmp_path: Path, pair: Pair) -> Files:
    files = Files(tmp_path / "client.pem", tmp_path / "client.key")
    files.write(pair)
    return files


@pytest.fixture
def certificate(files: Files) -> ClientCertificate:
    return ClientCertificate(files.certificate, files.key)


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def send(library: str, certificate: ClientCertificate, server: Server) -> Iterator[Sends]:
    with session_of(library, make_token(), certificate, server.ca) as send:
        yield send
