"""Read the audit log."""

import json
import os
from pathlib import Path


def events(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def one(file: Path) -> dict[str, object]:
    """Return the only line since the last look, and empty the file.

    The id of its request is left out: it is another one each time (tests/service/test_request_ids.py).
    """
    [found] = events(file)
    os.truncate(file, 0)
    found.pop("request_id", None)
    return found
