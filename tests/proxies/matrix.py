"""Run every case in every row and print one Markdown table; status 1 when anything is not as it must be."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.proxies.cases import CASES
from tests.proxies.judging import Case
from tests.proxies.outages import OUTAGES
from tests.proxies.rows import ROWS
from tests.proxies.stand import Stand, make_stand
from tests.proxies.world import make_world

NOT_SO = "**✗**"


def main() -> int:
    """Run from the command line."""
    mistakes: list[str] = []
    lines = []
    with tempfile.TemporaryDirectory() as folder, make_world(Path(folder)) as world:
        for row in ROWS:
            print(row.name, file=sys.stderr)
            with make_stand(row, world) as stand:
                lines.append([row.name, *_cells(stand, mistakes.append)])
    head = ["", *(case.name for case in (*CASES, *OUTAGES))]
    for line in (head, ["---"] * len(head), *lines):
        print(f"| {' | '.join(line)} |")
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return 1 if mistakes else 0


def _cells(stand: Stand, tell: Callable[[str], None]) -> list[str]:
    outages = ["-"] * len(OUTAGES) if stand.row.is_guarded else [_cell(stand, case, tell) for case in OUTAGES]
    return [*(_cell(stand, case, tell) for case in CASES), *outages]


def _cell(stand: Stand, case: Case, tell: Callable[[str], None]) -> str:
    """Return the statuses that came, marked when one is wrong."""
    try:
        outcomes = set(case.run(stand))
    except AssertionError as error:
        tell(f"{stand.row.name}, {case.name}: {error}")
        return NOT_SO
    text = " ".join(sorted(outcomes))
    if outcomes <= case.expected(stand.row):
        return text
    tell(f"{stand.row.name}, {case.name}: {text}")
    return f"{NOT_SO} {text}"


if __name__ == "__main__":
    sys.exit(main())
