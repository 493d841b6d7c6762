"""Timing for a noisy machine: all cases take turns in every round, and each is compared within the run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns
from typing import Any


@dataclass(frozen=True, slots=True)
class Case:
    """A call to time: the function is called once with each of the inputs in every round."""

    name: str
    function: Callable[..., object] | None = None
    inputs: Sequence[tuple[Any, ...]] = ()
    beside: tuple[str, ...] = ()
    """The names of the cases that this one is compared with."""
    before: Callable[[], None] | None = None
    """Called before each round and not timed, for example to empty a cache."""
    timed: Callable[[], float] | None = None
    """In place of a function: a peer in another process, which returns its own microseconds a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The extent of a measurement: enough to compare figures, or just enough to see that all runs."""

    rounds: int
    """Of every case, and of every load."""
    seconds: float
    """The length of a round of load."""
    workers: tuple[int, ...] = (1, 2, 4)
    revocations: int = 1_000_000
    arrivals: int = 20
    refusals: int = 200
    rows: int = 3_000
    """Rows of each kind whose space is measured."""
    followers: int = 10_000
    follower_processes: int = 2
    services: int = 3
    """The processes on one PostgreSQL whose followers share news."""
    idle_seconds: float = 60.0
    """The length of the measurement while followers wait for nothing."""
    arrival_pause: float = 4.0
    """The seconds after revocations until followers are asked for their arrival."""
    load_rounds: int = 3
    """Of every load on servers."""
    is_warmed: bool = True
    """Whether an uncounted round comes before those of a load."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure and its unit."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Ratio:
    """The cost of the yardstick as a multiple of the case's, by the least and by the median of all rounds."""

    yardstick: str
    by_least: float
    by_median: float


@dataclass(frozen=True, slots=True)
class Figure:
    """The cost of a case, in microseconds a call."""

    name: str
    least: float
    median: float
    ratios: tuple[Ratio, ...]


def time_side_by_side(cases: Sequence[Case], rounds: int) -> list[Figure]:
    """Return the cost of each case over many rounds, in which the cases take turns."""
    spent: dict[str, list[float]] = {case.name: [] for case in cases}
    for case in cases:
        _microseconds(case)
    for _ in range(rounds):
        for case in cases:
            spent[case.name].append(_microseconds(case))
    return [_figure(case, spent) for case in cases]


def _microseconds(case: Case) -> float:
    """Return what one call costs in one round over all inputs."""
    if case.before is not None:
        case.before()
    if case.timed is not None:
        return case.timed()
    assert case.function is not None
    function, inputs = case.function, case.inputs
    start = perf_counter_ns()
    for arguments in inputs:
        function(*arguments)
    return (perf_counter_ns() - start) / 1000 / len(inputs)


def _figure(case: Case, spent: dict[str, list[float]]) -> Figure:
    own = spent[case.name]
    ratios = tuple(
        Ratio(name, min(spent[name]) / min(own), median(spent[name]) / median(own)) for name in case.beside
    )
    return Figure(case.name, min(own), median(own), ratios)
