"""A Redis of its own, on a free port of loopback, that remembers nothing."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import ConnectionError as NotConnected

from tests.support.ports import free_port


@dataclass(frozen=True)
class RunningRedis:
    url: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """End it as a crash does."""
        self.process.kill()
        self.process.wait(timeout=60)


@contextmanager
def redis_server() -> Iterator[RunningRedis]:
    """Run Redis until the block ends."""
    program = shutil.which("redis-server")
    assert program is not None, "scripts/test installs redis-server"
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    running = RunningRedis(f"redis://127.0.0.1:{port}", process)
    try:
        _wait(running)
        yield running
    finally:
        running.kill()


def _wait(running: RunningRedis) -> None:
    deadline = time.monotonic() + 60
    with Redis.from_url(running.url) as client:
        while True:
            try:
                client.ping()
            except NotConnected:
                assert running.process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.02)
            else:
                return
