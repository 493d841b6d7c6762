"""Time the groups of cases that are asked for, or all, and print a table or JSON.

A group is a function that returns its cases; a new one is one file and one line in GROUPS. What is
measured in requests per second stands in THROUGHPUT, other figures in MEASURES.
"""

import argparse
import dataclasses
import json
import os
import platform
import sys
from collections.abc import Callable

import certificates
import chart
import core
import followers
import gateway
import guards
import in_process
import peers
import providers
import proxies
import refusing
import revocations
import service
import sizing
from timing import Case, Extent, Figure, Measure, time_side_by_side

GROUPS: dict[str, Callable[[Extent], list[Case]]] = {
    "core": lambda _: core.cases(),
    "peers": peers.cases,
    "certificates": lambda _: certificates.cases(),
    "revocations": revocations.cases,
    "requests": lambda _: in_process.cases(),
}
THROUGHPUT: dict[str, Callable[[Extent], list[service.Throughput]]] = {
    "service": service.throughput,
    "gateway": gateway.throughput,
    "proxies": proxies.throughput,
    "providers": providers.throughput,
    "guards": guards.throughput,
}
MEASURES: dict[str, Callable[[Extent], list[Measure]]] = {
    "revocations": revocations.catching_up,
    "refusing": refusing.delays,
    "sizing": sizing.sizes,
    "followers": followers.measures,
}
SMALL = Extent(
    rounds=1,
    seconds=0.1,
    workers=(1,),
    revocations=2_000,
    arrivals=2,
    refusals=2,
    rows=20,
    followers=12,
    follower_processes=1,
    services=2,
    idle_seconds=0.4,
    arrival_pause=0.1,
    load_rounds=1,
    is_warmed=False,
)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--rounds", type=int, default=40, help="rounds of every case, interleaved (default 40)"
    )
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a round of load (default 4)")
    parser.add_argument(
        "--followers", type=int, default=10_000, help="followers that wait at a time (default 10000)"
    )
    parser.add_argument(
        "--arrivals", type=int, default=20, help="revocations whose arrival is timed (default 20)"
    )
    parser.add_argument("--small", action="store_true", help="show that all of it runs; compare no figure")
    parser.add_argument(
        "--keep", action="store_true", help="keep the figures of peers, and draw the chart of the guide"
    )
    known = list(dict.fromkeys([*GROUPS, *THROUGHPUT, *MEASURES]))
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"what to measure: {', '.join(known)}")
    arguments = parser.parse_args()
    os.umask(0o077)  # the keys that it writes must be private, or the servers refuse them
    asked = arguments.groups or known
    if arguments.keep and "peers" not in asked:
        parser.error("--keep keeps the figures of peers: name that group")
    if unknown := set(asked) - set(known):
        parser.error(f"no group {', '.join(sorted(unknown))}; there is: {', '.join(known)}")
    extent = SMALL if arguments.small else extent_of(arguments)
    costs = {name: time_side_by_side(GROUPS[name](extent), extent.rounds) for name in asked if name in GROUPS}
    rates = {name: THROUGHPUT[name](extent) for name in asked if name in THROUGHPUT}
    measures = {name: MEASURES[name](extent) for name in asked if name in MEASURES}
    if arguments.keep:
        chart.keep(costs["peers"], extent.rounds)
    for sentence in peers.left_out():
        print(sentence, file=sys.stderr)
    if arguments.json:
        print_json(costs, rates, measures, extent.rounds)
        return
    if costs:
        print_table(costs, extent.rounds)
    print_rates(rates)
    print_measures(measures)


def extent_of(arguments: argparse.Namespace) -> Extent:
    """Return the extent that the command line asks for."""
    return Extent(
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        followers=arguments.followers,
        arrivals=arguments.arrivals,
    )


def print_measures(measures: dict[str, list[Measure]]) -> None:
    """Print one line a figure."""
    for group, lines in measures.items():
        print(f"\n{group}")
        for line in lines:
            print(f"{line.name:<52}  {line.value:9.3f} {line.unit}")


def print_rates(rates: dict[str, list[service.Throughput]]) -> None:
    """Print one line a server: answers per second over mutual TLS with keep-alive."""
    for group, lines in rates.items():
        print(f"\n{group + ': requests per second':<32}  {'best':>7}  {'median':>7}  {'p99':>10}")
        for line in lines:
            p99 = "" if line.p99_milliseconds is None else f"{line.p99_milliseconds:7.2f} ms"
            rates = f"{line.requests_per_second:7.0f}  {line.median_requests_per_second:7.0f}"
            print(f"{line.name:<32}  {rates}  {p99:>10}".rstrip())


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


def print_json(
    costs: dict[str, list[Figure]],
    rates: dict[str, list[service.Throughput]],
    measures: dict[str, list[Measure]],
    rounds: int,
) -> None:
    """Print everything that was measured."""
    groups: dict[str, list[dict[str, object]]] = {}
    for kind in (costs, rates, measures):
        for name, lines in kind.items():
            groups.setdefault(name, []).extend(dataclasses.asdict(figure) for figure in lines)
    json.dump({"python": platform.python_version(), "rounds": rounds, "groups": groups}, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
