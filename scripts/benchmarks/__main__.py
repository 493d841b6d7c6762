"""Time the groups of cases that are asked for, or all, and print a table or JSON.

A group is a function that returns its cases; a new one is one file and one line in GROUPS.
"""

import argparse
import dataclasses
import json
import platform
import sys
from collections.abc import Callable

import core
from timing import Case, Figure, time_side_by_side

GROUPS: dict[str, Callable[[], list[Case]]] = {
    "core": core.cases,
}


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--rounds", type=int, default=40, help="rounds of every case, interleaved (default 40)"
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"what to time: {', '.join(GROUPS)}")
    arguments = parser.parse_args()
    if unknown := set(arguments.groups) - set(GROUPS):
        parser.error(f"no group {', '.join(sorted(unknown))}; there is: {', '.join(GROUPS)}")
    figures = {
        name: time_side_by_side(GROUPS[name](), arguments.rounds) for name in arguments.groups or GROUPS
    }
    (print_json if arguments.json else print_table)(figures, arguments.rounds)


def print_table(figures: dict[str, list[Figure]], rounds: int) -> None:
    """Print one line a case: its cost, and what part of its yardstick's that is."""
    print(f"Python {platform.python_version()}, {rounds} interleaved rounds, microseconds a call")
    for group, lines in figures.items():
        width = max(len(figure.name) for figure in lines)
        print(f"\n{group:<{width}}  {'min':>7}  {'median':>7}")
        for figure in lines:
            line = f"{figure.name:<{width}}  {figure.least:7.2f}  {figure.median:7.2f}  {beside(figure)}"
            print(line.rstrip())


def beside(figure: Figure) -> str:
    """Return how the figure compares, or nothing where it is a yardstick itself."""
    return "; ".join(
        f"1/{ratio.by_least:.2f} (min) 1/{ratio.by_median:.2f} (median) of {ratio.yardstick}"
        for ratio in figure.ratios
    )


def print_json(figures: dict[str, list[Figure]], rounds: int) -> None:
    """Print everything that was measured."""
    groups = {name: [dataclasses.asdict(figure) for figure in lines] for name, lines in figures.items()}
    json.dump({"python": platform.python_version(), "rounds": rounds, "groups": groups}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
