"""Many followers of revocations in a process of its own: `python -m scripts.soaking.followers SETTINGS`.

Each line of standard input holds identifiers of tokens that were revoked; the answer is one line of JSON:
how many of them how many followers do not know, and how many followers are stale.
"""

import json
import sys
import time
from typing import Any

from macaroon_cbat import Grant
from macaroon_cbat.errors import Unavailable
from macaroon_cbat.resource import RevocationFeed, ServiceConnection

LIFETIME = 600


def is_known(feed: RevocationFeed, jti: str) -> bool:
    """Return True if this follower refuses the token."""
    now = int(time.time())
    grant = Grant(client_id="x", sub="x", exp=now + LIFETIME, iat=now, jti=jti, kid="k", scope="read")
    return feed.reason(grant, None) is not None


def main() -> None:
    """Follow until standard input ends."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    count, staleness = settings.pop("count"), settings.pop("staleness")
    feeds = [RevocationFeed(ServiceConnection(**settings), max_staleness=staleness) for _ in range(count)]
    for feed in feeds:
        feed.start()
    print("ready", flush=True)
    for line in sys.stdin:
        missing = stale = 0
        for feed in feeds:
            try:
                missing += sum(not is_known(feed, jti) for jti in line.split())
            except Unavailable:
                stale += 1
        print(json.dumps({"missing": missing, "stale": stale}), flush=True)


if __name__ == "__main__":
    main()
