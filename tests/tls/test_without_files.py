"""Requests and responses within the bounds need no file: the kernel forbids the server to write one."""

import hashlib
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.tls_application import BIG
from tests.support.tls_servers import Server, running


@pytest.fixture(scope="module")
def fileless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server that cannot write a byte to any file, as on a read-only root or a full disk."""
    folder: Path = tmp_path_factory.mktemp("fileless")
    with running(folder) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, 0))
        yield server


def test_the_server_can_write_no_file(fileless: Server) -> None:
    """An application that writes a file fails: what these tests rely on holds. The client is told 500."""
    assert fileless.ask("/file").status == 500


@pytest.mark.parametrize("length", [300_000, 600_000, 1 << 20])
@pytest.mark.parametrize("framing", ["sized", "in chunks"])
def test_a_body_within_the_bound_arrives(fileless: Server, length: int, framing: str) -> None:
    """A body up to the bound comes to the application whole."""
    body = bytes(range(256)) * (length // 256 + 1)
    body = body[:length]
    sent = body if framing == "sized" else iter([body[:70_000], body[70_000:]])
    told = fileless.ask("/echo", method="POST", body=sent).json()
    assert told == {"bytes": length, "sha256": hashlib.sha256(body).hexdigest()}


@pytest.mark.parametrize(("path", "body"), [("/big", BIG), ("/huge", BIG * 8)], ids=["5 MB", "40 MB"])
def test_a_streamed_response_arrives_whole(fileless: Server, path: str, body: bytes) -> None:
    """A response runs as far ahead of its reader as memory has room for it, and arrives whole."""
    assert fileless.ask(path).body == body


def test_a_body_beyond_the_bound_is_413(fileless: Server) -> None:
    """A body beyond the bound is told so, as it is anywhere."""
    assert fileless.ask("/echo", method="POST", body=b"x" * ((1 << 20) + 1)).status == 413


def test_no_temporary_folder_is_needed(tmp_path: Path) -> None:
    """A server whose temporary folder is missing serves bodies and responses up to the bounds."""
    body = BIG[: 1 << 20]
    with running(tmp_path, is_without_temporary_folder=True) as server:
        told = server.ask("/echo", method="POST", body=body).json()
        assert told == {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()}
        assert server.ask("/huge").body == BIG * 8
