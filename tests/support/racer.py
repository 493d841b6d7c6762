"""One of several processes that do the same at the same moment; run by `racing`."""

import json
import os
import sys
from pathlib import Path

from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.macaroon.claims import EpochSeconds
from macaroon_cbat.stores import Stores, read_or_make_wrapping_key
from tests.support.databases import NOW, opened

DAY = 86_400


def act(action: str, *arguments: str) -> object:
    if action == "make a wrapping key":
        return list(read_or_make_wrapping_key(Path(arguments[0]) / "wrapping.key").secret)
    stores = opened(arguments[0])
    try:
        return _act(stores, action, *arguments[1:])
    finally:
        stores.database.close()


def _act(stores: Stores, action: str, *arguments: str) -> object:
    if action == "refresh":
        return _refresh(stores, *arguments)
    if action == "revoke":
        names = [f"{os.getpid()} {number}" for number in range(50)]
        for name in names:
            stores.revocations.revoke("subject", name, now=NOW, expires_at=NOW + DAY)
        return names
    if action == "rotate":
        stores.root_keys.rotate(NOW)
    if action == "keep":
        stores.root_keys.keep(NOW + DAY, DAY, DAY)
    return [record.kid for record in stores.root_keys.records()]


def _refresh(stores: Stores, family: str, presented: str, grace: str) -> tuple[str, str | None]:
    """Return the outcome, and the token that is current then."""
    successor = f"{os.getpid():022}"
    rotation = stores.families.rotate(
        family,
        presented,
        (successor, EpochSeconds(NOW + 1000)),
        NOW,
        grace=int(grace),
        lasting=DAY,
        before_commit=lambda: None,
    )
    return rotation.outcome, None if rotation.family is None else rotation.family.token_id


def main() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        try:
            said = act(*json.loads(line))
        except MacaroonError as error:
            said = repr(error)
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
