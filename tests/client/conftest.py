import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from macaroon_cbat.client import ClientCertificate
from tests.support import fork_server
from tests.support.client_files import Files, Pair, make_pair, make_token
from tests.support.sessions import LIBRARIES, Sends, session_of
from tests.support.token_server import Server

_REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-m", "tests.support.token_service", str(folder)]
    with fork_server.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Server(int(process.stdout.readline()), folder / "ca.pem")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


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
