"""Run every case in every row and print Markdown tables; status 1 when anything is not as it must be."""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.support.proxies.cases import CASES
from tests.support.proxies.certificates import make_world
from tests.support.proxies.deployment import Stand, make_stand
from tests.support.proxies.judgements import Case
from tests.support.proxies.outages import OUTAGES
from tests.support.proxies.rows import ASKED_ROWS, ROWS, WEBSOCKET_ROWS, WIRE_ROWS, Row
from tests.support.proxies.wire_cases import ASKING, WEBSOCKETS, WIRE

NOT_SO = "**✗**"


TABLES: tuple[tuple[tuple[Row, ...], tuple[Case, ...]], ...] = (
    (tuple(row for row in ROWS if not row.is_guarded), (*CASES, *OUTAGES)),
    (tuple(row for row in ROWS if row.is_guarded), CASES),
    (WIRE_ROWS, WIRE),
    (WEBSOCKET_ROWS, WEBSOCKETS),
    (ASKED_ROWS, ASKING),
)


def main() -> int:
    """Run from the command line, behind the proxies that are named, or all."""
    mistakes: list[str] = []
    proxies, wanted = _asked()
    with tempfile.TemporaryDirectory() as folder, make_world(Path(folder)) as world:
        for rows, all_cases in TABLES:
            cases = [case for case in all_cases if not wanted or case.name in wanted]
            if not cases:
                continue
            head = ["", *(case.name for case in cases)]
            _print(head)
            _print(["---"] * len(head))
            for row in [row for row in rows if not proxies or row.proxy in proxies]:
                print(row.name, file=sys.stderr)
                with make_stand(row, world) as stand:
                    _print([row.name, *(_cell(stand, case, mistakes.append) for case in cases)])
            print()
    for mistake in mistakes:
        print(mistake, file=sys.stderr)
    return 1 if mistakes else 0


def _asked() -> tuple[list[str], list[str]]:
    """Return the proxies and the cases of the command line; end with status 2 if one does not exist."""
    parser = argparse.ArgumentParser(prog="scripts/proxy-matrix", description=__doc__)
    parser.add_argument("--case", action="append", default=[], help="a column; repeatable (default all)")
    parser.add_argument("proxies", nargs="*", metavar="PROXY", help="default all")
    options = parser.parse_args()
    proxies = {row.proxy for rows, _ in TABLES for row in rows}
    names = {case.name for _, cases in TABLES for case in cases}
    for what, given, known in (("proxy", options.proxies, proxies), ("case", options.case, names)):
        if unknown := {*given} - known:
            parser.error(f"no {what} {', '.join(sorted(unknown))}: name {', '.join(sorted(known))}")
    return options.proxies, options.case


def _print(line: list[str]) -> None:
    print(f"| {' | '.join(line)} |")


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
