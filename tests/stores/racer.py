"""One of several processes that do the same at the same moment; run by `racing`."""

import json
import sys
from pathlib import Path

from macaroon_cbat.errors import MacaroonError
from macaroon_cbat.stores import read_or_make_wrapping_key
from tests.stores.material import NOW, opened


def act(action: str, folder: Path) -> object:
    if action == "make a wrapping key":
        return list(read_or_make_wrapping_key(folder / "wrapping.key").secret)
    stores = opened(folder)
    try:
        if action == "rotate":
            stores.root_keys.rotate(NOW)
        return [record.kid for record in stores.root_keys.records()]
    finally:
        stores.database.close()


def main() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        action, folder = json.loads(line)
        try:
            said = act(action, Path(folder))
        except MacaroonError as error:
            said = repr(error)
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
