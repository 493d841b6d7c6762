"""Guards that a server loads, and uses, before it forks its workers: gunicorn --preload."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from macaroon_cbat.macaroon.identifier import read_identifier
from macaroon_cbat.macaroon.wire import read_macaroon
from tests.support.feeds import Feeding
from tests.support.forged_tokens import forged
from tests.support.ports import free_port
from tests.support.service_process import API
from tests.support.tls_servers import ROOT, end, wait_until

WORKERS, TURNS = 4, 60


@pytest.fixture(scope="module")
def token(feeding: Feeding) -> str:
    feeding.secrets["asking"] = feeding.service.add("asking", "--serves", API, "--understands-caveats")
    return unbound(feeding)


def unbound(feeding: Feeding) -> str:
    return feeding.service.client("billing", feeding.secrets["billing"], resource=API)()


@contextmanager
def preloaded(feeding: Feeding, folder: Path, settings: dict[str, object]) -> Iterator[str]:
    """Run gunicorn, whose parent has asked the service already; give the URL of the application."""
    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "--preload", "--workers", str(WORKERS), "--threads", "4",
        "--bind", f"127.0.0.1:{port}", "--log-level", "warning", "tests.support.preloaded:app",
    ]  # fmt: skip
    introspection = {
        "issuer": feeding.service.issuer, "audience": API, "client_id": "asking",
        "client_secret": feeding.secrets["asking"], "ca": str(feeding.service.ca),
    }  # fmt: skip
    environment = {**os.environ, "PRELOADED": json.dumps({**settings, "introspection": introspection})}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}/invoices"
        wait_until(lambda: is_up(url))
        yield url
    finally:
        end(process)


def is_up(url: str) -> bool:
    try:
        return requests.get(url, timeout=60).status_code == 401
    except requests.ConnectionError:
        return False


def ask(url: str, token: str) -> tuple[int, int]:
    """Return the status, and the worker that let the token in."""
    answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
    return answer.status_code, answer.json().get("pid", 0)


def test_workers_mix_up_no_answers(feeding: Feeding, token: str, tmp_path: Path):
    """Of honest and forged tokens that all workers ask about at once, each gets its own answer."""
    texts = [token, forged(token)] * TURNS
    pids: set[int] = set()
    with preloaded(feeding, tmp_path, {"token": token}) as url, ThreadPoolExecutor(8) as threads:
        for _ in range(100):
            answers = list(threads.map(lambda text: ask(url, text), texts))
            assert [status for status, _ in answers] == [200, 401] * TURNS
            pids |= {pid for _, pid in answers}
            if len(pids - {0}) >= 2:
                break
        else:
            raise AssertionError("one worker answered everything")


def test_workers_follow_by_themselves(feeding: Feeding, token: str, tmp_path: Path):
    """Each worker has a thread of its own that learns what is revoked after the fork."""
    following = {
        "issuer": feeding.service.issuer,
        "client_id": "invoices",
        "client_secret": feeding.secrets["invoices"],
        "certificate": str(feeding.holder.file),
        "ca": str(feeding.service.ca),
    }
    revoked, lives = unbound(feeding), unbound(feeding)
    settings = {"token": token, "following": following}
    with preloaded(feeding, tmp_path, settings) as url, ThreadPoolExecutor(8) as threads:
        wait_until(lambda: len({pid for _, pid in threads.map(lambda _: ask(url, revoked), range(16))}) > 1)
        feeding.revoke("token", read_identifier(read_macaroon(revoked).identifier).jti)
        wait_until(
            lambda: {status for status, _ in threads.map(lambda _: ask(url, revoked), range(32))} == {401}
        )
        assert {status for status, _ in threads.map(lambda _: ask(url, lives), range(16))} == {200}
