"""A follower in a process of its own, which tells how it catches up and that it hears of more.

`python -m tests.support.follower SETTINGS`, in JSON: `snapshot`, and the arguments of ServiceConnection. It
writes a line when it knows everything; then each client's name that it reads, once it knows it as revoked.
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from macaroon_cbat.macaroon.identifier import Grant
from macaroon_cbat.resource import RevocationFeed, ServiceConnection


def megabytes() -> float:
    """Return the most memory that this process ever had."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


class Counted:
    """A connection that counts the pages it has read."""

    def __init__(self, connection: ServiceConnection) -> None:
        self.issuer, self._connection = connection.issuer, connection
        self.pages = 0

    def revocations(self, after: str, wait: int) -> bytes:
        """Read a page, and count it."""
        page = self._connection.revocations(after, wait)
        self.pages += 1
        return page

    def stream(self, after: str, wait: int) -> Iterator[bytes]:
        """Read the pages of a stream, and count them."""
        for page in self._connection.stream(after, wait):
            self.pages += 1
            yield page


def main() -> None:
    """Follow until standard input ends."""
    settings = json.loads(sys.argv[1])
    snapshot = Path(settings.pop("snapshot"))
    connection = Counted(ServiceConnection(**settings))
    feed = RevocationFeed(connection, snapshot=snapshot)  # type: ignore[arg-type]
    feed.start()
    while feed.age() > 60:
        time.sleep(0.01)
    pages, known = connection.pages, len(feed.current())
    while not snapshot.exists():
        time.sleep(0.01)
    say({"pages": pages, "known": known, "megabytes": megabytes()})
    for line in sys.stdin:
        while feed.reason(grant_of(line.strip()), None) is None:
            time.sleep(0.002)
        say(line.strip())


def grant_of(client_id: str) -> Grant:
    """Return the grant of an old token of this client."""
    return Grant(client_id=client_id, sub=client_id, exp=2, iat=1, jti="j" * 22, kid="k", scope="read")


def say(words: object) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
